"""The page of `benchmarks.scaling`, from its figures."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from statistics import median

PARTS = {
    "list": "names and sizes of all files are read, to see whether something changed",
    "ingest": "read, hash, check, decode to 32 x 32 pixels on disk, find near duplicates",
    "split": "deal groups to splits",
    "validate": "check counts and leaks",
    "explore": "count, measure quality, find what is odd",
    "page": "`run.py explore`: all of that, a pretrained network's look at some 4,000, the page",
    "predict": "`run.py predict`: read, decode, a small network's answer, tables, contact sheet",
}
"""Part -> what it does, in the order of the page."""


@dataclass(frozen=True)
class Measure:
    """One part of a command, measured once.

    Attributes:
        part: key of `PARTS`.
        images: how many.
        executor: what the work was shared out by.
        turn: from 0.
        seconds: by the clock.
        cpu_seconds: of all processes.
        memory_mb: at its peak, all processes, without pages of mapped files.
        mapped_mb: pages of mapped files at their peak.
        disk_mb: what it leaves.
        page_mb: the page for people among that.
        command: of `benchmarks.scaling` that it is a part of.
    """

    part: str
    images: int
    executor: str
    turn: int
    seconds: float
    cpu_seconds: float
    memory_mb: float
    mapped_mb: float
    disk_mb: float
    page_mb: float = 0.0
    command: str = ""

    @property
    def job(self) -> tuple[int, str, int]:
        """Images, executor and turn."""
        return self.images, self.executor, self.turn

    def of(self, command: str) -> Measure:
        """The same as a part of a command."""
        return replace(self, command=command)

    def line(self) -> str:
        """For the terminal."""
        rates = (
            f"{self.images / self.seconds:,.0f}/s, {1000 * self.cpu_seconds / self.images:.3f} CPU ms each"
        )
        return (
            f"{self.part} {self.images:,} {self.executor}: {self.seconds:.1f} s, {rates}, "
            f"{self.memory_mb:,.0f} MB ({self.mapped_mb:,.0f} mapped), {self.disk_mb:,.1f} MB on disk"
        )


def read_record(path: Path) -> list[Measure]:
    """The figures so far."""
    if not path.exists():
        return []
    return [Measure(**each) for each in json.loads(path.read_text(encoding="utf-8"))]


def combine(measures: Sequence[Measure]) -> dict[tuple[str, str, int], Measure]:
    """Part, executor and images -> medians over the turns."""
    found: dict[tuple[str, str, int], list[Measure]] = {}
    for each in measures:
        found.setdefault((each.part, each.executor, each.images), []).append(each)
    return {key: _middle(turns) for key, turns in found.items()}


def render(measures: Sequence[Measure], machine: Mapping[str, object]) -> str:
    """The figures as Markdown."""
    combined = combine(measures)
    executors = sorted({each.executor for each in measures}, reverse=True)
    sizes = {each.images for each in measures}
    lines = [
        "# Many images: what they cost",
        "",
        f"`python -m benchmarks.scaling`: {machine['cpus']} cores ({machine['processor']}), Python "
        f"{machine['python']}. Painted JPEGs of 64 px in 200 classes, the smaller set part of the larger; "
        "each command in a process of its own. Memory is that of all its processes at the peak (PSS); pages "
        "of mapped files, which the system takes back when it needs them, are told by themselves. CPU "
        "milliseconds hardly change with what else the machine does, seconds do.",
        "",
        "![CPU milliseconds an image and peak memory by the number of images](pictures/scaling.png)",
    ]
    for executor in executors:
        lines += ["", f"## Executor `{executor}`", "", *_overview(combined, executor, sorted(sizes))]
    lines += ["", "## All figures"]
    for part, told in PARTS.items():
        rows = [*_rows(combined, part)]
        lines += ["", f"### {part}", "", f"{told[0].upper()}{told[1:]}.".replace("`Run", "`run"), ""]
        lines += [
            "| images | executor | seconds | images/s | CPU ms an image | memory, MB | mapped files, MB "
            "| on disk, MB | page, MB |",
            "|---" * 9 + "|",
            *rows,
        ]
    return "\n".join(lines) + "\n"


def draw(measures: Sequence[Measure]) -> bytes:
    """CPU time an image and peak memory over the number of images, as PNG: flat lines are what is wanted."""
    from matplotlib.ticker import EngFormatter

    from report.figures.style import (
        BLUE,
        ORANGE,
        add_legend_below,
        new_figure,
        style_axes,
        title_figure,
        to_png,
    )

    combined = combine(measures)
    figure = new_figure(3.2)
    title_figure(figure, "What an image costs, and memory, by the number of images")
    cost, memory = figure.subplots(1, 2)
    for part, colour in (("ingest", BLUE), ("predict", ORANGE)):
        for executor, line in (("process", "-o"), ("dask", ":s")):
            found = sorted(
                (each for (name, by, _), each in combined.items() if (name, by) == (part, executor)),
                key=lambda each: each.images,
            )
            if found:
                sizes, label = [each.images for each in found], f"{part}, {executor}"
                cost.plot(sizes, [*map(_cost, found)], line, color=colour, label=label)
                memory.plot(sizes, [each.memory_mb for each in found], line, color=colour)
    for axes, title in ((cost, "CPU milliseconds an image"), (memory, "Megabytes at the peak")):
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))
        axes.set_ylim(bottom=0)
        style_axes(axes, title=title, x="images", grid="y")
    add_legend_below(figure, cost)
    return to_png(figure)


def _overview(
    combined: Mapping[tuple[str, str, int], Measure], executor: str, sizes: Sequence[int]
) -> Iterator[str]:
    """CPU time an image and memory over the sizes, and how both grow from the smallest to the largest."""
    costs = [f"CPU ms an image, {size:,}" for size in sizes]
    memory = [f"MB, {size:,}" for size in sizes]
    yield f"| | {' | '.join(costs)} | largest / smallest | {' | '.join(memory)} | bytes an image more |"
    yield "|---" * (2 * len(sizes) + 3) + "|"
    for part in PARTS:
        found = {size: combined.get((part, executor, size)) for size in sizes}
        there = [each for each in found.values() if each]
        if not there:
            continue
        cost = [f"{_cost(each):.3f}" if each else "" for each in found.values()]
        peak = [f"{each.memory_mb:,.0f}" if each else "" for each in found.values()]
        first, last = there[0], there[-1]
        grown = f"{_cost(last) / _cost(first):.2f}" if first is not last and first.cpu_seconds else ""
        bytes_each = (last.memory_mb - first.memory_mb) * 1e6 / max(1, last.images - first.images)
        more = f"{bytes_each:,.0f}" if first is not last else ""
        yield f"| {part} | {' | '.join(cost)} | {grown} | {' | '.join(peak)} | {more} |"


def _rows(combined: Mapping[tuple[str, str, int], Measure], part: str) -> Iterator[str]:
    for (name, executor, images), each in sorted(combined.items(), key=lambda item: (item[0][2], item[0][1])):
        if name == part:
            yield (
                f"| {images:,} | {executor} | {each.seconds:,.1f} | {images / each.seconds:,.0f} | "
                f"{_cost(each):.3f} | {each.memory_mb:,.0f} | {each.mapped_mb:,.0f} | {each.disk_mb:,.1f} | "
                f"{each.page_mb:,.1f} |"
            )


def _cost(measure: Measure) -> float:
    """CPU milliseconds an image."""
    return 1000 * measure.cpu_seconds / measure.images


def _middle(turns: Sequence[Measure]) -> Measure:
    """The median of each figure."""
    figures = [each.name for each in fields(Measure) if each.type == "float"]
    return replace(turns[0], **{name: median(getattr(each, name) for each in turns) for name in figures})
