"""What of this machine changes a network's figures: processor, instructions, threads and oneDNN."""

from __future__ import annotations

import os
import platform
from pathlib import Path

CPU_INFO = Path("/proc/cpuinfo")
_INSTRUCTIONS = ("amx_tile", "avx512f", "avx2")
"""Sets of vector instructions that oneDNN and LiteRT choose their code by, the widest first."""


def describe_machine() -> dict[str, str | int | bool]:
    """Processor, widest vector instructions, CPUs, threads and whether TensorFlow uses oneDNN.

    What cannot be told on this system is ''.
    """
    names, flags = _read_cpu_info()
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": names or platform.processor() or platform.machine(),
        "instructions": next((each for each in _INSTRUCTIONS if each in flags), ""),
        "cpus": os.cpu_count() or 0,
        "threads": _count_threads(),
        "onednn": _uses_onednn(),
    }


def _read_cpu_info() -> tuple[str, frozenset[str]]:
    """Model name and flags of the first processor that Linux lists; empty on other systems."""
    if not CPU_INFO.exists():
        return "", frozenset()
    lines = (line.split(":", 1) for line in CPU_INFO.read_text(encoding="utf-8").splitlines() if ":" in line)
    fields: dict[str, str] = {}
    for name, value in lines:
        fields.setdefault(name.strip(), value.strip())
    return fields.get("model name", ""), frozenset(fields.get("flags", "").split())


def _count_threads() -> int:
    """Threads of one operation: as many as this process may use processors, unless OpenMP is told fewer."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 0
    told = os.environ.get("OMP_NUM_THREADS", "")
    return min(allowed, int(told)) if told.isdigit() and int(told) else allowed


def _uses_onednn() -> bool:
    """TensorFlow's default on x86 under Linux, unless TF_ENABLE_ONEDNN_OPTS says otherwise."""
    default = platform.system() == "Linux" and platform.machine() in {"x86_64", "AMD64"}
    told = os.environ.get("TF_ENABLE_ONEDNN_OPTS")
    return default if told is None else told.lower() in {"1", "true"}
