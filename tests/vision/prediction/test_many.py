"""Many pictures: little memory each, and the same files whoever answers; what ends its process is a row."""

from __future__ import annotations

import csv
import os
import pickle
import shutil
import signal
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.processes import run_python
from tests.serving.toy import BLACK, GREEN, GREY, RED, make_bundle, paint
from tests.shared_data import REPOSITORY
from tests.vision.prediction.workers import POISON, answer_and_die_once, answer_poisoned, tell_worker
from vision.base.errors import ExecutorError, SourceError
from vision.config.work import ExecutorSettings
from vision.prediction import engines
from vision.prediction.batch import Batch, BatchModel, run_batch
from vision.prediction.boxes import Boxes
from vision.prediction.engines import Asking, Engines, Wanted
from vision.prediction.items import Item
from vision.prediction.listing import open_items
from vision.prediction.records import BatchSummary
from vision.prediction.tables import CSV_NAME
from vision.work.chunks import Lost
from vision.work.current import open_executor, open_work

pytestmark = pytest.mark.slow

MOST_BYTES = 500
"""Of memory for a picture of a batch."""


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for name, colour in {"red": RED, "green": GREEN, "grey": GREY, "black": BLACK}.items():
        for number in range(12):
            shade = tuple(max(0, each - number) for each in colour)
            (folder / f"{name}_{number}.png").write_bytes(paint(shade))  # type: ignore[arg-type]
    (folder / "torn.png").write_bytes(paint(RED)[:50])
    with zipfile.ZipFile(tmp_path / "more.zip", "w") as packed:
        packed.writestr("red.png", paint(RED))
        packed.writestr("deep/torn.png", paint(RED)[:50])
    boxed = [f"photos/{name}_0.png,{left},5,20,20" for name in ("red", "green") for left in (5, 10)]
    (tmp_path / "boxes.csv").write_text("\n".join(["path,left,top,width,height", *boxed]))
    return folder


MEASURED = """
import sys, tracemalloc
from pathlib import Path
from vision.prediction.listing import open_items
from vision.prediction.part_file import Part, open_part_file
from vision.prediction.records import Row
folder = Path(sys.argv[1])
for place in (folder / "photos" / "20150321_035505_64E6_fish000000_frame0.jpg", folder / "photos"):
    tracemalloc.start()  # the first time also what is imported on the way
    with open_items([place], "^(?P<group>.+)_frame") as listing, open_part_file(folder / "out", "k") as part:
        assert all(each.group for each in listing.items)
        for each in listing.items:
            part.add([Part(stamp=each.stamp, row=Row(path=each.path))])
        taken = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
print(taken)
"""


def test_a_picture_of_a_batch_takes_little_memory(tmp_path: Path) -> None:
    count = 3_000
    (tmp_path / "photos").mkdir()
    picture = tmp_path / "picture.jpg"
    picture.write_bytes(paint(RED, "JPEG"))
    for number in range(count):
        os.link(
            picture,
            tmp_path / "photos" / f"20150321_035505_64E6_fish{number // 10:06d}_frame{number % 10}.jpg",
        )
    told = run_python(
        "-c", MEASURED, str(tmp_path)
    ).stdout  # nothing else takes memory in a process of its own
    assert float(told) / count < MOST_BYTES


def test_items_are_read_in_another_process_as_here(photos: Path, tmp_path: Path) -> None:
    with open_items([photos / "red_0.png", tmp_path / "more.zip"]) as listing:
        assert len(listing.items) == 3
        for item in listing.items:
            sent: Item = pickle.loads(pickle.dumps(item))
            assert sent.read() == item.read()
        (tmp_path / "more.zip").unlink()
        gone: Item = pickle.loads(pickle.dumps(listing.items[-1]))
        with pytest.raises(SourceError, match="gone or has changed"):
            gone.read()


def test_a_worker_reads_no_other_archive_that_lies_under_the_name_by_now(photos: Path) -> None:
    archive = photos.parent / "more.zip"
    with open_items([archive]) as listing:
        before: Item = pickle.loads(pickle.dumps(listing.items[-1]))
        expected = before.read()
    archive.unlink()
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr("deep/torn.png", paint(GREEN)[:50])
        packed.writestr("red.png", paint(GREEN))
    with open_items([archive]) as listing:
        after: Item = pickle.loads(pickle.dumps(listing.items[-1]))
        assert after.path == before.path
        assert after.read() == paint(GREEN) != expected
    with pytest.raises(SourceError, match="has changed"):
        before.read()


@pytest.fixture(scope="module")
def executors() -> Iterator[dict[str, ExecutorSettings]]:
    with open_executor(ExecutorSettings(engine="dask", workers=2)) as dask:
        address = dask._client.scheduler.address  # type: ignore[attr-defined]
        yield {
            "threads": ExecutorSettings(),
            "processes": ExecutorSettings(workers=2),
            "dask": ExecutorSettings(engine="dask", address=address),
        }


others = pytest.mark.parametrize("name", ["processes", "dask"])

ALL = Wanted(heat_maps=True, quality=True, views=2, similar=2)


def _answer(
    photos: Path, out: Path, settings: ExecutorSettings, wanted: Wanted = ALL
) -> tuple[BatchSummary, dict[str, bytes]]:
    """The summary, and the bytes of the table and of every heat map."""
    bundle, home = make_bundle(), photos.parent
    asked = [photos, home / "more.zip", home / "boxes.csv"]
    with open_work(settings), open_items(asked, None, Boxes(0.1)) as listing:
        batch = Batch(listing, BatchModel(bundle.root, bundle.digest, "toy"), wanted)
        summary, _ = run_batch(batch, out, lambda _done, _total: None)
    return summary, {each.name: each.read_bytes() for each in [out / CSV_NAME, *out.rglob("*.jpg")]}


def _rows(told: dict[str, bytes]) -> dict[str, dict[str, str]]:
    return {each["path"]: each for each in csv.DictReader(told[CSV_NAME].decode().splitlines())}


@others
@pytest.mark.parametrize("is_killed", [False, True])
def test_the_same_bytes_come_out_whoever_answers(
    name: str,
    is_killed: bool,
    executors: dict[str, ExecutorSettings],
    photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _, expected = _answer(photos, tmp_path / "threads", executors["threads"])
    assert len(_rows(expected)) == 49 + 2 + 4
    assert len(expected) == 1 + 48 + 1 + 4
    marker = tmp_path / "marker"
    if is_killed:
        monkeypatch.setattr(engines, "answer_items", partial(answer_and_die_once, marker=marker))
    _, told = _answer(photos, tmp_path / name, executors[name])
    assert marker.exists() == is_killed
    assert told == expected


@others
def test_a_picture_that_ends_its_workers_is_a_row_and_the_others_are_answered(
    name: str,
    executors: dict[str, ExecutorSettings],
    photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _, expected = _answer(photos, tmp_path / "threads", executors["threads"], Wanted())
    monkeypatch.setattr(engines, "answer_items", answer_poisoned)
    _, told = _answer(photos, tmp_path / name, executors[name], Wanted())
    rows, others = _rows(told), _rows(expected)
    (poisoned,) = (path for path in rows if path.endswith(POISON))
    assert rows[poisoned]["decision"] == "unreadable"
    assert "ended the process" in rows[poisoned]["reason"]
    del rows[poisoned], others[poisoned]
    assert rows == others


KILLED = """
import os, signal, sys
from pathlib import Path
from vision.config.work import ExecutorSettings
from vision.prediction.batch import Batch, BatchModel, run_batch
from vision.prediction.boxes import Boxes
from vision.prediction.listing import open_items
from vision.work.current import open_work

def kill(done, total):
    if done >= 32:
        os.kill(os.getpid(), signal.SIGKILL)

if __name__ == "__main__":
    root, digest, out, *asked = sys.argv[1:]
    with open_work(ExecutorSettings(workers=2)), open_items([*map(Path, asked)], None, Boxes(0.1)) as listing:
        run_batch(Batch(listing, BatchModel(Path(root), digest, "toy")), Path(out), kill)
"""


def test_a_batch_that_is_killed_goes_on_and_repeats_nothing(
    executors: dict[str, ExecutorSettings], photos: Path, tmp_path: Path
) -> None:
    bundle, home = make_bundle(), photos.parent
    _, expected = _answer(photos, tmp_path / "whole", executors["threads"], Wanted())
    words = [bundle.root, bundle.digest, tmp_path / "out", photos, home / "more.zip", home / "boxes.csv"]
    died = subprocess.run([sys.executable, "-c", KILLED, *map(str, words)], cwd=REPOSITORY, check=False)
    assert died.returncode == -signal.SIGKILL
    summary, told = _answer(photos, tmp_path / "out", executors["processes"], Wanted())
    assert summary.num_reused == 32
    assert told == expected


@others
def test_a_worker_stays_small(name: str, executors: dict[str, ExecutorSettings], photos: Path) -> None:
    bundle = make_bundle()
    asking = Asking(bundle.root, bundle.digest, Wanted(similar=2), photos)
    with open_work(executors[name]) as work, open_items([photos]) as listing:
        ask = partial(tell_worker, asking)
        (told,) = next(work.executor.map_chunks(ask, [listing.items[:1]], 1))
    assert not isinstance(told, Lost)
    process, memory, modules = told
    assert process != os.getpid()
    assert not {"tensorflow", "keras", "zenml", "matplotlib", "pandas", "sklearn"} & set(modules)
    assert memory < 200


def test_a_cluster_that_does_not_see_pictures_or_model_is_refused_before_the_first(
    executors: dict[str, ExecutorSettings], photos: Path, tmp_path: Path
) -> None:
    bundle = make_bundle()
    root = Path(shutil.copytree(bundle.root, tmp_path / "bundle"))
    with open_work(executors["dask"]), open_items([photos]) as listing:
        asked = Engines(root, bundle.digest, Wanted(), tmp_path)
        photos.rename(tmp_path / "elsewhere")
        with pytest.raises(ExecutorError, match="photos: 2 of 2 workers have no such folder"):
            next(asked.answer(listing.items))
        (tmp_path / "elsewhere").rename(photos)
        root.rename(tmp_path / "elsewhere")
        with pytest.raises(ExecutorError, match="bundle: 2 of 2 workers have no such folder"):
            next(asked.answer(listing.items))
