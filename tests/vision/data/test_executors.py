"""Images are read and decoded to the same bytes whoever does it, and a run that is killed goes on."""

import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.shared_data import REPOSITORY, shared_data
from tests.vision.data.poisoned import decode_poisoned, read_poisoned
from tests.vision.data.test_store import make_manifest
from vision.base.errors import SourceError
from vision.config.data import ImageSettings
from vision.config.work import ExecutorSettings
from vision.data import manifest as reading
from vision.data import store as decoding
from vision.data.manifest import SourceFile, build_manifest
from vision.data.records import Manifest
from vision.data.store import ARRAY_NAME, build_store, is_whole
from vision.work.current import open_work
from vision.work.journal import JOURNAL_NAME

IMAGES = ImageSettings(size=32)
NUM = 100
EXECUTORS = {
    "one process": ExecutorSettings(workers=1),
    "three processes": ExecutorSettings(workers=3),
    "dask": ExecutorSettings(engine="dask", workers=2),
}


@pytest.fixture(params=["painted", "photographs"])
def source(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, list[SourceFile]]:
    root = tmp_path / "source"
    if request.param == "painted":
        make_manifest(root, NUM)
    else:
        fish = sorted(shared_data("fish_egu2017").rglob("*.png"))[::20][:60]
        pets = sorted(shared_data("afhq_stargan_v2").rglob("*.jpg"))[::10][:40]
        for each in [*fish, *pets]:
            target = root / "c0" / each.name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(each, target)
    (root / "c0" / "broken.jpg").write_bytes(b"\xff\xd8\xff junk")
    files = [path for path in root.rglob("*") if path.is_file()]
    return root, [SourceFile(path.relative_to(root).as_posix(), path.parent.name) for path in files]


def read(
    source: tuple[Path, list[SourceFile]], settings: ExecutorSettings, folder: Path
) -> tuple[Manifest, bytes]:
    with open_work(settings, folder):
        manifest = build_manifest(*source, "digest")
        ref = build_store(manifest, IMAGES, folder, chunk=7)
    assert not list(folder.glob(f"{JOURNAL_NAME}*"))
    assert is_whole(Path(ref.path))
    return manifest, (Path(ref.path) / ARRAY_NAME).read_bytes()


def test_the_same_bytes_come_out_whoever_reads(source: tuple[Path, list[SourceFile]], tmp_path: Path) -> None:
    expected = read(source, ExecutorSettings(), tmp_path / "threads")
    assert len(expected[0].entries) == len(source[1]) - 1
    for name, settings in EXECUTORS.items():
        assert read(source, settings, tmp_path / name) == expected, name


@pytest.fixture
def painted(tmp_path: Path) -> tuple[Path, list[SourceFile]]:
    root = tmp_path / "source"
    made = make_manifest(root, NUM)
    return root, [SourceFile(entry.path, entry.class_name) for entry in made.entries]


def test_a_picture_that_ends_its_decoder_is_set_aside(
    painted: tuple[Path, list[SourceFile]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = build_manifest(*painted, "digest")
    monkeypatch.setattr(reading, "CHUNK", 4)
    monkeypatch.setattr(reading, "_read_chunk", read_poisoned)
    with open_work(ExecutorSettings(workers=2), tmp_path / "state"):
        manifest = build_manifest(*painted, "digest")
    (left_out,) = manifest.quarantined
    assert (left_out.path, left_out.class_name) == ("c0/0042.png", "c0")
    assert "ended the process" in left_out.reason
    assert manifest.entries == tuple(each for each in whole.entries if each.path != left_out.path)
    monkeypatch.setattr(decoding, "_decode_chunk", decode_poisoned)
    with (
        open_work(ExecutorSettings(workers=2)),
        pytest.raises(SourceError, match="every process that decodes it ends"),
    ):
        build_store(whole, IMAGES, tmp_path / "stores", chunk=2)


KILLED = """
import os, signal, sys
from pathlib import Path
from tests.vision.data.test_executors import IMAGES
from vision.config.work import ExecutorSettings
from vision.data.manifest import SourceFile, build_manifest
from vision.data.store import build_store
from vision.work.current import open_work

root, folder, reads, decodes = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
files = [SourceFile(path.relative_to(root).as_posix(), path.parent.name) for path in root.rglob("*.png")]

def kill_at(limit):
    return lambda done, total: os.kill(os.getpid(), signal.SIGKILL) if done >= limit else None

with open_work(ExecutorSettings(), folder):
    manifest = build_manifest(root, files, "digest", progress=kill_at(reads))
    build_store(manifest, IMAGES, folder, chunk=7, progress=kill_at(decodes))
"""


def kill_run(root: Path, folder: Path, *, reads: int = 1000, decodes: int = 1000) -> None:
    words = [sys.executable, "-c", KILLED, str(root), str(folder), str(reads), str(decodes)]
    assert subprocess.run(words, cwd=REPOSITORY, check=False).returncode == -signal.SIGKILL


def count_calls(monkeypatch: pytest.MonkeyPatch, module: object, name: str) -> list[str]:
    calls: list[str] = []
    function = getattr(module, name)

    def counted(*args: object, **kwargs: object) -> object:
        calls.append(name)
        return function(*args, **kwargs)

    monkeypatch.setattr(module, name, counted)
    return calls


def test_a_run_that_is_killed_reads_and_decodes_only_what_is_missing(
    painted: tuple[Path, list[SourceFile]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = read(painted, ExecutorSettings(), tmp_path / "whole")
    folder = tmp_path / "killed"
    kill_run(painted[0], folder, reads=65)
    kill_run(painted[0], folder, decodes=30)
    probed, decoded = (
        count_calls(monkeypatch, reading, "probe_image"),
        count_calls(monkeypatch, decoding, "decode_image"),
    )
    assert read(painted, ExecutorSettings(), folder) == expected
    assert len(probed) == 0  # the second attempt read the rest
    assert len(decoded) == NUM - 35


def test_an_array_that_changed_since_the_kill_is_decoded_again_from_there(
    painted: tuple[Path, list[SourceFile]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = read(painted, ExecutorSettings(), tmp_path / "whole")
    folder = tmp_path / "killed"
    kill_run(painted[0], folder, decodes=60)
    (partial,) = folder.glob(f"*/.{ARRAY_NAME}*")
    with partial.open("r+b") as file:
        file.seek(128 + 10 * 32 * 32 * 3)
        file.write(b"\x00" * 500)
    decoded = count_calls(monkeypatch, decoding, "decode_image")
    assert read(painted, ExecutorSettings(), folder) == expected
    assert len(decoded) == NUM - 7


def test_files_that_changed_since_the_kill_are_read_again(
    painted: tuple[Path, list[SourceFile]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, folder = painted[0], tmp_path / "killed"
    kill_run(root, folder, reads=65)
    (root / painted[1][0].path).write_bytes((root / painted[1][1].path).read_bytes())
    probed = count_calls(monkeypatch, reading, "probe_image")
    manifest, _ = read(painted, ExecutorSettings(), folder)
    assert len(probed) == 32 + 4  # the chunk of the changed file, and the one that was not reached
    assert manifest.entries[0].digest == manifest.entries[1].digest


def test_a_file_that_could_not_be_read_is_tried_again_by_the_next_attempt(
    painted: tuple[Path, list[SourceFile]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, read_bytes = tmp_path / "stopped", reading._read_bytes

    def refuse(path: Path, max_megapixels: float) -> bytes:
        if path.name == "0042.png":
            raise PermissionError(13, "Permission denied")
        return read_bytes(path, max_megapixels)

    def stop(_done: int, _total: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(reading, "_read_bytes", refuse)
    with pytest.raises(KeyboardInterrupt):
        _read_and(stop, painted, folder)
    monkeypatch.setattr(reading, "_read_bytes", read_bytes)
    manifest, _ = read(painted, ExecutorSettings(), folder)
    assert not manifest.quarantined
    assert len(manifest.entries) == NUM


def _read_and(stop: Callable[[int, int], None], source: tuple[Path, list[SourceFile]], folder: Path) -> None:
    """Read all files, of which one cannot be read; then stop at the first that is decoded."""
    with open_work(ExecutorSettings(), folder):
        manifest = build_manifest(*source, "digest")
        assert [each.path for each in manifest.quarantined] == ["c0/0042.png"]
        build_store(manifest, IMAGES, folder, chunk=7, progress=stop)
