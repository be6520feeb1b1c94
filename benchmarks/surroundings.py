"""The machine on which something was measured, and how busy it was."""

from __future__ import annotations

import os
import platform
import re
import shlex
import sys
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import psutil

VERSIONS = ("bentoml", "ai-edge-litert", "pillow", "tensorflow-cpu", "keras", "fastapi", "uvicorn")


@dataclass(frozen=True)
class Surroundings:
    """Where and how it was measured; `load_before` and `load_after` are averages of one minute."""

    command: str
    processor: str
    num_cores: int
    system: str
    python: str
    versions: tuple[str, ...]
    disk: str
    load_before: float
    load_after: float
    minutes: float


def describe_surroundings(work: Path, load_before: float, minutes: float) -> Surroundings:
    """The machine, as of now."""
    return Surroundings(
        command=f"python -m benchmarks.serving {shlex.join(sys.argv[1:])}".strip(),
        processor=_name_processor(),
        num_cores=os.cpu_count() or 1,
        system=f"{platform.system()} {platform.machine()}",
        python=platform.python_version(),
        versions=tuple(f"{name} {version(name)}" for name in VERSIONS),
        disk=_name_disk(work),
        load_before=load_before,
        load_after=os.getloadavg()[0],
        minutes=minutes,
    )


def _name_processor() -> str:
    cpu = Path("/proc/cpuinfo")
    named = re.search(r"^model name\s*: (.+)$", cpu.read_text(), re.MULTILINE) if cpu.exists() else None
    return named.group(1) if named else platform.processor() or "processor not named"


def _name_disk(folder: Path) -> str:
    """Kind of the file system that a folder lies on."""
    parts = [each for each in psutil.disk_partitions(all=True) if folder.is_relative_to(each.mountpoint)]
    return max(parts, key=lambda each: len(each.mountpoint)).fstype if parts else "a disk of unknown kind"
