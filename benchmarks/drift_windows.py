"""How often a window of plain reef fish is called drifted, and how often a drift gets its name.

Each window is a reef of its own seed: 200 images of known species, up to five frames of each individual,
painted, encoded, decoded and answered by a trained bundle as the service would, then judged against the
bundle's own reference. The turbid windows are the painter's own drift at the end of its scale (`turbidity`
1), fixed beforehand. In the windows with missing classes three of the eight, drawn by the seed, are left out
and the others have more individuals. Seeds begin at 50,000, far from those of any config. Cost: 5 CPU
seconds a window.

    python -m benchmarks.drift_windows --bundle FOLDER --digest SHA256 --plain 100 --turbid 50 --missing 50
"""

from __future__ import annotations

import argparse
import multiprocessing
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.pages import page_path, write_page
from vision.base.record import ImageArray
from vision.bundle.assembly import LoadedBundle, load_bundle, load_reference
from vision.config.data import ReefSource, Resize
from vision.config.monitoring import DriftSettings
from vision.data.images import decode_image
from vision.data.sources.reef.dataset import paint_bytes, plan_reef
from vision.drift.records import DriftCause, DriftReport, DriftStatus
from vision.drift.reference import DriftReference, round_embeddings
from vision.drift.verdict import judge_drift
from vision.drift.window import Window

FIRST_SEED = 50_000
NUM_IMAGES = 200
NUM_CLASSES = 8
NUM_MISSING = 3
FRAMES = 5
TURBID = 1.0
PLAIN, TURBID_WATER, MISSING = "plain", "turbid", "missing"
KINDS = PLAIN, TURBID_WATER, MISSING
GOALS = {
    PLAIN: "at most 9 of 100 drifted",
    TURBID_WATER: "capture in at least 45 of 50",
    MISSING: "covariate in at most 5 of 50",
}

Painted = tuple[ImageArray, list[str]]


@dataclass(frozen=True)
class Task:
    """One window to paint."""

    kind: str
    seed: int
    image_size: int
    resize: Resize


def paint_window(task: Task) -> Painted:
    """Images (n, s, s, 3) of one window, and the individual that each shows."""
    turbidity = TURBID if task.kind == TURBID_WATER else 0.0
    num_classes = NUM_CLASSES - NUM_MISSING if task.kind == MISSING else NUM_CLASSES
    source = ReefSource(
        seed=task.seed,
        images_per_class=NUM_IMAGES // num_classes,
        unknown_images_per_class=0,
        frames_per_individual=FRAMES,
        turbidity=turbidity,
    )
    planned = plan_reef(source)
    species = np.random.default_rng(task.seed).permutation(sorted({each.species for each in planned}))
    tasks = [each for each in planned if each.species in species[:num_classes]]
    images = [
        decode_image(paint_bytes(each, source.seed, turbidity), size=task.image_size, resize=task.resize)
        for each in tasks
    ]
    return np.stack(images), [f"{each.species}_{each.individual}" for each in tasks]


def answer_window(bundle: LoadedBundle, painted: Painted) -> Window:
    """The bundle's answers to a window, as the prediction log would hold them."""
    images, individuals = painted
    forward, quality, decisions = bundle.predictor().run(images)
    return Window(
        embeddings=round_embeddings(forward.embeddings),
        quality=quality,
        logits=forward.logits,
        called_unknown=decisions.called_unknown,
        clients=np.full(len(images), "reef"),
        groups=np.array(individuals, dtype=np.str_),
        times=np.arange(len(images), dtype=np.float64),
    )


def paint_all(tasks: list[Task], num_workers: int) -> Iterator[tuple[Task, Painted]]:
    """Every window in turn, painted by processes of their own."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=num_workers, mp_context=context) as pool:
        for start in range(0, len(tasks), num_workers):
            chunk = tasks[start : start + num_workers]
            yield from zip(chunk, pool.map(paint_window, chunk), strict=True)


def run(
    bundle: LoadedBundle, reference: DriftReference, counts: dict[str, int], num_workers: int
) -> dict[str, list[DriftReport]]:
    """The verdicts on so many windows of each kind."""
    size, resize = bundle.contract.image_size, Resize(bundle.contract.resize)
    tasks = [
        Task(kind, FIRST_SEED + i + 10_000 * KINDS.index(kind), size, resize)
        for kind, count in counts.items()
        for i in range(count)
    ]
    reports: dict[str, list[DriftReport]] = {kind: [] for kind in counts}
    for task, painted in paint_all(tasks, num_workers):
        window = answer_window(bundle, painted)
        started = time.perf_counter()
        report = judge_drift(reference, window, DriftSettings(), task.seed)
        reports[task.kind].append(report)
        p_values = ", ".join(f"{test.name} {test.p_value:.3f}" for test in report.tests)
        seconds = time.perf_counter() - started
        print(f"{task.kind} {task.seed}: {name_verdict(report)} ({p_values}; {seconds:.1f} s)", flush=True)
    return reports


def name_verdict(report: DriftReport) -> str:
    """The cause, or the status where there is none."""
    return (report.cause or report.status).value


def tabulate(reports: dict[str, list[DriftReport]]) -> str:
    """Markdown: one row a kind of window, one column a verdict."""
    verdicts = [
        DriftStatus.QUIET.value,
        *(cause.value for cause in DriftCause),
        DriftStatus.INSUFFICIENT.value,
    ]
    lines = [
        "| windows | n | images / groups | " + " | ".join(verdicts) + " | goal |",
        "|" + "---|" * (len(verdicts) + 4),
    ]
    for kind, found in reports.items():
        if not found:
            continue
        counts = Counter(name_verdict(report) for report in found)
        images, groups = (
            f"{np.mean([getattr(report, name) for report in found]):.0f}"
            for name in ("num_images", "num_groups")
        )
        cells = " | ".join(str(counts[verdict]) for verdict in verdicts)
        lines.append(f"| {kind} | {len(found)} | {images} / {groups} | {cells} | {GOALS[kind]} |")
    return "\n".join(lines)


def main() -> None:
    """Print every verdict and the table; write the table where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--bundle", type=Path, required=True, help="the bundle's folder")
    parser.add_argument("--digest", required=True, help="the digest that the registry pins")
    parser.add_argument("--plain", type=int, default=100)
    parser.add_argument("--turbid", type=int, default=50)
    parser.add_argument("--missing", type=int, default=50)
    parser.add_argument("--workers", type=int, default=2, help="processes that paint")
    parser.add_argument("--output", type=page_path, help="Markdown file for the table")
    arguments = parser.parse_args()
    bundle = load_bundle(arguments.bundle, arguments.digest, num_threads=2)
    reference = load_reference(arguments.bundle, arguments.digest)
    print(f"reference: {len(reference.groups)} images in {reference.num_groups} groups")
    counts = {kind: getattr(arguments, kind) for kind in KINDS}
    table = tabulate(run(bundle, reference, counts, arguments.workers))
    print(table)
    if arguments.output:
        write_page(arguments.output, table)


if __name__ == "__main__":
    main()
