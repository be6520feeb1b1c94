"""The figures of a served champion, and the page that holds them against their goals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from statistics import median

import numpy as np

from benchmarks.graph_alone import Parts
from benchmarks.load_client import BROKEN, Block
from benchmarks.surroundings import Surroundings

READY_SECONDS = 5.0
MEGABYTES = 250.0
LATENCY_FACTOR, LATENCY_MS = 1.5, 3.0
TIMES_AS_MANY = 5.0

ALONE, KEPT, FRESH, SILENT = "alone", "kept", "fresh", "silent"
"""Kinds of blocks of latency: no service; one connection; a new one each time; one, and no prediction log."""


@dataclass(frozen=True)
class Served:
    """What was asked, with what: the champion and the images.

    `num_equal` images were always given one class, the same by Taxon and the rival; of `num_fickle`, either
    named different classes in different answers.
    """

    name: str
    version: str
    digest: str
    candidate: str
    precision: str
    image_size: int
    image_kilobytes: float
    num_images: int
    num_equal: int
    num_fickle: int


@dataclass(frozen=True)
class Start:
    """One start: wall seconds until /readyz gave 200, CPU seconds that all its processes took till then."""

    seconds: float
    cpu_seconds: float


@dataclass(frozen=True)
class Memory:
    """Of a process tree, summed over its processes, in megabytes of 10^6 bytes.

    `alone` is what the tree would take on a machine where nobody else maps the same files: private pages, and
    of each file's shared pages the most that one process has.
    """

    what: str
    num_processes: int
    pss: float
    alone: float
    rss: float


@dataclass(frozen=True)
class Imports:
    """Every package that the service's processes imported, and the training libraries among them.

    Attributes:
        num_packages: top-level names.
        training: those of them that must not be there.
        mapped: files of training libraries that are mapped into the measured processes.
    """

    num_packages: int
    training: tuple[str, ...]
    mapped: tuple[str, ...]


@dataclass(frozen=True)
class Latencies:
    """Rounds of blocks; in each round every kind once, in an order that changes."""

    alone: Sequence[Sequence[Parts]]
    served: Mapping[str, Sequence[Block]]

    def pooled(self, kind: str) -> list[float]:
        """Milliseconds of all rounds; of ALONE those of decode and graph."""
        if kind == ALONE:
            return [each.decode_and_graph_ms for block in self.alone for each in block]
        return [each for block in self.served[kind] for each in block.latencies_ms]

    def difference(self, kind: str, other: str) -> float:
        """Median over the rounds of the difference of two kinds' medians, in milliseconds."""
        pairs = zip(self.served[kind], self.served[other], strict=True)
        return median(median(one.latencies_ms) - median(two.latencies_ms) for one, two in pairs)

    @property
    def goal(self) -> float:
        """The largest p50 over a kept connection, in milliseconds."""
        return LATENCY_FACTOR * median(self.pooled(ALONE)) + LATENCY_MS


@dataclass(frozen=True)
class Throughput:
    """Alternating blocks of the product and its rival, and one of each choice of the rival's threads."""

    num_clients: int
    tried: Mapping[str, Block]
    product: Sequence[Block]
    rival: Sequence[Block]

    @property
    def ratios(self) -> list[float]:
        """Of the rates of each pair of blocks."""
        return [ours.rate / its.rate for ours, its in zip(self.product, self.rival, strict=True)]


@dataclass(frozen=True)
class Logged:
    """The prediction log afterwards: answers that clients got, entries that are there, losses counted."""

    num_answers: int
    num_entries: int
    num_lost: int


@dataclass(frozen=True)
class Figures:
    """All that one run of the benchmark measured."""

    surroundings: Surroundings
    served: Served
    starts: Sequence[Start]
    imports: Imports
    memories: Sequence[Memory]
    rival_memory: Memory
    latencies: Latencies
    throughput: Throughput
    bare: Throughput
    logged: Logged
    statuses: Mapping[str, Counter[int]]


def tell_faults(statuses: Mapping[str, Counter[int]]) -> str:
    """What was not answered, by service and status; `none` where everything was."""
    told = [
        f"{name}: {count} x {_name_status(status)}"
        for name, counts in statuses.items()
        for status, count in sorted(counts.items())
        if status != HTTPStatus.OK
    ]
    return "; ".join(told) or "none"


def render(figures: Figures) -> str:
    """The page."""
    return "\n".join(
        [
            *_render_head(figures),
            *_render_goals(figures),
            *_render_starts(figures),
            *_render_memory(figures),
            *_render_latency(figures),
            *_render_throughput(figures),
        ]
    )


def _render_head(figures: Figures) -> list[str]:
    around, served = figures.surroundings, figures.served
    return [
        "# Benchmarks of the service",
        "",
        f"`{around.command}`, {around.minutes:.0f} minutes on {around.num_cores} cores ({around.processor}; "
        f"{around.system}), Python {around.python}, {', '.join(around.versions)}. Load average of one "
        f"minute: {around.load_before:.1f} before, {around.load_after:.1f} at the end (the benchmark itself "
        f"is part of the latter). State and log on {around.disk}.",
        "",
        f"Served: {served.name} version {served.version} ({served.candidate}, {served.image_size} pixels, "
        f"{served.precision}, digest {served.digest[:16]}), one worker, default settings, as `run.py service "
        f"start` starts it. Asked: {served.num_images} JPEGs of 640 x 480 pixels, "
        f"{served.image_kilobytes:.0f} kB on average: painted fish, enlarged, with grain.",
        "",
    ]


def _render_goals(figures: Figures) -> list[str]:
    ready = median(start.seconds for start in figures.starts)
    memory = max(each.alone for each in figures.memories)
    latencies, ratio = figures.latencies, median(figures.throughput.ratios)
    kept = median(latencies.pooled(KEPT))
    clean = not figures.imports.training and not figures.imports.mapped
    libraries = ", ".join(figures.imports.training + figures.imports.mapped) or "none"
    faults, logged, served = tell_faults(figures.statuses), figures.logged, figures.served
    kept_all = logged.num_entries == logged.num_answers and not logged.num_lost
    rows = [
        (
            "seconds from the start until ready, median",
            f"{READY_SECONDS:g}",
            f"{ready:.1f}",
            ready <= READY_SECONDS,
        ),
        (
            "memory of all processes by themselves, MB",
            f"below {MEGABYTES:g}",
            f"{memory:.0f}",
            memory < MEGABYTES,
        ),
        ("TensorFlow, Keras, scikit-learn, pandas imported", "none", libraries, clean),
        (
            "p50 of an answer, one connection, log on, ms",
            f"{latencies.goal:.1f} ({LATENCY_FACTOR:g} x decode and graph + {LATENCY_MS:g})",
            f"{kept:.1f}",
            kept <= latencies.goal,
        ),
        (
            f"answers a second at {figures.throughput.num_clients} clients, times those of `model.predict`",
            f"{TIMES_AS_MANY:g} (for later)",
            f"{ratio:.1f}",
            ratio >= TIMES_AS_MANY,
        ),
        ("requests that were not answered", "none", faults, faults == "none"),
        (
            "images named differently by different answers",
            "none",
            str(served.num_fickle),
            not served.num_fickle,
        ),
        (
            "answers that are not in the log",
            "none",
            f"{logged.num_answers - logged.num_entries} of {logged.num_answers}, "
            f"{logged.num_lost} counted as lost",
            kept_all,
        ),
    ]
    lines = ["| | goal | measured | met |", "|---|---|---|---|"]
    lines += [
        f"| {name} | {goal} | {value} | {'yes' if met else '**no**'} |" for name, goal, value, met in rows
    ]
    return [*lines, ""]


def _render_starts(figures: Figures) -> list[str]:
    seconds = ", ".join(f"{start.seconds:.1f}" for start in figures.starts)
    cpu = median(start.cpu_seconds for start in figures.starts)
    return [
        "## Ready",
        "",
        f"Seconds from the call of `start_service` until `/readyz` gave 200, {len(figures.starts)} starts in "
        f"turn: {seconds}. CPU seconds of all its processes till then, median: {cpu:.1f}.",
        "",
    ]


def _render_memory(figures: Figures) -> list[str]:
    lines = ["## Memory", "", "| | processes | PSS, MB | by themselves, MB | RSS, MB |"]
    lines.append("|---|---|---|---|---|")
    lines += [
        f"| {each.what} | {each.num_processes} | {each.pss:.0f} | {each.alone:.0f} | {each.rss:.0f} |"
        for each in (*figures.memories, figures.rival_memory)
    ]
    return [
        *lines,
        "",
        "PSS counts a page by the share of those that map it, whoever they are: other programs in the same "
        "environment make it smaller, this benchmark among them. By themselves: private pages, and of the "
        "pages of each file that are shared the most that one process maps; what the tree takes where "
        "nothing else runs. RSS counts every page of every process in full.",
        "",
        f"In a start of its own, with Python told to name every import (`PYTHONPROFILEIMPORTTIME`), and "
        f"after an answer with a heat map, supervisor and worker had imported {figures.imports.num_packages} "
        f"packages; of the training libraries: {', '.join(figures.imports.training) or 'none'}. Files of "
        "theirs mapped into the measured processes (`/proc/PID/maps`): "
        f"{', '.join(figures.imports.mapped) or 'none'}.",
        "",
    ]


def _render_latency(figures: Figures) -> list[str]:
    latencies = figures.latencies
    rows = [
        ("decode and graph alone, no service", ALONE),
        ("served, one connection kept", KEPT),
        ("served, a new connection each time", FRESH),
        ("served, one connection kept, log off", SILENT),
    ]
    lines = ["## Latency", "", "| | n | p5, ms | p50, ms | p95, ms |", "|---|---|---|---|---|"]
    for name, kind in rows:
        values = latencies.pooled(kind)
        cells = " | ".join(f"{value:.2f}" for value in np.quantile(values, [0.05, 0.5, 0.95]))
        lines.append(f"| {name} | {len(values)} | {cells} |")
    alone = [each for block in latencies.alone for each in block]
    parts = ", ".join(
        f"{name} {median(getattr(each, f'{field}_ms') for each in alone):.2f}"
        for name, field in (
            ("decode", "decode"),
            ("graph", "graph"),
            ("quality columns", "quality"),
            ("unknown score and decision", "decision"),
            ("together", "all"),
        )
    )
    num_rounds = len(latencies.alone)
    blocks = latencies.served[KEPT]
    client = sum(each.cpu_seconds for each in blocks) / sum(sum(each.statuses.values()) for each in blocks)
    return [
        *lines,
        "",
        f"{num_rounds} rounds, in each a block of every kind in a changing order, so that a slow phase of "
        "the machine hits all. One request at a time; the times are the client's, from before it sends until "
        f"it has read the answer, {client * 1000:.1f} ms of its own CPU included. A new connection is made "
        "within its time. p5 is what is nearest to a machine without other work.",
        "",
        f"Medians of what is computed, without service, ms: {parts}.",
        "",
        f"Median over the rounds of the difference of p50: the log (SQLite, an entry committed before the "
        f"answer) {latencies.difference(KEPT, SILENT):+.2f} ms, a new connection "
        f"{latencies.difference(FRESH, KEPT):+.2f} ms.",
        "",
    ]


def _render_throughput(figures: Figures) -> list[str]:
    throughput = figures.throughput
    lines = [
        "## Throughput",
        "",
        f"{throughput.num_clients} clients at once, each over its own kept connection, without a pause.",
        "",
        "| | answers a second, median (least to most) | p50, ms | p95, ms | client's CPU, ms an answer |",
        "|---|---|---|---|---|",
    ]
    for name, blocks in (
        ("Taxon", throughput.product),
        ("FastAPI + `model.predict`", throughput.rival),
        ("Taxon again", figures.bare.product),
        ("FastAPI + LiteRT, nothing else", figures.bare.rival),
    ):
        rates = [block.rate for block in blocks]
        values = [each for block in blocks for each in block.latencies_ms]
        low, high = np.quantile(values, [0.5, 0.95])
        cpu = (
            1000 * sum(block.cpu_seconds for block in blocks) / sum(b.statuses[HTTPStatus.OK] for b in blocks)
        )
        lines.append(
            f"| {name} | {median(rates):.1f} ({min(rates):.1f} to {max(rates):.1f}) | {low:.0f} | {high:.0f} "
            f"| {cpu:.2f} |"
        )
    served = figures.served
    return [
        *lines,
        "",
        f"Ratio of each pair of blocks: to `model.predict` {_tell_ratios(throughput)}, to bare LiteRT "
        f"{_tell_ratios(figures.bare)}; {len(throughput.ratios)} pairs of {throughput.product[0].seconds:g} "
        "seconds each, Taxon and its rival in turn.",
        "",
        "The rival (`benchmarks/rival_service.py`) is FastAPI on uvicorn with one worker, which loads the "
        "same trained network as a .keras file, decodes and resizes with Pillow and calls `model.predict` on "
        "one image in FastAPI's pool of threads. It has no key, no log, no limits and no unknown "
        f"score. It is asked with the threads that serve it best: {_tell_tried(throughput.tried)}. Both "
        "services are there throughout, one of them idle. The client is a process of its own and competes "
        "for the cores with each. Taxon and its rival always named one and the same class for "
        f"{served.num_equal} of the {served.num_images} images. The bare one is the same "
        "code around the exported graph: the difference is the price of decision, log, keys and limits.",
        "",
        f"Not answered, in all of the above: {tell_faults(figures.statuses)}.",
        "",
    ]


def _tell_ratios(throughput: Throughput) -> str:
    ratios = throughput.ratios
    return f"{median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


def _tell_tried(tried: Mapping[str, Block]) -> str:
    return ", ".join(
        f"{name} ({block.rate:.1f} answers a second in one block)" for name, block in tried.items()
    )


def _name_status(status: int) -> str:
    if status == BROKEN:
        return "no answer (the connection broke)"
    return f"{status} {HTTPStatus(status).phrase}" if status in set(HTTPStatus) else str(status)
