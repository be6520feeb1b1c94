"""The page of `benchmarks.serving`: its figures, and what of them meets its goal."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from statistics import median
from typing import NamedTuple

import numpy as np

from benchmarks.serving.endurance import Endurance
from benchmarks.serving.load_client import Block

RATES = (
    *("rival", "Taxon, answers a second", "rival", "ratio of each pair"),
    *("Taxon, CPU ms an answer", "rival, CPU ms"),
)
KERAS, BARE = "FastAPI + `model.predict`", "FastAPI + LiteRT, nothing else"


@dataclass(frozen=True)
class Figures:
    """All that one run of the benchmark measured.

    Attributes:
        starts: seconds from each start until /readyz gave 200.
        memory: when -> what the service's processes take where nothing else runs, in MB (10^6 bytes).
        training: training libraries that the service imported.
        alone: milliseconds of decoder and graph of an image, without service.
        kept: blocks of one request at a time over one connection.
        pairs: rival -> blocks of Taxon and of it, in turn.
        num_entries, num_lost: of the prediction log, and as the service counts what it could not log.
        endurance: large photographs, an archive and minutes of load.
    """

    starts: Sequence[float]
    memory: Mapping[str, float]
    training: Sequence[str]
    alone: Sequence[float]
    kept: Sequence[Block]
    pairs: Mapping[str, Sequence[tuple[Block, Block]]]
    num_entries: int
    num_lost: int
    endurance: Endurance

    def own(self) -> list[Block]:
        """Every block that Taxon answered."""
        return [*self.kept, *self.together(), self.endurance.soak]

    def together(self) -> list[Block]:
        """Those of many clients at once without a pause."""
        return [own for pairs in self.pairs.values() for own, _ in pairs]

    def ratios(self, rival: str) -> list[float]:
        """Taxon's answers a second as a multiple of the rival's, of each pair; infinite if that gave none."""
        return [own.rate / other.rate if other.rate else math.inf for own, other in self.pairs[rival]]


class Goal(NamedTuple):
    """One row of the page."""

    what: str
    goal: str
    measured: str
    met: bool


def judge(figures: Figures) -> list[Goal]:
    """What was measured against the goals."""
    ready, memory = median(figures.starts), max(figures.memory.values())
    most = 1.5 * median(figures.alone) + 3.0
    kept = median(each for block in figures.kept for each in block.latencies_ms)
    ratio, bare = median(figures.ratios(KERAS)), median(figures.ratios(BARE))
    slow = median(
        float(np.divide(*np.quantile(each.latencies_ms, [0.99, 0.5]))) for each in figures.together()
    )
    statuses: Counter[int] = sum((block.statuses for block in figures.own()), Counter())
    faults = ", ".join(f"{count} x {status}" for status, count in sorted(statuses.items()) if status != 200)
    classes: dict[int, set[str]] = defaultdict(set)
    for block in figures.own():
        for number, names in block.classes.items():
            classes[number] |= names
    fickle = sum(len(names) > 1 for names in classes.values())
    given = statuses[HTTPStatus.OK] + figures.endurance.archive.num
    missing = given - figures.num_entries
    lost = f"{missing} of {given}, {figures.num_lost} counted as lost"
    libraries = ", ".join(figures.training) or "none"
    return [
        Goal("seconds from the start until ready, median", "5", f"{ready:.1f}", ready <= 5.0),
        Goal("memory of all processes by themselves, MB", "below 250", f"{memory:.0f}", memory < 250.0),
        Goal("training libraries imported", "none", libraries, not figures.training),
        Goal(
            "p50 of an answer, one connection, ms",
            f"{most:.1f} (1.5 x decode and graph + 3)",
            f"{kept:.1f}",
            kept <= most,
        ),
        Goal("answers a second, times those of `model.predict`", "8", f"{ratio:.1f}", ratio >= 8.0),
        Goal("answers a second, times those of bare LiteRT", "0.9", f"{bare:.2f}", bare >= 0.9),
        Goal("p99 of many clients at once, times p50", "below 4", f"{slow:.1f}", slow < 4.0),
        *judge_endurance(figures.endurance),
        Goal("requests that were not answered", "none", faults or "none", not faults),
        Goal("images named differently by different answers", "none", str(fickle), not fickle),
        Goal("answers that are not in the log", "none", lost, not missing and not figures.num_lost),
    ]


def judge_endurance(seen: Endurance) -> list[Goal]:
    """Large photographs, an archive and minutes of load against their goals."""
    grown, archive, engine = seen.growth - 1.0, seen.archive.rate, seen.archive.rate / seen.archive_ratio
    pace, minutes = seen.soak.rate / seen.wanted_rate, seen.soak.seconds / 60
    return [
        Goal(
            "CPU of decoding a JPEG of 12 megapixels, times that of a full decode",
            "0.35",
            f"{seen.decode_ratio:.2f}",
            seen.decode_ratio <= 0.35,
        ),
        Goal(
            f"pictures a second of a ZIP archive of {seen.archive.num}, times those of the engine alone",
            "0.8",
            f"{seen.archive_ratio:.2f} ({archive:.0f} of {engine:.0f}; by CPU {seen.archive_cpu_ratio:.2f})",
            seen.archive_ratio >= 0.8,
        ),
        Goal(
            f"answers in {minutes:.1f} minutes at {seen.wanted_rate:.0f} a second, 80% of the most",
            "all in time",
            f"{pace:.1%}",
            pace >= 0.99,
        ),
        Goal("memory over that time", "within 5%", f"{grown:+.1%}", abs(grown) <= 0.05),
    ]


def render(figures: Figures) -> str:
    """The tables of the page."""
    rows = [(each.what, each.goal, each.measured, "yes" if each.met else "**no**") for each in judge(figures)]
    served = [each for block in figures.kept for each in block.latencies_ms]
    latencies = [
        (name, len(values), *(f"{value:.2f}" for value in np.quantile(values, [0.05, 0.5, 0.95])))
        for name, values in (
            ("decoder and graph alone", figures.alone),
            ("served, one at a time over one connection", served),
        )
    ]
    rates = []
    for rival, pairs in figures.pairs.items():
        own, other = ([pair[i].rate for pair in pairs] for i in (0, 1))
        ratios = figures.ratios(rival)
        told = f"{median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        cpu = [median(pair[i].served_ms for pair in pairs) for i in (0, 1)]
        rates.append(
            (rival, f"{median(own):.1f}", f"{median(other):.1f}", told, *(f"{ms:.2f}" for ms in cpu))
        )
    return "\n\n".join(
        (
            "\n".join(make_table(("", "goal", "measured", "met"), rows)),
            "\n".join(make_table(("latency", "n", "p5, ms", "p50, ms", "p95, ms"), latencies)),
            "\n".join(make_table(RATES, rates)),
            "\n".join(make_table(("memory", "MB"), [(k, f"{v:.0f}") for k, v in figures.memory.items()])),
        )
    )


def make_table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """Lines of a Markdown table."""
    cells = (head, ["---"] * len(head), *rows)
    return [f"| {' | '.join(map(str, row))} |" for row in cells]
