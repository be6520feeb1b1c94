"""The decoded store is whole or not there, and its memory does not grow with the data."""

import errno
import hashlib
import io
import os
import signal
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.shared_data import REPOSITORY
from vision.base.errors import SourceError, StorageError
from vision.config.data import ImageSettings, Resize
from vision.data.images import decode_image
from vision.data.manifest import SourceFile, build_manifest
from vision.data.records import DatasetRef, Manifest
from vision.data.store import ARRAY_NAME, build_store, is_whole, open_images

SETTINGS = ImageSettings(size=16)


def make_manifest(root: Path, num: int = 7, *, seed: int = 0) -> Manifest:
    rng = np.random.default_rng(seed)
    files = []
    for index in range(num):
        path = root / f"c{index % 2}" / f"{index:04d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        out = io.BytesIO()
        Image.fromarray(rng.integers(0, 256, (10, 14, 3), dtype=np.uint8)).save(out, "PNG")
        path.write_bytes(out.getvalue())
        files.append(SourceFile(path.relative_to(root).as_posix(), path.parent.name))
    return build_manifest(root, files, f"source {seed}")


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    return make_manifest(tmp_path / "source")


def expected_pixels(manifest: Manifest) -> np.ndarray:
    raws = [(Path(manifest.root) / entry.path).read_bytes() for entry in manifest.entries]
    return np.stack([decode_image(raw, size=16, resize=Resize.PAD) for raw in raws])


def leftovers(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("chunk", [1, 3, 256])
def test_row_i_is_entry_i_and_the_hash_is_of_the_pixels(
    chunk: int, manifest: Manifest, tmp_path: Path
) -> None:
    ref = build_store(manifest, SETTINGS, tmp_path / "stores", chunk=chunk)
    images = open_images(ref)
    pixels = expected_pixels(manifest)
    assert np.array_equal(images, pixels)
    assert ref.content_hash == hashlib.sha256(pixels.tobytes()).hexdigest()
    assert (ref.num_images, ref.image_size, ref.resize) == (7, 16, "pad")
    assert ref.source_digest == "source 0"


def test_the_images_cannot_be_written_to(manifest: Manifest, tmp_path: Path) -> None:
    images = open_images(build_store(manifest, SETTINGS, tmp_path / "stores"))
    with pytest.raises(ValueError, match="read-only"):
        images[0] = 0


def test_a_complete_store_is_reused_without_reading_an_image(manifest: Manifest, tmp_path: Path) -> None:
    first = build_store(manifest, SETTINGS, tmp_path / "stores")
    for entry in manifest.entries:
        (Path(manifest.root) / entry.path).unlink()
    assert build_store(manifest, SETTINGS, tmp_path / "stores") == first


def test_other_images_sizes_and_policies_have_stores_of_their_own(tmp_path: Path) -> None:
    manifest, other = make_manifest(tmp_path / "a"), make_manifest(tmp_path / "b", seed=1)
    settings = [SETTINGS, ImageSettings(size=24), ImageSettings(size=16, resize=Resize.STRETCH)]
    paths = {build_store(manifest, each, tmp_path / "stores").path for each in settings}
    paths.add(build_store(other, SETTINGS, tmp_path / "stores").path)
    assert len(paths) == 4


def test_the_same_images_elsewhere_share_a_store(tmp_path: Path) -> None:
    here, there = make_manifest(tmp_path / "a"), make_manifest(tmp_path / "b")
    assert build_store(here, SETTINGS, tmp_path / "s") == build_store(there, SETTINGS, tmp_path / "s")


def test_progress_reaches_the_end(manifest: Manifest, tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    build_store(
        manifest, SETTINGS, tmp_path / "s", chunk=3, progress=lambda done, total: calls.append((done, total))
    )
    assert calls == [(3, 7), (6, 7), (7, 7)]


def interrupt(done: int, total: int) -> None:
    if done >= 3:
        raise KeyboardInterrupt


def test_an_interruption_leaves_nothing_that_looks_whole(manifest: Manifest, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        build_store(manifest, SETTINGS, tmp_path / "stores", chunk=3, progress=interrupt)
    assert leftovers(tmp_path / "stores") == []


DYING_PROCESS = """
import os, signal, sys
from pathlib import Path
from vision.config.data import ImageSettings
from vision.data.records import Manifest
from vision.data.store import build_store

manifest = Manifest.model_validate_json(sys.stdin.read())
kill = lambda done, total: os.kill(os.getpid(), signal.SIGKILL)
build_store(manifest, ImageSettings(size=16), Path(sys.argv[1]), chunk=3, progress=kill)
"""


def test_a_kill_leaves_a_partial_file_that_the_next_run_clears(manifest: Manifest, tmp_path: Path) -> None:
    died = subprocess.run(
        [sys.executable, "-c", DYING_PROCESS, str(tmp_path / "stores")],
        input=manifest.model_dump_json(),
        text=True,
        check=False,
        cwd=REPOSITORY,
    )
    assert died.returncode == -signal.SIGKILL
    partial = leftovers(tmp_path / "stores")
    assert len(partial) == 1
    assert partial[0].endswith(".partial")
    ref = build_store(manifest, SETTINGS, tmp_path / "stores")
    assert leftovers(tmp_path / "stores") == ["images.npy", "store.json"]
    assert np.array_equal(open_images(ref), expected_pixels(manifest))


def test_an_array_without_its_card_is_not_taken_for_a_store(manifest: Manifest, tmp_path: Path) -> None:
    ref = build_store(manifest, SETTINGS, tmp_path / "stores")
    (Path(ref.path) / "store.json").unlink()
    with pytest.raises(StorageError, match="missing"):
        open_images(ref)
    (Path(ref.path) / ARRAY_NAME).write_bytes(b"half")
    assert build_store(manifest, SETTINGS, tmp_path / "stores") == ref
    assert np.array_equal(open_images(ref), expected_pixels(manifest))


def test_an_array_cut_short_is_built_again(manifest: Manifest, tmp_path: Path) -> None:
    ref = build_store(manifest, SETTINGS, tmp_path / "stores")
    array = Path(ref.path) / ARRAY_NAME
    array.write_bytes(array.read_bytes()[:-10])
    with pytest.raises(StorageError, match="no readable array"):
        open_images(ref)
    assert build_store(manifest, SETTINGS, tmp_path / "stores") == ref
    assert np.array_equal(open_images(ref), expected_pixels(manifest))


def test_an_array_of_another_type_is_no_array_of_pixels(manifest: Manifest, tmp_path: Path) -> None:
    ref = build_store(manifest, SETTINGS, tmp_path / "stores")
    np.save(Path(ref.path) / ARRAY_NAME, expected_pixels(manifest).view(np.int8))
    with pytest.raises(StorageError, match="no readable array"):
        open_images(ref)
    assert build_store(manifest, SETTINGS, tmp_path / "stores") == ref
    assert np.array_equal(open_images(ref), expected_pixels(manifest))


def test_an_array_with_one_altered_pixel_is_built_again_with_a_warning(
    manifest: Manifest, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ref = build_store(manifest, SETTINGS, tmp_path / "stores")
    assert is_whole(Path(ref.path))
    images = np.load(Path(ref.path) / ARRAY_NAME, mmap_mode="r+")
    images[0, 0, 0, 0] ^= 1
    images.flush()
    assert not is_whole(Path(ref.path))
    assert build_store(manifest, SETTINGS, tmp_path / "stores") == ref
    assert "altered; they are decoded again" in caplog.text
    assert np.array_equal(open_images(ref), expected_pixels(manifest))


@pytest.mark.parametrize(
    ("code", "advice"),
    [(errno.ENOSPC, "No space is left"), (errno.EROFS, "read-only"), (errno.EACCES, "Permission is missing")],
)
def test_a_failing_disk_is_a_storage_error_and_leaves_no_half_file(
    code: int, advice: str, manifest: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class FullDisk(io.BufferedWriter):
        def write(self, content: object) -> int:
            if self.tell() > 500:
                raise OSError(code, os.strerror(code))
            return super().write(content)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "fdopen", lambda handle, mode: FullDisk(io.FileIO(handle, mode)))
    with pytest.raises(StorageError, match=advice):
        build_store(manifest, SETTINGS, tmp_path / "stores", chunk=2)
    assert leftovers(tmp_path / "stores") == []


def test_a_read_only_folder_is_a_storage_error(
    manifest: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, *args: object, **kwargs: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(StorageError, match="Permission is missing"):
        build_store(manifest, SETTINGS, tmp_path / "stores")


def test_a_missing_store_says_what_to_do(manifest: Manifest, tmp_path: Path) -> None:
    ref = DatasetRef(path=str(tmp_path / "gone"), content_hash="0", num_images=7, image_size=16, resize="pad")
    with pytest.raises(StorageError, match="Run the training again: they are rebuilt"):
        open_images(ref)


def test_a_store_of_other_content_is_refused(manifest: Manifest, tmp_path: Path) -> None:
    ref = build_store(manifest, SETTINGS, tmp_path / "stores")
    with pytest.raises(StorageError, match="holds other images"):
        open_images(ref.model_copy(update={"content_hash": "0" * 64}))
    with pytest.raises(StorageError, match="expected shape"):
        open_images(ref.model_copy(update={"num_images": 8}))


def test_a_deleted_array_is_rebuilt_to_the_same_content(manifest: Manifest, tmp_path: Path) -> None:
    ref = build_store(manifest, SETTINGS, tmp_path / "stores")
    (Path(ref.path) / ARRAY_NAME).unlink()
    assert build_store(manifest, SETTINGS, tmp_path / "stores") == ref
    assert np.array_equal(open_images(ref), expected_pixels(manifest))


def test_a_file_that_changed_since_it_was_listed_is_an_error(manifest: Manifest, tmp_path: Path) -> None:
    path = Path(manifest.root) / manifest.entries[2].path
    path.write_bytes((Path(manifest.root) / manifest.entries[0].path).read_bytes())
    with pytest.raises(SourceError, match="has changed since it was listed"):
        build_store(manifest, SETTINGS, tmp_path / "stores")
    path.unlink()
    with pytest.raises(SourceError, match="cannot be read any more"):
        build_store(manifest, SETTINGS, tmp_path / "stores")
    assert leftovers(tmp_path / "stores") == []


def test_memory_grows_with_the_chunk_and_not_with_the_data(tmp_path: Path) -> None:
    settings = ImageSettings(size=64)
    peaks = []
    for num in (64, 384):
        manifest = make_manifest(tmp_path / f"source{num}", num, seed=num)
        tracemalloc.start()
        build_store(manifest, settings, tmp_path / "stores", chunk=2)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0]  # the data grew sixfold


def test_a_dark_picture_is_scaled_as_the_others_of_its_set(tmp_path: Path) -> None:
    """Twelve bits in sixteen: the largest sample of the dark one would say ten."""
    for index, value in enumerate((3_000, 3_500, 900)):
        samples = np.full((16, 16), value, dtype=np.uint16)
        Image.fromarray(samples).save(tmp_path / f"{index}.png")
    files = [SourceFile(f"{index}.png", "a") for index in range(3)]
    manifest = build_manifest(tmp_path, files, "")
    assert [entry.sample_bits for entry in manifest.entries] == [12, 12, 10]
    assert manifest.least_bits == 12
    ref = build_store(manifest, ImageSettings(size=16), tmp_path / "store")
    assert ref.least_bits == 12
    assert [int(each[0, 0, 0]) for each in open_images(ref)] == [187, 218, 56]  # 255 / 4095 times each
