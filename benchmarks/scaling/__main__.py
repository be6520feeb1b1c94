"""What reading and answering many images costs: seconds, CPU, memory, disk, for each size and executor.

    python -m benchmarks.scaling --output docs/scaling_benchmarks.md [--sizes 10000 100000 1000000]
                                 [--executors process dask] [--work FOLDER] [--rounds 1]

Each command runs in a process of its own on images of `benchmarks.scaling.images` (kept in the work folder):
the first steps of a training, `run.py explore`, and `run.py predict` with a small network that is trained on
10,000 of them first. Sizes up to 100,000 are measured `--rounds` times in turn, larger ones once. After each
command the figures go into a JSON file and the page is written from it; what the file has already is not
measured again, so a stopped measurement goes on when the same command is typed again.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import yaml

from benchmarks.pages import page_path, write_page
from benchmarks.scaling.footprint import ROOT, Footprint, Trace, watch
from benchmarks.scaling.images import GROUP_BY, ImageSet, paint
from benchmarks.scaling.page import Measure, draw, read_record, render
from orchestration.flows.running.machine import describe_machine
from vision.base.files import write_atomically
from vision.base.home import STATE_VARIABLE

RECORD = ROOT / "benchmarks" / "measured" / "scaling.json"
IMAGE_SIZE = 32
TRAINED_ON = 10_000
MOST_TURNS_AT = 100_000
"""Larger sizes are measured once."""


@dataclass(frozen=True)
class Job:
    """So many images and how they are worked on; what is written goes into `folder`."""

    images: int
    executor: str
    turn: int
    work: Path

    @property
    def photos(self) -> Path:
        """The images."""
        return self.work / f"photos-{self.images}"

    @property
    def folder(self) -> Path:
        """A project of its own, or what else a command writes."""
        return self.work / f"job-{self.images}-{self.executor}-{self.turn}"

    def write_config(self) -> Path:
        """A configuration for these images, with two classes held out as unknown."""
        network = {"backbone": "cnn", "width": 0.25, "epochs": 5, "batch_size": 64}
        config = {
            "name": "scaling",
            "dataset": {
                "source": "folder",
                "path": str(self.photos),
                "group_by": GROUP_BY,
                "unknown_classes": ["class_000", "class_001"],
            },
            "images": {"size": IMAGE_SIZE},
            "training": {"candidates": {"cnn": network}},
            "executor": self.executor,
        }
        path = self.folder / "scaling.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump(config))
        return path

    def run(self, *arguments: str | Path, state: Path | None = None) -> Trace:
        """Run Python with these arguments in the job's project, or in another one."""
        self.folder.mkdir(parents=True, exist_ok=True)
        environment = os.environ | {STATE_VARIABLE: str(state or self.folder), "NO_COLOR": "1"}
        return watch([sys.executable, *map(str, arguments)], environment, self.folder / "printed.txt")

    def measure(self, part: str, taken: Footprint, written: Sequence[Path], page: Path | None) -> Measure:
        """A part's footprint, and the megabytes of what it wrote."""
        return Measure(
            part=part,
            images=self.images,
            executor=self.executor,
            turn=self.turn,
            **asdict(taken),
            disk_mb=sum(map(_megabytes, written)),
            page_mb=_megabytes(page) if page else 0.0,
        )


def read(job: Job) -> Iterator[Measure]:
    """The first steps of a training."""
    times = job.folder / "times.json"
    trace = job.run("-m", "benchmarks.scaling.reading", job.write_config(), times)
    for part, span in json.loads(times.read_text()).items():
        written = [*job.folder.glob(f"state/zenml/local_stores/*/{part}")]
        written += [job.folder / "state" / "images"] if part == "ingest" else []
        yield job.measure(part, trace.window(*span), written, None)


def explore(job: Job) -> Iterator[Measure]:
    """The page before any training."""
    trace = job.run("run.py", "explore", job.write_config())
    (page,) = job.folder.glob("explorations/*/exploration.html")
    yield job.measure("page", trace.whole(), [page.parent], page)


def predict(job: Job) -> Iterator[Measure]:
    """Answers for all images by a model that is trained once."""
    answers, model = job.folder / "answers", train_model(job.work)
    by = () if job.executor == "process" else ("--executor", job.executor)
    trace = job.run("run.py", "predict", job.photos, "--run", "latest", "--out", answers, *by, state=model)
    yield job.measure("predict", trace.whole(), [answers], answers / "predictions.html")


COMMANDS: dict[str, Callable[[Job], Iterator[Measure]]] = {"read": read, "page": explore, "predict": predict}


def train_model(work: Path) -> Path:
    """The project in which a small network was trained on the first images, if need be now."""
    job, model = Job(TRAINED_ON, "process", 0, work), work / "model"
    if not (model / "runs" / "latest" / "summary.json").exists():
        paint_photos(job)
        config = str(job.write_config())
        done = subprocess.run(
            [sys.executable, "run.py", "--pipeline", "training", "--config", config],
            cwd=ROOT,
            env=os.environ | {STATE_VARIABLE: str(model), "NO_COLOR": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode not in (0, 3):  # 3: the gate refuses it, and it answers all the same
            raise SystemExit(f"The training of the small network failed:\n{done.stderr[-4000:]}")
    return model


def paint_photos(job: Job) -> None:
    """Paint a job's images unless all of them are there."""
    finished = job.photos.with_suffix(".finished")
    if not finished.exists():
        for _ in paint(ImageSet(job.photos, job.images)):
            pass
        finished.touch()


def list_jobs(sizes: Sequence[int], executors: Sequence[str], rounds: int, work: Path) -> Iterator[Job]:
    """Small sizes in turn, then each larger one."""
    small = [size for size in sizes if size <= MOST_TURNS_AT]
    for turn in range(rounds):
        yield from (Job(size, executor, turn, work) for size in small for executor in executors)
    yield from (Job(size, each, 0, work) for size in sizes if size not in small for each in executors)


def measure_all(jobs: Sequence[Job], commands: Sequence[str], record: Path, page: Path | None) -> None:
    """Measure what the record lacks; record and page are written after each command."""
    for job in jobs:
        for name in commands:
            measures = read_record(record)
            told = {each.command for each in measures if each.job == (job.images, job.executor, job.turn)}
            if name in told:
                continue
            paint_photos(job)
            shutil.rmtree(job.folder, ignore_errors=True)
            found = [each.of(name) for each in COMMANDS[name](job)]
            shutil.rmtree(job.folder)
            measures = [*read_record(record), *found]
            record.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(record, json.dumps([asdict(each) for each in measures], indent=1) + "\n")
            if page:
                _write_page(page, measures)
            for each in found:
                print(each.line(), flush=True)


def _write_page(page: Path, measures: Sequence[Measure]) -> None:
    """The page, and its picture beside it."""
    picture = page.parent / "pictures" / "scaling.png"
    picture.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(picture, draw(measures))
    write_page(page, render(measures, describe_machine()))


def _megabytes(path: Path) -> float:
    """Of a file, or of all files below a folder."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(each.stat().st_size for each in files if each.is_file()) / 1e6


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=page_path, default=None, help="the page; default: none")
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--executors", nargs="+", default=["process", "dask"])
    parser.add_argument("--commands", nargs="+", choices=COMMANDS, default=list(COMMANDS))
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--work", type=Path, default=Path("/tmp/taxon-scaling"))
    parser.add_argument("--record", type=Path, default=RECORD)
    options = parser.parse_args()
    jobs = [*list_jobs(options.sizes, options.executors, options.rounds, options.work.absolute())]
    measure_all(jobs, options.commands, options.record, options.output)


if __name__ == "__main__":
    main()
