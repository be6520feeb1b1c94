"""What is measured of a command, and the page and the costs that are made of it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from benchmarks.cost import Asked, PhotoCost, TrainingCost, reckon, render
from benchmarks.scaling import __main__ as scaling
from benchmarks.scaling.__main__ import Job, list_jobs, measure_all
from benchmarks.scaling.footprint import watch
from benchmarks.scaling.page import Measure, combine, read_record
from benchmarks.scaling.page import render as render_page

WORK = """
import subprocess, sys, time
held = bytearray(b"1" * (60 << 20))
child = "import time; held = b'1' * (80 << 20)\\nwhile time.process_time() < 1: 1"
subprocess.run([sys.executable, "-c", child], check=True)
"""
MACHINE: dict[str, object] = {"cpus": 2, "processor": "a", "python": "3.11"}


def _measure(part: str, images: int, ms: float, mb: float, turn: int = 0, command: str = "read") -> Measure:
    seconds = images * ms / 1000
    return Measure(part, images, "process", turn, seconds, seconds, mb, 0.0, images / 1000, 1.0, command)


def test_a_footprint_counts_all_processes(tmp_path: Path) -> None:
    taken = watch([sys.executable, "-c", WORK], os.environ, tmp_path / "printed.txt").whole()
    assert 140 < taken.memory_mb < 220
    assert 1 <= taken.cpu_seconds < 2
    with pytest.raises(SystemExit, match="ended with 1"):
        watch([sys.executable, "-c", "raise SystemExit('no')"], os.environ, tmp_path / "printed.txt")


def test_small_sizes_take_turns_and_large_ones_come_once(tmp_path: Path) -> None:
    jobs = list_jobs([10, 100, 1_000_000], ["process", "dask"], 2, tmp_path)
    told = [(each.images, each.executor, each.turn) for each in jobs]
    turn = [(10, "process"), (10, "dask"), (100, "process"), (100, "dask")]
    large = [(1_000_000, "process", 0), (1_000_000, "dask", 0)]
    assert told == [(*each, number) for number in (0, 1) for each in turn] + large


def test_what_the_record_has_is_not_measured_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def count(job: Job) -> list[Measure]:
        asked.append(job.images)
        job.folder.mkdir(parents=True)
        return [_measure("ingest", job.images, 2, 100)]

    monkeypatch.setattr(scaling, "COMMANDS", {"read": count})
    monkeypatch.setattr(scaling, "paint_photos", lambda _job: None)
    record, page = tmp_path / "measured.json", tmp_path / "page.md"
    measure_all([Job(10, "process", 0, tmp_path)], ["read"], record, page)
    measure_all([Job(10, "process", 0, tmp_path), Job(20, "process", 0, tmp_path)], ["read"], record, page)
    assert asked == [10, 20]
    assert [each.images for each in read_record(record)] == [10, 20]
    assert "| 20 | process |" in page.read_text()


def test_the_page_tells_growth_from_the_smallest_to_the_largest() -> None:
    measures = [_measure("ingest", 10_000, 2, 100), _measure("ingest", 1_000_000, 3, 595)]
    overview = next(
        line for line in render_page(measures, MACHINE).splitlines() if line.startswith("| ingest")
    )
    assert overview == "| ingest | 2.000 | 3.000 | 1.50 | 100 | 595 | 500 |"
    turns = [_measure("split", 10, ms, 1, turn) for turn, ms in enumerate((1.0, 5.0, 2.0))]
    assert combine(turns)["split", "process", 10].seconds == pytest.approx(0.02)


def test_costs_add_up_by_hand() -> None:
    measures = [
        *(_measure("ingest", n, 1, mb) for n, mb in ((10_000, 110), (110_000, 160))),
        *(_measure("explore", n, 0.5, 50) for n in (10_000, 110_000)),
        *(_measure("predict", n, 2, 200, command="predict") for n in (10_000, 110_000)),
    ]
    network = TrainingCost("cnn", 80, 100, pass_ms=10, epoch_ms=40, answer_ms=3)
    asked = Asked(1_000_000, 150, ("cnn",), "full", 160, 10, cores=4, price=2.0)
    read, train, export, predict = reckon(asked, measures, PhotoCost(307_200, 8.0), [network])
    assert read.cpu_seconds == pytest.approx(1e6 * (8.0 + 0.5) / 1000)
    assert read.memory_gb == pytest.approx(0.105 + 0.5)  # half a KB an image
    assert read.disk_gb == pytest.approx(76.8)
    assert train.cpu_seconds == pytest.approx(4 * 1e6 * (10 + 0.55 * 10 * 40) / 1000)  # four times the pixels
    assert "derived by pixels from 80 px" in train.told
    assert train.disk_gb == pytest.approx(1.0)
    assert export.cpu_seconds == pytest.approx(12_000)
    assert predict.cpu_seconds == pytest.approx(1e6 * (2 + 4 + 12) / 1000)
    assert "4.0 CPU ms a photograph (derived: decoded once, half of reading)" in predict.told
    hours = sum(each.cpu_seconds for each in (read, train, export, predict)) / 4 / 3600
    assert f"| **all** | {hours:.2f} |" in render(asked, [read, train, export, predict])
    with pytest.raises(SystemExit, match="expected one of cnn"):
        [*reckon(Asked(1, 2, ("vgg",)), measures, PhotoCost(1, 1.0), [network])]
    with pytest.raises(SystemExit, match="also --strategy full"):
        [*reckon(Asked(1, 2, ("cnn",), training_rate=5.0), measures, PhotoCost(1, 1.0), [network])]
