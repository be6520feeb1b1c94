"""One run at a time, and a dead one does not block the next."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes import run_python
from vision.base.errors import RunLockedError, StorageError
from vision.base.lock import RunLock, read_holder

HOLD = """
import sys, time
from pathlib import Path
from vision.base.lock import RunLock
with RunLock(Path(sys.argv[1]), "first"):
    print("held", flush=True)
    time.sleep(60)
"""

FULL_DISK = """
import resource, sys
from pathlib import Path
from vision.base.errors import RunLockedError
from vision.base.lock import RunLock
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))  # not a byte can be written
path = Path(sys.argv[1])
try:
    path.with_name("other").write_text("x")
except OSError:
    print("full")
with RunLock(path, "clean"):
    try:
        with RunLock(path, "second"):
            print("taken twice")
    except RunLockedError as error:
        print(error)
with RunLock(path, "third"):
    print("free again")
"""


def test_second_run_is_refused_and_told_both_names_and_the_pid(tmp_path: Path) -> None:
    path = tmp_path / "state" / "lock"
    with (
        RunLock(path, "first"),
        pytest.raises(RunLockedError, match=rf"Run second .* run first \(process {os.getpid()}\)") as caught,
        RunLock(path, "second"),
    ):
        pass
    assert caught.value.exit_code == 4
    assert f"kill {os.getpid()}" in str(caught.value)


def test_lock_is_free_after_the_run_and_names_nobody(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with RunLock(path, "first"):
        holder = read_holder(path)
        assert holder is not None
        assert (holder.pid, holder.run_name) == (os.getpid(), "first")
    assert read_holder(path) is None
    with RunLock(path, "second"):
        assert path.exists()


def test_lock_is_free_after_an_exception_inside(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with pytest.raises(KeyError), RunLock(path, "first"):
        raise KeyError
    with RunLock(path, "second"):
        assert read_holder(path) is not None


def test_killed_holder_frees_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        with pytest.raises(RunLockedError, match=f"process {process.pid}"), RunLock(path, "second"):
            pass
        process.send_signal(signal.SIGKILL)
        process.wait()
    with RunLock(path, "second"):
        holder = read_holder(path)
        assert holder is not None
        assert holder.run_name == "second"


def test_refusal_without_a_readable_holder_still_says_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with RunLock(path, "first"):
        path.write_text("{half a li", encoding="utf-8")
        with pytest.raises(RunLockedError, match="has not named itself"), RunLock(path, "second"):
            pass


def test_state_folder_that_is_a_file_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("", encoding="utf-8")
    with (
        pytest.raises(StorageError, match="cannot take the run lock"),
        RunLock(tmp_path / "state" / "lock", "first"),
    ):
        pass


def test_a_full_disk_names_nobody_and_the_lock_holds(tmp_path: Path) -> None:
    done = run_python("-c", FULL_DISK, str(tmp_path / "lock"))
    full, refusal, free = done.stdout.splitlines()
    assert (full, free) == ("full", "free again")
    assert "Run second cannot start" in refusal
    assert "has not named itself" in refusal
