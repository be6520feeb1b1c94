"""Hours, memory, disk and money of a data set before it is read.

    python -m benchmarks.cost --images 1000000 --classes 200 --backbones mobilenet_v2,efficientnet_lite0
        [--strategy frozen|full] [--size 160] [--epochs 30] [--cores 2] [--price 0.10] [--small]
        [--training-rate IMAGES_A_SECOND]

`--price`: of the machine an hour. `--small`: pictures of some 64 pixels; else photographs of 640 x 480.
`--training-rate`: images a second of your GPU (`python -m benchmarks.gpu`), for `full`; else this CPU's.

What an image costs is read from benchmarks/measured/, written by `benchmarks.scaling` and
`benchmarks.scaling.networks`; each line says what was measured and what is only derived from it.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from benchmarks.scaling.page import Measure, combine, read_record

MEASURED = Path(__file__).resolve().parent / "measured"
SCALING_RECORD, TRAINING_RECORD = MEASURED / "scaling.json", MEASURED / "training.json"
TRAIN_SHARE = 0.55
"""Of the images, that an epoch trains on: the default split."""
FROZEN_PASSES = 1.33
"""What `frozen` takes with its head, in passes of its network: measured by `benchmarks.training_speed`."""
_NUMBER_BYTES = 4
_START_GB = 1.5  # TensorFlow, a network and its batches: the main job's peak in docs/benchmarks.md


class PhotoCost(NamedTuple):
    """Reading one photograph: its pixels, CPU milliseconds."""

    pixels: int
    read_ms: float


class TrainingCost(NamedTuple):
    """One network: pixels of its square, width of its embedding, CPU milliseconds an image.

    Of one pass, of one epoch of training all weights, of an answer as it is served.
    """

    backbone: str
    size: int
    width: int
    pass_ms: float
    epoch_ms: float
    answer_ms: float


@dataclass(frozen=True)
class Asked:
    """The data set, and what is done with it."""

    images: int
    classes: int
    backbones: tuple[str, ...]
    strategy: str = "frozen"
    size: int = 160
    epochs: int = 30
    cores: int = 2
    price: float = 0.0
    small: bool = False
    training_rate: float | None = None


class Line(NamedTuple):
    """One part: CPU seconds, GB of memory, GB on disk, and where the figures are from."""

    part: str
    cpu_seconds: float
    memory_gb: float
    disk_gb: float
    told: str


def read_training(path: Path = TRAINING_RECORD) -> tuple[PhotoCost | None, list[TrainingCost]]:
    """What `benchmarks.scaling.networks` measured so far."""
    if not path.exists():
        return None, []
    told = json.loads(path.read_text(encoding="utf-8"))
    return PhotoCost(**told["photo"]), [TrainingCost(**each) for each in told["backbones"]]


def reckon(
    asked: Asked, measures: Sequence[Measure], photo: PhotoCost, networks: Sequence[TrainingCost]
) -> Iterator[Line]:
    """A line for each part.

    Raises:
        SystemExit: a backbone was not measured, or a rate of training came without training.
    """
    if asked.training_rate and asked.strategy != "full":
        raise SystemExit("--training-rate is of training all weights. Type also --strategy full")
    by_part = {part: _Growth.of(part, measures) for part in ("ingest", "explore", "predict")}
    square = asked.size**2 * 3
    yield _read(asked, by_part, photo, square)
    for name in asked.backbones:
        yield _train(asked, _find(name, asked.size, networks))
    winner = max((_find(each, asked.size, networks) for each in asked.backbones), key=_answer_ms)
    yield _export(asked, winner)
    yield _predict(asked, by_part["predict"], photo, winner)


@dataclass(frozen=True)
class _Growth:
    """CPU milliseconds an image at the largest size that was measured; memory and disk as straight lines."""

    images: int
    cpu_ms: float
    memory_mb: tuple[float, float]
    disk_mb_each: float

    @classmethod
    def of(cls, part: str, measures: Sequence[Measure]) -> _Growth:
        found = sorted(
            (each for each in combine(measures).values() if (each.part, each.executor) == (part, "process")),
            key=lambda each: each.images,
        )
        if not found:
            raise SystemExit(f"{SCALING_RECORD} has no {part}. Type python -m benchmarks.scaling")
        first, last = found[0], found[-1]
        more = (last.memory_mb - first.memory_mb) / max(1, last.images - first.images)
        start = first.memory_mb - more * first.images
        return cls(
            last.images, 1000 * last.cpu_seconds / last.images, (start, more), last.disk_mb / last.images
        )

    def memory_gb(self, images: int) -> float:
        start, more = self.memory_mb
        return (start + more * images) / 1000


def _read(asked: Asked, parts: Mapping[str, _Growth], photo: PhotoCost, square: int) -> Line:
    ingest, explore = parts["ingest"], parts["explore"]
    each = explore.cpu_ms + (ingest.cpu_ms if asked.small else max(ingest.cpu_ms, photo.read_ms))
    told = f"measured to {ingest.images:,} small images"
    if not asked.small:
        told += f", {photo.read_ms:.1f} CPU ms a photograph (measured on 1,000)"
    memory = max(part.memory_gb(asked.images) for part in (ingest, explore))
    return Line("read, split, explore", asked.images * each / 1000, memory, asked.images * square / 1e9, told)


def _train(asked: Asked, found: tuple[TrainingCost, str]) -> Line:
    """Training, one pass of all images through what was trained, and what it says of them."""
    network, told = found
    cpu_ms = (FROZEN_PASSES + 1) * asked.images * network.pass_ms
    if asked.strategy == "full":
        trained = asked.images * TRAIN_SHARE * asked.epochs
        cpu_ms = asked.images * network.pass_ms + trained * network.epoch_ms
        if asked.training_rate:
            cpu_ms = 1000 * asked.cores * (asked.images + trained) / asked.training_rate
            told = "your rate of training, also for the pass"
    outputs = asked.images * (network.width + asked.classes) * _NUMBER_BYTES / 1e9
    name = f"{network.backbone}, {asked.strategy}"
    return Line(name, cpu_ms / 1000, _START_GB + 2 * outputs, outputs, told)


def _export(asked: Asked, found: tuple[TrainingCost, str]) -> Line:
    """The winner's graph asked of all images once, for its thresholds and its test."""
    network, told = found
    outputs = asked.images * (network.width + asked.classes) * _NUMBER_BYTES / 1e9
    seconds = asked.images * network.answer_ms / 1000
    return Line(f"export, if {network.backbone} wins", seconds, _START_GB + 2 * outputs, outputs, told)


def _predict(asked: Asked, grown: _Growth, photo: PhotoCost, found: tuple[TrainingCost, str]) -> Line:
    """Answers to as many pictures; a photograph counts half of its reading, for it is decoded once."""
    network, told = found
    decode = 0.0 if asked.small else photo.read_ms / 2
    each = grown.cpu_ms + decode + network.answer_ms
    told = f"files and tables measured to {grown.images:,}; the network {told}"
    if not asked.small:
        told += f"; {decode:.1f} CPU ms a photograph (derived: decoded once, half of reading)"
    disk = asked.images * grown.disk_mb_each / 1000
    return Line(
        "predict as many again", asked.images * each / 1000, grown.memory_gb(asked.images), disk, told
    )


def _answer_ms(found: tuple[TrainingCost, str]) -> float:
    return found[0].answer_ms


def _find(name: str, size: int, networks: Sequence[TrainingCost]) -> tuple[TrainingCost, str]:
    """A network's costs at a size, and how they are known: by pixels from the nearest size otherwise."""
    there = [each for each in networks if each.backbone == name]
    if not there:
        known = ", ".join(sorted({each.backbone for each in networks}))
        raise SystemExit(
            f"{name} was not measured; expected one of {known}. Type python -m benchmarks.scaling.networks "
            f"--backbones {name}"
        )
    near = min(there, key=lambda each: abs(each.size - size))
    if near.size == size:
        return near, f"measured at {size} px"
    factor = (size / near.size) ** 2
    times = (value * factor for value in near[3:])
    return TrainingCost(name, size, near.width, *times), f"derived by pixels from {near.size} px"


def render(asked: Asked, lines: Sequence[Line]) -> str:
    """The table as Markdown, with its sum."""
    hours = [each.cpu_seconds / asked.cores / 3600 for each in lines]
    rows = ["| | hours | memory, GB | disk, GB | money | from |", "|---" * 6 + "|"]
    for line, each in zip(lines, hours, strict=True):
        sizes = f"{line.memory_gb:.1f} | {line.disk_gb:.1f}"
        rows.append(f"| {line.part} | {each:.2f} | {sizes} | {each * asked.price:.2f} | {line.told} |")
    total, memory = sum(hours), max(line.memory_gb for line in lines)
    disk = sum(line.disk_gb for line in lines)
    rows.append(f"| **all** | {total:.2f} | {memory:.1f} | {disk:.1f} | {total * asked.price:.2f} | |")
    told = f"{asked.images:,} images, {asked.classes:,} classes, {asked.size} px, {asked.cores} cores"
    note = "Derived: that all cores are busy all the time and are as fast as those that were measured."
    return "\n".join([f"{told}, {asked.price:.2f} an hour:", "", *rows, "", note])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, required=True)
    parser.add_argument("--classes", type=int, required=True)
    parser.add_argument("--backbones", required=True, help="with commas between them")
    parser.add_argument("--strategy", choices=("frozen", "full"), default="frozen")
    parser.add_argument("--size", type=int, default=160)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--price", type=float, default=0.0, help="of the machine an hour")
    parser.add_argument("--small", action="store_true", help="pictures of some 64 pixels")
    parser.add_argument("--training-rate", type=float, help="images a second of your GPU")
    options = vars(parser.parse_args())
    asked = Asked(**options | {"backbones": tuple(options["backbones"].split(","))})
    photo, networks = read_training()
    if photo is None:
        raise SystemExit(f"{TRAINING_RECORD} is missing. Type python -m benchmarks.scaling.networks")
    print(render(asked, [*reckon(asked, read_record(SCALING_RECORD), photo, networks)]))


if __name__ == "__main__":
    main()
