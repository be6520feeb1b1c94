"""The database locked, gone, full or damaged: a clear error in time, and then it mends."""

import contextlib
import errno
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Engine, event, select

from serving.log import database
from serving.log.prediction_log import PredictionLog
from serving.log.schema import PREDICTIONS
from tests.serving.answers import DIGEST, make_entry
from tests.serving.log.log_faults import every_new_connection_runs, held
from vision.base.errors import LogError

WORKER = """
import sys
from serving.log.lossy import LossyLog
from serving.log.prediction_log import PredictionLog
from tests.serving.answers import make_entry
from vision.base.errors import LogError
logs = {}
for line in sys.stdin:
    path, serial = line.split()
    log = logs.setdefault(path, PredictionLog(f"sqlite:///{path}", wait_s=5))
    try:
        log.append(make_entry(int(serial)))
        print("logged", flush=True)
    except LogError as error:
        print(error, flush=True)
"""


def fail_in_time(call: Callable[[], object], message: str) -> None:
    """The call raises a LogError soon although what it waits for never happens."""
    started = time.monotonic()
    with pytest.raises(LogError, match=message):
        call()
    assert time.monotonic() - started < 5


def ids(log: PredictionLog) -> list[str]:
    return [entry.prediction_id for entry in log.read_newest(DIGEST, 100)]


# --- locked ---------------------------------------------------------------------------------------------


def test_a_locked_database_is_an_error_in_time_and_mends_by_itself(log: PredictionLog, path: Path) -> None:
    log.append(make_entry(1))
    with held(path, "BEGIN EXCLUSIVE"):
        fail_in_time(lambda: log.append(make_entry(2)), "database is locked. Another process holds it")
        fail_in_time(log.check, "database is locked")
        assert ids(log) == ["id-1"]
        with ThreadPoolExecutor(8) as pool:
            for future in [pool.submit(log.append, make_entry(each)) for each in range(10, 18)]:
                assert isinstance(future.exception(timeout=10), LogError)
    log.check()
    log.append(make_entry(3))
    log.close()
    with held(path, "PRAGMA locking_mode = EXCLUSIVE", "BEGIN EXCLUSIVE"):
        fail_in_time(log.count, "cannot read the prediction log: database is locked")
    assert ids(log) == ["id-1", "id-3"]


def test_each_write_has_its_own_time_to_wait_for_others(path: Path) -> None:
    log = PredictionLog(f"sqlite:///{path}", wait_s=1)
    log.append(make_entry(0))
    time.sleep(1.05)
    with ThreadPoolExecutor(1) as pool:
        with held(path, "BEGIN IMMEDIATE"):
            written = pool.submit(log.append, make_entry(1))
            time.sleep(0.1)
            assert not written.done()
        assert written.result(timeout=5) == 2


@pytest.mark.parametrize("fault", [MemoryError, KeyboardInterrupt])
def test_what_breaks_off_a_write_leaves_neither_a_lock_nor_a_connection_that_cannot_write(
    log: PredictionLog, path: Path, monkeypatch: pytest.MonkeyPatch, fault: type[BaseException]
) -> None:
    log.append(make_entry(0))
    log.keep_images = True

    def fail(*_: Any) -> None:
        raise fault

    with monkeypatch.context() as patch:
        patch.setattr("serving.log.prediction_log.insert", fail)
        with pytest.raises(fault):
            log.append(make_entry(1, image=b"jpeg"))
    with held(path, "BEGIN IMMEDIATE"):
        pass
    assert log.append(make_entry(2)) == 2


# --- gone -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffixes", [("",), ("", "-wal", "-shm")])
def test_a_deleted_file_is_made_anew_and_nothing_is_written_to_the_old_one(
    log: PredictionLog, path: Path, suffixes: tuple[str, ...]
) -> None:
    log.append(make_entry(1))
    for suffix in suffixes:
        Path(f"{path}{suffix}").unlink()
    log.append(make_entry(2))
    assert ids(log) == ids(PredictionLog(f"sqlite:///{path}")) == ["id-2"]
    shutil.rmtree(path.parent)
    log.append(make_entry(3))
    assert ids(log) == ["id-3"]


def test_whichever_file_is_deleted_no_process_loses_an_answer_silently(tmp_path: Path) -> None:
    """Two real processes append in turn; SQLite alone would let both write to files that are gone."""
    with worker() as first, worker() as second:
        for suffixes in [("",), ("", "-wal", "-shm"), ("", "-wal"), ("-wal",), ("-shm",)]:
            path = tmp_path / f"{len(list(tmp_path.iterdir()))}.sqlite"
            for serial, process in enumerate([first, second] * 2):
                assert append_in(process, path, serial) == "logged"
            for suffix in suffixes:
                Path(f"{path}{suffix}").unlink()
            said = {serial: append_in([first, second][serial % 2], path, serial) for serial in range(10, 20)}
            logged = [f"id-{serial}" for serial, answer in said.items() if answer == "logged"]
            assert len(logged) >= 7, said
            after = PredictionLog(f"sqlite:///{path}", wait_s=5)
            assert [each for each in ids(after) if int(each[3:]) >= 10] == logged, suffixes
            with contextlib.closing(sqlite3.connect(path)) as connection:
                assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


@contextlib.contextmanager
def worker() -> Iterator[subprocess.Popen[str]]:
    """A process that logs the answers that it is told to, and says whether it could."""
    with subprocess.Popen(
        [sys.executable, "-c", WORKER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(timeout=30) == 0


def append_in(process: subprocess.Popen[str], path: Path, serial: int) -> str:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(f"{path} {serial}\n")
    process.stdin.flush()
    return process.stdout.readline().strip()


def test_a_restored_copy_is_what_is_written_and_read(log: PredictionLog, path: Path, tmp_path: Path) -> None:
    log.append(make_entry(1))
    log.close()
    shutil.copy(path, tmp_path / "backup")
    log.append(make_entry(2))
    for suffix in ("-wal", "-shm"):
        Path(f"{path}{suffix}").unlink()
    (tmp_path / "backup").replace(path)
    log.append(make_entry(3))
    assert ids(log) == ["id-1", "id-3"]


def test_an_answer_committed_to_a_file_that_just_went_is_an_error(log: PredictionLog, path: Path) -> None:
    log.append(make_entry(1))

    def delete(_: Any) -> None:
        path.unlink(missing_ok=True)

    event.listen(Engine, "commit", delete)
    try:
        with pytest.raises(LogError, match="what was written is lost"):
            log.append(make_entry(2))
    finally:
        event.remove(Engine, "commit", delete)
    log.append(make_entry(3))
    assert ids(log) == ["id-3"]


def test_dropped_tables_are_an_error_once_and_then_made_anew(log: PredictionLog, path: Path) -> None:
    log.append(make_entry(1))
    with contextlib.closing(sqlite3.connect(path)) as connection:
        names = connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
        )
        for (table,) in names.fetchall():
            connection.execute(f"DROP TABLE {table}")
    with pytest.raises(LogError, match="no such table"):
        log.check()
    log.append(make_entry(2))
    assert ids(log) == ["id-2"]


def test_a_reader_learns_of_a_mistyped_path_and_makes_nothing(path: Path) -> None:
    reader = PredictionLog(f"sqlite:///{path}", create=False)
    with pytest.raises(LogError, match="there is no prediction log"):
        reader.count()
    assert not path.parent.exists()
    PredictionLog(f"sqlite:///{path}").append(make_entry(1))
    assert reader.count() == 1


# --- full, read-only, damaged ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("PRAGMA max_page_count = 1", "disk is full. Free some space"),  # taken for the pages that there are
        ("PRAGMA query_only = ON", "readonly database. Change its permissions"),
    ],
)
def test_a_full_or_read_only_disk_is_an_error_and_mends(
    log: PredictionLog, path: Path, statement: str, message: str
) -> None:
    log.append(make_entry(1))
    log.close()
    large = make_entry(2, embedding=np.zeros(10_000, np.float16))
    with every_new_connection_runs(statement):
        with pytest.raises(LogError, match=message):
            log.append(large)
        assert ids(PredictionLog(f"sqlite:///{path}", create=False)) == ["id-1"]
    log.append(large)
    assert ids(log) == ["id-1", "id-2"]
    assert log.delete_answers(prediction_id="id-1") == 1


def test_a_folder_in_the_way_is_an_error(log: PredictionLog, path: Path) -> None:
    path.parent.write_text("in the way")
    for call in (log.check, lambda: log.append(make_entry(1))):
        with pytest.raises(LogError, match=r"cannot write .* Check the path, its permissions"):
            call()
    path.parent.unlink()
    path.mkdir(parents=True)
    with pytest.raises(LogError, match=r"unable to open database file. Check the path"):
        log.append(make_entry(1))
    path.rmdir()
    log.append(make_entry(1))
    assert ids(log) == ["id-1"]


def test_a_file_that_is_no_database_is_left_as_it_is(log: PredictionLog, path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"something else " * 1000)
    with pytest.raises(LogError, match=r"file is not a database. Move it away"):
        log.append(make_entry(1))
    assert path.read_bytes() == b"something else " * 1000


def test_a_file_that_is_emptied_in_use_is_a_new_log_as_a_deleted_one_is(
    log: PredictionLog, path: Path
) -> None:
    log.append(make_entry(1))
    log.empty_wal()
    path.write_bytes(b"")
    log.append(make_entry(2))
    assert ids(log) == ["id-2"]


def test_a_file_that_may_not_be_looked_at_after_a_write_is_a_fault_of_the_log(
    log: PredictionLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_path: str) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    with (
        pytest.raises(LogError, match="Permission denied"),
        monkeypatch.context() as patch,
        log.transaction(writes=True),
    ):
        patch.setattr(database, "_find_inode", refuse)
    log.append(make_entry(1))
    assert ids(log) == ["id-1"]


def test_damaged_pages_are_an_error_to_who_reads_them(log: PredictionLog, path: Path) -> None:
    for serial in range(50):
        log.append(make_entry(serial))
    log.close()
    content = path.read_bytes()
    path.write_bytes(content[:4096] + b"\xff" * (len(content) - 4096))
    with pytest.raises(LogError, match="The file is damaged"):
        log.read_newest(DIGEST, 50)


def test_a_reader_keeps_no_emptied_file_from_being_written(log: PredictionLog, path: Path) -> None:
    log.append(make_entry(1))
    log.reader.read(select(PREDICTIONS.c.number))  # as who asked for the traffic once
    path.write_bytes(b"")
    with contextlib.suppress(LogError):
        log.append(make_entry(2))
    log.append(make_entry(3))
    assert "id-3" in ids(log)
