"""Images that are listed, read, checked and decoded a second, and the memory that this takes.

    python -m benchmarks.many_images.ingest [--images 2000 10000] [--side 96]

JPEGs of 640 x 480 pixels and some 75 KB, half of them in each of two class folders. Goal: at least 300
images/s on two cores, with memory that does not grow with their number. CPU seconds are told as well, because
other work on the machine changes the first figure most.
"""

from __future__ import annotations

import argparse
import io
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

from vision.config.data import FolderSource, ImageSettings
from vision.data.sources import read_source
from vision.data.store import build_store

_DIFFERENT = 40


def paint_files(root: Path, num: int) -> None:
    """JPEGs of different bytes: some pictures, each under many comments."""
    rng = np.random.default_rng(0)
    pictures = []
    for _ in range(_DIFFERENT):
        coarse = Image.fromarray(rng.integers(0, 256, (12, 16, 3), dtype=np.uint8)).resize((640, 480))
        grain = Image.fromarray(rng.integers(0, 256, (480, 640, 3), dtype=np.uint8))
        out = io.BytesIO()
        Image.blend(coarse, grain.filter(ImageFilter.BoxBlur(1)), 0.35).save(out, "JPEG", quality=88)
        pictures.append(out.getvalue())
    for index in range(num):
        raw, comment = pictures[index % _DIFFERENT], f"{index:08d}".encode()
        path = root / ("chub" if index % 2 else "perch") / f"{index:06d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(raw[:2] + b"\xff\xfe\x00\x0a" + comment + raw[2:])


def measure(num: int, side: int, folder: Path) -> str:
    """A line for one number of images."""
    root = folder / f"photos{num}"
    paint_files(root, num)
    started, cpu = time.perf_counter(), time.process_time()
    manifest = read_source(FolderSource(path=root), folder)
    build_store(manifest, ImageSettings(size=side), folder / "store")
    seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return (
        f"{num:,} images: {num / seconds:.0f} images/s, {num / cpu_seconds:.0f} a CPU second, "
        f"at most {peak:.0f} MB so far"
    )


def main() -> None:
    """Print one line for each number of images."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, nargs="+", default=[2_000, 10_000])
    parser.add_argument("--side", type=int, default=96)
    arguments = parser.parse_args()
    for num in arguments.images:
        with tempfile.TemporaryDirectory() as folder:
            print(measure(num, arguments.side, Path(folder)))


if __name__ == "__main__":
    main()
