"""The database locked, gone, full, damaged, too new, not ours: a clear error at once, and then it mends."""

import contextlib
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Engine, MetaData, create_engine, event
from sqlalchemy.dialects import postgresql

from serving.log.prediction_log import PredictionLog
from serving.log.rows import insert_answer, to_row
from serving.log.schema import CURRENT_VERSION, METADATA, MIGRATIONS
from tests.serving.answers import DIGEST, make_entry
from tests.serving.log.log_faults import every_new_connection_runs, held
from vision.base.errors import ConfigError, LogError

VERSION_1 = """
CREATE TABLE taxon_log_versions (version INTEGER NOT NULL, PRIMARY KEY (version));
CREATE TABLE predictions (
    number INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, prediction_id TEXT NOT NULL, time_us BIGINT NOT NULL,
    client TEXT NOT NULL, file_name TEXT NOT NULL, latency_ms DOUBLE NOT NULL, model_name TEXT NOT NULL,
    model_version TEXT NOT NULL, model_digest TEXT NOT NULL, group_name TEXT, decision TEXT NOT NULL,
    class_name TEXT NOT NULL, confidence DOUBLE NOT NULL, unknown_score DOUBLE NOT NULL,
    p_value DOUBLE NOT NULL, num_logits INTEGER NOT NULL, embedding_width INTEGER NOT NULL,
    quality_width INTEGER NOT NULL, logits BLOB NOT NULL, embedding BLOB NOT NULL, quality BLOB NOT NULL,
    UNIQUE (prediction_id)
);
CREATE INDEX predictions_by_model ON predictions (model_digest, number);
CREATE INDEX predictions_by_time ON predictions (time_us);
INSERT INTO taxon_log_versions VALUES (1);
INSERT INTO predictions VALUES (
    7, 'old', 1772366400123456, 'harbour', 'a.jpg', 12.5, 'reef', '3', 'old digest', NULL, 'review', 'tang',
    0.75, -1.5, 0.25, 2, 1, 1, x'0000803f000000c0', x'003c', x'0000003f'
);
"""
"""A log of version 1 with one answer, as it was written then; never to be edited."""


WORKER = """
import sys
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


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "predictions.sqlite"


@pytest.fixture
def log(path: Path) -> PredictionLog:
    return PredictionLog(f"sqlite:///{path}", wait_s=0.2)


def execute(path: Path, script: str) -> None:
    """Run SQL on a file, as some other program would."""
    path.parent.mkdir(exist_ok=True)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.executescript(script)


def fail_in_time(call: Callable[[], object], message: str) -> None:
    """The call raises a LogError within seconds although what it waits for never happens."""
    raised: list[BaseException] = []

    def run() -> None:
        try:
            call()
        except LogError as error:
            raised.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(timeout=10)
    assert not thread.is_alive(), "it waits for longer than ten seconds"
    with pytest.raises(LogError, match=message):
        raise raised[0]


def ids(log: PredictionLog) -> list[str]:
    return [entry.prediction_id for entry in log.read_newest(DIGEST, 100)]


# --- locked ---------------------------------------------------------------------------------------------


def test_a_locked_database_is_an_error_in_time_and_mends_by_itself(log: PredictionLog, path: Path) -> None:
    log.append(make_entry(1))
    with held(path, "BEGIN EXCLUSIVE"):
        fail_in_time(lambda: log.append(make_entry(2)), "database is locked. Another process holds it")
        fail_in_time(log.check, "database is locked")
        assert ids(log) == ["id-1"]
    log.check()
    log.append(make_entry(3))
    assert ids(log) == ["id-1", "id-3"]


def test_a_database_that_shuts_readers_out_is_an_error_for_them_too(log: PredictionLog, path: Path) -> None:
    log.append(make_entry(1))
    log.close()
    with held(path, "PRAGMA locking_mode = EXCLUSIVE", "BEGIN EXCLUSIVE"):
        fail_in_time(log.count, "cannot read the prediction log: database is locked")
    assert log.count() == 1


def test_many_threads_before_a_locked_database_all_fail_in_time(log: PredictionLog, path: Path) -> None:
    log.append(make_entry(0))
    with held(path, "BEGIN EXCLUSIVE"), ThreadPoolExecutor(8) as pool:
        for future in [pool.submit(log.append, make_entry(each)) for each in range(1, 9)]:
            assert isinstance(future.exception(timeout=10), LogError)
    assert ids(log) == ["id-0"]
    log.append(make_entry(9))
    assert ids(log) == ["id-0", "id-9"]


def test_closing_waits_for_the_write_that_is_going_on_and_the_next_use_opens_anew(log: PredictionLog) -> None:
    log.append(make_entry(0))
    with ThreadPoolExecutor(1) as pool:
        with log._database.writing() as connection:
            closed = pool.submit(log.close)
            with pytest.raises(TimeoutError):
                closed.result(timeout=0.05)
            insert_answer(connection, to_row(make_entry(1)))
        closed.result(timeout=5)
    log.append(make_entry(2))
    assert [entry.number for entry in log.read_newest(DIGEST, 10)] == [1, 2, 3]


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
    log: PredictionLog, path: Path, fault: type[BaseException]
) -> None:
    log.append(make_entry(0))
    engine = log._database._engine
    assert engine is not None

    def fail(_: Any) -> None:
        raise fault

    event.listen(engine, "begin", fail)  # after the one that takes the write lock
    with pytest.raises(fault):
        log.append(make_entry(1))
    event.remove(engine, "begin", fail)
    with held(path, "BEGIN IMMEDIATE"):
        pass
    assert log.append(make_entry(2)) == 2


def test_a_log_that_is_locked_from_the_start_opens_later(log: PredictionLog, path: Path) -> None:
    execute(path, "CREATE TABLE t (x)")
    with held(path, "BEGIN EXCLUSIVE"):
        fail_in_time(lambda: log.append(make_entry(1)), "database is locked")
    path.unlink()
    log.append(make_entry(2))
    assert ids(log) == ["id-2"]


# --- gone -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffixes", [("",), ("", "-wal", "-shm")])
def test_a_deleted_file_is_made_anew_and_nothing_is_written_to_the_old_one(
    log: PredictionLog, path: Path, suffixes: tuple[str, ...]
) -> None:
    log.append(make_entry(1))
    for suffix in suffixes:
        Path(f"{path}{suffix}").unlink()
    log.append(make_entry(2))
    assert ids(log) == ["id-2"]
    assert ids(PredictionLog(f"sqlite:///{path}")) == ["id-2"]


@pytest.mark.slow
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


def test_a_deleted_folder_is_made_anew(log: PredictionLog, path: Path) -> None:
    log.append(make_entry(1))
    shutil.rmtree(path.parent)
    log.append(make_entry(2))
    assert ids(log) == ["id-2"]


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
        with pytest.raises(
            LogError, match="deleted or exchanged while it was written to; what was written is"
        ):
            log.append(make_entry(2))
    finally:
        event.remove(Engine, "commit", delete)
    log.append(make_entry(3))
    assert ids(log) == ["id-3"]


def test_dropped_tables_are_an_error_once_and_then_made_anew(log: PredictionLog, path: Path) -> None:
    log.append(make_entry(1))
    execute(path, "DROP TABLE prediction_images; DROP TABLE predictions; DROP TABLE taxon_log_versions;")
    with pytest.raises(LogError, match="no such table"):
        log.check()
    log.check()
    log.append(make_entry(2))
    assert ids(log) == ["id-2"]


def test_a_reader_learns_of_a_mistyped_path_and_makes_nothing(path: Path) -> None:
    reader = PredictionLog(f"sqlite:///{path}", create=False)
    with pytest.raises(
        LogError, match=r"there is no prediction log; expected one that a service has written"
    ):
        reader.count()
    assert not path.parent.exists()
    PredictionLog(f"sqlite:///{path}").append(make_entry(1))
    assert reader.count() == 1


# --- full, read-only, damaged ---------------------------------------------------------------------------


def test_a_full_disk_is_an_error_and_mends_when_there_is_space(log: PredictionLog) -> None:
    log.append(make_entry(1))
    log.close()
    large = make_entry(2, embedding=np.zeros(10_000, np.float16))
    with (
        every_new_connection_runs(
            "PRAGMA max_page_count = 1"
        ),  # SQLite takes it for the pages that there are
        pytest.raises(LogError, match=r"cannot write .* disk is full. Free some space"),
    ):
        log.append(large)
    log.append(large)
    assert ids(log) == ["id-1", "id-2"]
    assert log.delete_answers(prediction_id="id-1") == 1


def test_a_read_only_database_is_an_error_and_can_be_read(log: PredictionLog, path: Path) -> None:
    log.append(make_entry(1))
    log.close()
    with every_new_connection_runs("PRAGMA query_only = ON"):
        with pytest.raises(LogError, match=r"readonly database. Change its permissions"):
            log.append(make_entry(2))
        assert ids(PredictionLog(f"sqlite:///{path}")) == ["id-1"]
    log.append(make_entry(3))
    assert ids(log) == ["id-1", "id-3"]


def test_a_folder_that_cannot_be_made_is_an_error(log: PredictionLog, path: Path) -> None:
    path.parent.write_text("in the way")
    for call in (log.check, lambda: log.append(make_entry(1))):
        with pytest.raises(LogError, match=r"cannot write .* Check the path, its permissions"):
            call()
    path.parent.unlink()
    log.append(make_entry(1))
    assert ids(log) == ["id-1"]


def test_a_folder_in_place_of_the_file_is_an_error(log: PredictionLog, path: Path) -> None:
    path.mkdir(parents=True)
    with pytest.raises(LogError, match=r"unable to open database file. Check the path"):
        log.append(make_entry(1))


def test_a_file_that_is_no_database_is_left_as_it_is(log: PredictionLog, path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"something else " * 1000)
    with pytest.raises(LogError, match=r"file is not a database. Move the file away"):
        log.append(make_entry(1))
    assert path.read_bytes() == b"something else " * 1000
    path.rename(path.with_suffix(".broken"))
    log.append(make_entry(2))
    assert ids(log) == ["id-2"]


def test_a_damaged_database_is_an_error(log: PredictionLog, path: Path) -> None:
    for serial in range(50):
        log.append(make_entry(serial))
    log.close()
    content = path.read_bytes()
    path.write_bytes(content[:4096] + b"\xff" * (len(content) - 4096))
    with pytest.raises(LogError, match=r"malformed. The file is damaged. Move it away"):
        log.read_newest(DIGEST, 50)


# --- versions -------------------------------------------------------------------------------------------


def test_a_log_of_version_1_is_migrated_and_keeps_its_answers(log: PredictionLog, path: Path) -> None:
    execute(path, VERSION_1)
    (old,) = log.read_newest("old digest", 9, images=True)
    assert (old.number, old.prediction_id, old.group, old.image) == (7, "old", None, None)
    assert old.time.isoformat() == "2026-03-01T12:00:00.123456+00:00"
    assert (old.logits.tolist(), old.embedding.tolist(), old.quality.tolist()) == ([1, -2], [1], [0.5])
    log.keep_images = True
    assert log.append(make_entry(1, image=b"new")) == 8
    assert [entry.image for entry in log.read_newest(DIGEST, 9, images=True)] == [b"new"]
    assert log.delete_answers(prediction_id="old") == 1
    assert describe(path) == declared()


def test_a_new_log_has_the_declared_tables_columns_and_indexes(log: PredictionLog, path: Path) -> None:
    log.check()
    assert describe(path) == declared()


def test_migrations_are_numbered_from_one_without_a_gap() -> None:
    assert [migration.version for migration in MIGRATIONS] == list(range(1, CURRENT_VERSION + 1))


@pytest.mark.parametrize("start", ["", VERSION_1])
def test_workers_that_start_at_once_do_not_collide(path: Path, start: str) -> None:
    for attempt in range(5):
        file = path.with_name(f"{attempt}.sqlite")
        if start:
            execute(file, start)
        logs = [PredictionLog(f"sqlite:///{file}", wait_s=10) for _ in range(6)]
        barrier = threading.Barrier(len(logs))

        def begin(serial: int, logs: list[PredictionLog] = logs, barrier: threading.Barrier = barrier) -> int:
            barrier.wait()
            return logs[serial].append(make_entry(serial))

        with ThreadPoolExecutor(len(logs)) as pool:
            numbers = list(pool.map(begin, range(len(logs))))
        assert len(set(numbers)) == len(logs)
        assert len(ids(logs[0])) == len(logs)
        assert describe(file) == declared()


def test_a_newer_log_is_refused_and_left_as_it_is(log: PredictionLog, path: Path) -> None:
    log.append(make_entry(1))
    log.close()
    execute(path, "INSERT INTO taxon_log_versions VALUES (99)")
    for call in (log.check, log.count, lambda: log.append(make_entry(2))):
        with pytest.raises(LogError, match=r"version 99; this program knows versions up to 2. Update Taxon"):
            call()
    execute(path, "DELETE FROM taxon_log_versions WHERE version = 99")
    assert ids(log) == ["id-1"]


def test_a_database_of_something_else_is_refused_and_not_touched(log: PredictionLog, path: Path) -> None:
    execute(path, "CREATE TABLE users (name TEXT); CREATE TABLE artifacts (id TEXT);")
    before = path.read_bytes()
    for call in (log.check, log.count, lambda: log.append(make_entry(1))):
        with pytest.raises(LogError, match=r"holds 2 tables of something else \(first: artifacts\)"):
            call()
    assert path.read_bytes() == before
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def describe(path: Path) -> dict[str, tuple[list[tuple[str, bool, bool]], set[str | None]]]:
    """Columns (name, nullable, in the primary key) and names of indexes of every table of a file."""
    found = MetaData()
    engine = create_engine(f"sqlite:///{path}")
    found.reflect(engine)
    engine.dispose()
    return describe_tables(found)


def declared() -> dict[str, tuple[list[tuple[str, bool, bool]], set[str | None]]]:
    return describe_tables(METADATA)


def describe_tables(metadata: MetaData) -> dict[str, tuple[list[tuple[str, bool, bool]], set[str | None]]]:
    return {
        table.name: (
            [(column.name, bool(column.nullable), column.primary_key) for column in table.columns],
            {str(index.name) for index in table.indexes},
        )
        for table in metadata.tables.values()
    }


# --- PostgreSQL and URLs --------------------------------------------------------------------------------


def test_the_tables_are_postgresqls_too() -> None:
    """Compiled only: these tests run no server."""
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    statements = [
        " ".join(str(statement.compile(dialect=dialect)).split())
        for migration in MIGRATIONS
        for statement in migration.statements
    ]
    assert (
        statements[0] == "CREATE TABLE taxon_log_versions ( version INTEGER NOT NULL, PRIMARY KEY (version) )"
    )
    assert statements[1].startswith(
        "CREATE TABLE predictions ( number BIGSERIAL NOT NULL, prediction_id TEXT"
    )
    assert "time_us BIGINT NOT NULL" in statements[1]
    assert "latency_ms DOUBLE PRECISION NOT NULL" in statements[1]
    assert "logits BYTEA NOT NULL" in statements[1]
    assert statements[2:4] == [
        "CREATE INDEX predictions_by_model ON predictions (model_digest, number)",
        "CREATE INDEX predictions_by_time ON predictions (time_us)",
    ]
    assert "FOREIGN KEY(number) REFERENCES predictions (number) ON DELETE CASCADE" in statements[4]
    assert len(statements) == 6


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg"])
def test_without_postgresqls_driver_the_error_says_what_to_install(
    scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(ConfigError, match=r"python -m pip install 'psycopg\[binary\]'") as caught:
        PredictionLog(f"{scheme}://ada:secret@host/log")
    assert "ada:***@host/log" in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("state/predictions.sqlite", "cannot be read as one. Expected sqlite:///PATH"),
        ("sqlite://", "expected sqlite:///PATH without options"),
        ("sqlite:///a.sqlite?mode=ro", "expected sqlite:///PATH without options"),
        ("sqlite+aiosqlite:///a.sqlite", "expected sqlite:///PATH without options"),
        ("sqlite:///:memory:", "in memory; expected a file"),
        (
            "mysql://ada:secret@host/log",
            r"mysql://ada:\*\*\*@host/log; expected sqlite:///PATH or postgresql",
        ),
    ],
)
def test_another_kind_of_url_is_refused_at_once(url: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        PredictionLog(url)


def test_a_relative_path_is_of_the_folder_in_which_the_log_was_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    log = PredictionLog("sqlite:///log.sqlite")
    monkeypatch.chdir("/")
    log.append(make_entry(1))
    assert log.name == str(tmp_path / "log.sqlite")
    assert (tmp_path / "log.sqlite").exists()
