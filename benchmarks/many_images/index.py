"""Similar images among 10,000 to a million embeddings: exact search and faiss, and what the kNN bank needs.

    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python -m benchmarks.many_images.index
        [--rows 10000 100000 1000000] [--widths 128 576] [--folder FOLDER] [--real EMBEDDINGS.npz]
        [--output docs/index_benchmarks.md]

Embeddings are drawn as those of photographs lie: classes, individuals in them and pictures of those, of which
some directions vary far more than others, with values below zero cut off. Queries are new pictures. The
reference is exact search on the same float32 embeddings. Every way is measured in a process of its own.
`--real` has `embeddings` (n, d) and `labels` (n,); the last third of its classes is held out as unknown.
"""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from statistics import median
from typing import Any

import faiss
import numpy as np
from sklearn.metrics import roc_auc_score

from benchmarks.pages import page_path, write_page
from vision.base.record import FloatArray, IntArray
from vision.bundle.index import ExactIndex, FaissIndex, build_index, unit_rows
from vision.decision.arrays import choose_rows
from vision.decision.formulas import measure_knn, normalise

NUMBER, QUERIES, TIMED = 10, 200, 100
HIDDEN, FRAMES, CHUNK = 48, 20, 50_000
OTHERS = {
    "faiss IVF, 8 bits": ("IVF{lists},SQ8", 10**6),
    "faiss IVF, product of d/8 bytes": ("IVF{lists},PQ{eighth}", 10**5),
    "faiss HNSW, 16 bits": ("HNSW32_SQfp16", 10**5),
}
"""Ways that were not taken, as faiss writes them, and up to how many embeddings they are tried."""

COLUMNS = (
    *("embeddings", "width", "way", "recall", "CPU ms a query"),
    *("CPU s to build", "s to open", "MB stored", "MB held"),
)
BANKS = (1_000, 2_000, 5_000, 20_000, 100_000)


def draw_embeddings(num: int, width: int, num_classes: int, seed: int = 0) -> tuple[FloatArray, IntArray]:
    """Embeddings (num, width) float32 of pictures, 20 of an individual, and their classes."""
    fixed, rng = np.random.default_rng(9), np.random.default_rng(seed)
    spread = (1 + np.arange(HIDDEN)) ** -0.5
    mixing = fixed.normal(size=(HIDDEN, width)).astype(np.float32)
    centres = fixed.normal(size=(num_classes, HIDDEN)) * spread
    labels = np.sort(rng.integers(0, num_classes, num))
    individuals = 0.6 * rng.normal(size=(num // FRAMES + 1, HIDDEN)) * spread
    found = np.empty((num, width), np.float32)
    for start in range(0, num, CHUNK):
        rows = np.arange(start, min(start + CHUNK, num))
        hidden = centres[labels[rows]] + individuals[rows // FRAMES]
        hidden += 0.4 * rng.normal(size=hidden.shape) * spread
        noise = 0.2 * rng.normal(size=(len(rows), width)).astype(np.float32)
        found[rows] = np.maximum(hidden.astype(np.float32) @ mixing + noise, 0)
    return found, labels


def find_exactly(embeddings: FloatArray, queries: FloatArray) -> IntArray:
    """Rows (q, NUMBER) of the largest cosines, by float32 multiplication."""
    unit = unit_rows(queries)
    starts = range(0, len(embeddings), CHUNK)
    chunks = [unit @ unit_rows(embeddings[start : start + CHUNK]).T for start in starts]
    return np.argpartition(-np.concatenate(chunks, axis=1), NUMBER, axis=1)[:, :NUMBER]


def build_exact(embeddings: FloatArray, path: Path) -> None:
    """Embeddings as float16, as a bundle holds those of fewer images."""
    np.save(path.with_suffix(".npy"), embeddings.astype(np.float16))
    path.with_suffix(".npy").rename(path)


def build_other(embeddings: FloatArray, path: Path, description: str) -> None:
    """An index as faiss describes it; lists as in the product, of which 32 are looked into."""
    num, width = embeddings.shape
    lists = round(2 * num**0.5)
    described = description.format(lists=lists, eighth=width // 8)
    index: Any = faiss.index_factory(width, described, faiss.METRIC_INNER_PRODUCT)
    rows = np.sort(np.random.default_rng(0).choice(num, min(num, 64 * lists), replace=False))
    index.train(unit_rows(embeddings[rows]))
    for start in range(0, num, CHUNK):
        index.add(unit_rows(embeddings[start : start + CHUNK]))
    if description.startswith("IVF"):
        index.nprobe = 32
    faiss.write_index(index, str(path))


class OtherIndex:
    """An index that the product does not use, as `Index`."""

    def __init__(self, path: Path) -> None:
        self._index: Any = faiss.read_index(str(path), faiss.IO_FLAG_MMAP)
        faiss.omp_set_num_threads(1)

    def search(self, queries: FloatArray, number: int) -> tuple[FloatArray, IntArray]:
        """Cosines and rows, as faiss tells them."""
        cosines, rows = self._index.search(unit_rows(queries), number)
        return cosines, rows


def open_exact(path: Path) -> ExactIndex:
    """As a service holds them: in memory."""
    return ExactIndex(np.load(path))


def measure(
    data: Path, path: Path, build: Callable[..., Any], opened: Callable[[Path], Any], *more: str
) -> dict[str, float]:
    """Build in this process, then search in a new one."""
    started = time.process_time()
    build(np.load(data, mmap_mode="r"), path, *more)
    built = time.process_time() - started
    told: dict[str, float] = in_process(search, data, path, opened)
    return {"build": built, "disk": path.stat().st_size / 1e6} | told


def search(data: Path, path: Path, opened: Callable[[Path], Any]) -> dict[str, float]:
    """Recall, milliseconds of a query alone, seconds to open, MB of this process's memory that it takes."""
    stored = np.load(data.with_suffix(".queries.npz"))
    queries, true = stored["queries"], stored["true"]
    before, started = read_pss(), time.process_time()
    index = opened(path)
    ready = time.process_time() - started
    found = [index.search(query[None], NUMBER)[1][0] for query in queries]
    recall = np.mean([np.isin(right, own).mean() for right, own in zip(true, found, strict=True)])
    times = []
    for query in queries[:TIMED]:
        started = time.process_time()
        index.search(query[None], NUMBER)
        times.append(1000 * (time.process_time() - started))
    return {"open": ready, "recall": float(recall), "query": median(times), "memory": read_pss() - before}


def read_pss() -> float:
    """MB of this process, shared pages counted by their share."""
    text = Path("/proc/self/smaps_rollup").read_text()
    return next(int(line.split()[1]) / 1000 for line in text.splitlines() if line.startswith("Pss:"))


def in_process(function: Callable[..., Any], *args: Any) -> Any:
    """What a function gives in a new process."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *args).result()


def prepare(data: Path, num: int, width: int) -> None:
    """Write embeddings, queries and their true neighbours."""
    embeddings, _ = draw_embeddings(num, width, 200)
    queries, _ = draw_embeddings(100_000, width, 200, seed=1)
    queries = queries[:: len(queries) // QUERIES][:QUERIES]
    np.savez(data.with_suffix(".queries.npz"), queries=queries, true=find_exactly(embeddings, queries))
    np.save(data, embeddings)


def compare_ways(num: int, width: int, folder: Path) -> list[str]:
    """Lines of the table."""
    data, path = folder / "embeddings.npy", folder / "index"
    in_process(prepare, data, num, width)
    ways: dict[str, tuple[Any, ...]] = {"numpy, exact": (build_exact, open_exact)}
    ways["**faiss IVF, 16 bits**"] = (build_index, FaissIndex)
    for name, (description, most) in OTHERS.items():
        if num <= most:
            ways[name] = (build_other, OtherIndex, description)
    lines = []
    for name, way in ways.items():
        told = in_process(measure, data, path, *way)
        lines.append(
            f"| {num:,} | {width} | {name} | {told['recall']:.3f} | {told['query']:.2f} | "
            f"{told['build']:.0f} | {told['open']:.2f} | {told['disk']:,.0f} | {told['memory']:,.0f} |"
        )
        print(lines[-1], flush=True)
    return lines


def compare_banks(name: str, embeddings: FloatArray, labels: IntArray, frames: int = 1) -> str:
    """A line: AUROC of the kNN score on held-out classes by the number of embeddings that are kept.

    So many rows one after the other are of one individual, of which all or none are kept.
    """
    rng = np.random.default_rng(0)
    num_known = int(labels.max() + 1) * 2 // 3
    order = rng.permutation(len(labels))
    known, unknown = order[labels[order] < num_known], order[labels[order] >= num_known][:2000]
    groups = np.arange(len(labels)) // frames
    left_out = np.isin(groups[known], rng.permutation(groups[-1] + 1)[: 8000 // frames])
    asked, kept = known[left_out][:2000], known[~left_out]
    chunks = np.array_split(np.concatenate([asked, unknown]), 40)
    told = []
    for most in BANKS:
        rows = kept[choose_rows(labels[kept], groups[kept].astype(str), most, rng)]
        bank = normalise(embeddings[rows]).astype(np.float32)
        scores = np.concatenate([measure_knn(embeddings[at], bank) for at in chunks])
        told.append(f"{roc_auc_score(np.arange(len(scores)) >= len(asked), scores):.4f}")
    line = f"| {name} | {num_known} | {len(kept):,} | {' | '.join(told)} |"
    print(line, flush=True)
    return line


def write_tables(ways: list[str], banks: list[str]) -> str:
    """The generated part of the page."""
    sizes = " | ".join(f"{each:,}" for each in BANKS)
    return "\n".join(
        (
            "# Similar images and the kNN bank, from 10,000 to a million embeddings",
            "",
            f"`python -m benchmarks.many_images.index`: {QUERIES} new pictures, their {NUMBER} nearest, "
            "one query at a time on one thread. Reference: exact search on float32. Held: MB of the process "
            "that searches, pages that it shares counted by their share.",
            "",
            f"| {' | '.join(COLUMNS)} |",
            f"|{'---|' * len(COLUMNS)}",
            *ways,
            "",
            "## How many embeddings the kNN score needs",
            "",
            "AUROC of classes that were held out, by the embeddings that are kept.",
            "",
            f"| embeddings | known classes | training images | {sizes} |",
            f"|---|---|---|{'---|' * len(BANKS)}",
            *banks,
        )
    )


def main() -> None:
    """Measure, print, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--widths", type=int, nargs="+", default=[128, 576])
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--real", type=Path)
    parser.add_argument("--output", type=page_path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as scratch:
        sizes = [(num, width) for width in options.widths for num in options.rows]
        ways = [line for size in sizes for line in compare_ways(*size, Path(scratch))]
    banks = [
        compare_banks("drawn", *draw_embeddings(200_000, 576, classes), FRAMES) for classes in (15, 300, 3000)
    ]
    if options.real:
        stored = np.load(options.real)
        banks.append(compare_banks(options.real.stem, stored["embeddings"], stored["labels"]))
    if options.output:
        write_page(options.output, write_tables(ways, banks))


if __name__ == "__main__":
    main()
