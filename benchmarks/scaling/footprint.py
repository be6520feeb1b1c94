"""CPU seconds and memory of a command and all processes below it, sampled while it works (Linux).

Memory is PSS, in which a page that several processes share counts once in all. Pages of files that are mapped
into memory count by themselves: the system takes them back when it needs them.
"""

from __future__ import annotations

import resource
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil

ROOT = Path(__file__).resolve().parents[2]
_EVERY_SECONDS = 0.25


@dataclass(frozen=True)
class Footprint:
    """What a span of time took.

    Attributes:
        seconds: by the clock.
        cpu_seconds: of all processes.
        memory_mb: at its peak, without pages of mapped files.
        mapped_mb: pages of mapped files at their peak.
    """

    seconds: float
    cpu_seconds: float
    memory_mb: float
    mapped_mb: float


@dataclass
class Trace:
    """Samples of a command: time of day, CPU seconds so far, memory and mapped pages in MB."""

    samples: list[tuple[float, float, float, float]] = field(default_factory=list)
    cpu_seconds: dict[int, float] = field(default_factory=dict)

    def sample(self, process: psutil.Process) -> None:
        """Look at a process and all below it; one that has ended meanwhile keeps what it took."""
        memory = mapped = 0.0
        for each in (process, *process.children(recursive=True)):
            try:
                spent, rollup = each.cpu_times(), Path(f"/proc/{each.pid}/smaps_rollup").read_text()
            except (psutil.NoSuchProcess, OSError):
                continue
            self.cpu_seconds[each.pid] = spent.user + spent.system
            sizes = {words[0]: int(words[1]) / 1024 for words in map(str.split, rollup.splitlines()[1:])}
            memory += sizes["Pss_Anon:"] + sizes["Pss_Shmem:"]
            mapped += sizes["Pss_File:"]
        self.samples.append((time.time(), sum(self.cpu_seconds.values()), memory, mapped))

    def end(self, cpu_seconds: float) -> None:
        """All processes have ended, and took so long in all, what no sample saw included."""
        seen = sum(self.cpu_seconds.values())
        self.samples.append((time.time(), max(seen, cpu_seconds), 0.0, 0.0))

    def window(self, start: float, end: float) -> Footprint:
        """Of the span between two times of day; memory as of the samples in it and the first after it."""
        times, cpu, memory, mapped = np.array(self.samples).T
        inside = slice(*np.searchsorted(times, (start, end)))
        inside = slice(min(inside.start, len(times) - 1), inside.stop + 1)
        first, last = np.interp((start, end), times, cpu)
        return Footprint(
            end - start, float(last - first), float(memory[inside].max()), float(mapped[inside].max())
        )

    def whole(self) -> Footprint:
        """From the first sample to the last."""
        return self.window(self.samples[0][0], self.samples[-1][0])


def watch(command: Sequence[str], environment: Mapping[str, str], log: Path) -> Trace:
    """Run a command in the checkout to its end; what it prints goes to a file.

    Raises:
        SystemExit: it failed; with the end of what it printed.
    """
    trace, before = Trace(), _cpu_of_ended()
    with log.open("w") as file:
        running = psutil.Popen(
            command, cwd=ROOT, env=dict(environment), stdout=file, stderr=subprocess.STDOUT
        )
        while running.poll() is None:
            trace.sample(running)
            time.sleep(_EVERY_SECONDS)
    trace.end(_cpu_of_ended() - before)
    if running.returncode != 0:
        told = log.read_text()[-4000:]
        raise SystemExit(f"{' '.join(command)} ended with {running.returncode}:\n{told}")
    return trace


def _cpu_of_ended() -> float:
    """CPU seconds of all processes below this one that have ended."""
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime
