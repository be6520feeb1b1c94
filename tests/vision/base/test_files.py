"""What lies under its final name is whole, and failures of the disk say what to do."""

import errno
import hashlib
import os
from pathlib import Path

import pytest

from vision.base.errors import StorageError
from vision.base.files import digest_file, open_atomically, write_atomically


def test_a_written_file_is_there_and_nothing_else(tmp_path: Path) -> None:
    write_atomically(tmp_path / "new" / "a.txt", "grün")
    assert (tmp_path / "new" / "a.txt").read_text(encoding="utf-8") == "grün"
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.txt"]


def test_who_may_read_a_file_is_said_by_its_mode(tmp_path: Path) -> None:
    write_atomically(tmp_path / "open", "a")
    write_atomically(tmp_path / "secret", "a", 0o600)
    modes = [(tmp_path / name).stat().st_mode & 0o777 for name in ("open", "secret")]
    assert modes == [0o644, 0o600]


def test_a_failure_in_the_middle_keeps_the_old_content(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    write_atomically(path, b"old")

    def fail() -> None:
        with open_atomically(path) as file:
            file.write(b"half of the n")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert path.read_bytes() == b"old"
    assert [each.name for each in tmp_path.iterdir()] == ["a.bin"]


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        (errno.ENOSPC, "No space is left on the disk. Free some"),
        (errno.EROFS, "The disk is read-only"),
        (errno.EACCES, "Permission is missing"),
        (errno.EIO, "Check the disk"),
    ],
)
def test_a_failing_disk_is_a_storage_error_with_advice(
    code: int, advice: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(descriptor: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(StorageError, match=advice) as caught:
        write_atomically(tmp_path / "a.bin", b"content")
    assert str(tmp_path / "a.bin") in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match="cannot write"):
        write_atomically(tmp_path / "file" / "a.bin", b"")


def test_the_digest_is_sha256_of_the_bytes(tmp_path: Path) -> None:
    content = bytes(range(256)) * 5000
    (tmp_path / "a.bin").write_bytes(content)
    assert digest_file(tmp_path / "a.bin") == hashlib.sha256(content).hexdigest()


def test_the_digest_of_a_missing_file_is_a_storage_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot read"):
        digest_file(tmp_path / "absent")
