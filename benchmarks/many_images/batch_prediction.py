"""Pictures a second of a batch, against the bare decoder and graph on as many threads, in turns.

python -m benchmarks.many_images.batch_prediction BUNDLE PHOTOS [--rounds 3] [--images 1000]

BUNDLE is the folder of a contract.json, PHOTOS a folder of pictures, which are made 640 x 480 JPEGs. CPU time
is told beside the clock's, because other work on the machine does not change it.
"""

from __future__ import annotations

import argparse
import io
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median

import numpy as np
from PIL import Image

from report.pages.predictions import write_predictions
from vision.base.files import digest_file
from vision.bundle.assembly import read_contract
from vision.bundle.engine import Engine
from vision.bundle.records import Bundle, ExportedGraphs
from vision.config.data import Resize
from vision.data.images import decode_image
from vision.prediction.batch import Batch, BatchModel, run_batch
from vision.prediction.engines import CHUNK
from vision.prediction.listing import open_items


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("bundle", type=Path)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--images", type=int, default=1000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        files = _make_photos(options.photos, Path(scratch) / "photos", options.images)
        ways: dict[str, Callable[[int], None]] = {
            "bare decoder and graph": lambda _: _run_bare(options.bundle, files),
            "batch, tables": lambda turn: _run_batch(options.bundle, files, Path(scratch) / f"a{turn}"),
            "batch, tables, contact sheet": lambda turn: _run_batch(
                options.bundle, files, Path(scratch) / f"b{turn}", sheet=True
            ),
        }
        taken: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
        for turn in range(options.rounds):
            for name, run in ways.items():
                taken[name].append(_time(run, turn))
    base = [median(each[kind] for each in taken["bare decoder and graph"]) for kind in (0, 1)]
    for name, times in taken.items():
        clock, cpu = (median(each[kind] for each in times) for kind in (0, 1))
        print(
            f"{name}: {clock:.1f} s ({options.images / clock:.0f} images/s, {base[0] / clock:.2f} of bare), "
            f"CPU {cpu:.1f} s ({base[1] / cpu:.2f} of bare)"
        )


def _make_photos(source: Path, folder: Path, count: int) -> list[Path]:
    """So many JPEGs of 640 x 480 from the pictures of a folder, in rotation."""
    folder.mkdir()
    found = sorted(each for each in source.rglob("*") if each.suffix.lower() in (".png", ".jpg", ".jpeg"))
    files = []
    for number in range(count):
        with Image.open(found[number % len(found)]) as picture:
            buffer = io.BytesIO()
            picture.convert("RGB").resize((640, 480)).save(buffer, "JPEG", quality=90)
        files.append(folder / f"{number:06}.jpg")
        files[-1].write_bytes(buffer.getvalue())
    return files


def _time(run: Callable[[int], None], turn: int) -> tuple[float, float]:
    clock, cpu = time.perf_counter(), time.process_time()
    run(turn)
    return time.perf_counter() - clock, time.process_time() - cpu


def _run_bare(root: Path, files: Sequence[Path]) -> None:
    contract = read_contract(root)
    workers = len(os.sched_getaffinity(0))
    shares = [files[first::workers] for first in range(workers)]

    def work(share: Sequence[Path]) -> None:
        engine = Engine(root / ExportedGraphs.file_name(contract.precision))
        for start in range(0, len(share), CHUNK):
            images = [
                decode_image(each.read_bytes(), size=contract.image_size, resize=Resize(contract.resize))
                for each in share[start : start + CHUNK]
            ]
            engine.forward(np.stack(images))

    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(work, shares))


def _run_batch(root: Path, files: Sequence[Path], out: Path, *, sheet: bool = False) -> None:
    contract = read_contract(root)
    digests = {**contract.files, Bundle.CONTRACT_NAME: digest_file(root / Bundle.CONTRACT_NAME)}
    digest = Bundle(root=root, files=digests, name=contract.name).digest
    with open_items([files[0].parent]) as listing:
        batch = Batch(listing, BatchModel(root, digest, contract.name))
        run = write_predictions if sheet else run_batch
        run(batch, out, lambda _done, _total: None)


if __name__ == "__main__":
    main()
