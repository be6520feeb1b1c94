"""A new log, one of the commit before and two workers at once come to the same tables; others are refused."""

import io
import shutil
import sqlite3
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from serving.api.answering.pinned import PinnedModel
from serving.log import schema
from serving.log.migrations.versions import m0001_answers, m0002_corrections
from serving.log.prediction_log import PredictionLog
from serving.log.schema import HEAD
from serving.runtime.bento import stage_code
from tests.serving.answers import DIGEST, make_entry
from vision.base.closure import ROOT
from vision.base.errors import LogError

FORMER = ROOT / "tests" / "golden" / "log" / "version_2.sqlite"
"""A log as it was written before Alembic: answers 1 with an image, 2 without a group; 3 was deleted."""

OPEN_IN_BENTO = """
import sys
sys.path[0] = sys.argv[1]
import serving.log.prediction_log as module
assert module.__file__.startswith(sys.argv[1])
module.PredictionLog(sys.argv[2]).check()
"""


def execute(path: Path, script: str) -> None:
    """Run SQL on a file, as some other program would."""
    path.parent.mkdir(exist_ok=True)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.executescript(script)


def describe(path: Path) -> set[tuple[str, ...]]:
    """Columns of every table, and the indexes, but for what only notes the version."""
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute(
            "SELECT s.type, s.tbl_name, p.name, p.type, p.[notnull], p.pk FROM sqlite_schema s "
            "LEFT JOIN pragma_table_info(s.name) p "
            "WHERE s.tbl_name LIKE 'prediction%' OR s.tbl_name IN ('corrections', 'verdicts')"
        ).fetchall()
        indexes = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'index'").fetchall()
    return {tuple(map(str, row)) for row in rows} | {tuple(map(str, row)) for row in indexes}


def test_a_log_of_the_commit_before_is_migrated_without_loss(
    log: PredictionLog, path: Path, tmp_path: Path
) -> None:
    path.parent.mkdir()
    shutil.copy(FORMER, path)
    first, second = log.read_newest(DIGEST, 9, images=True)
    assert (first.number, first.prediction_id, first.image) == (1, "id-1", b"the bytes of a picture")
    assert (second.number, second.group, second.decision.value) == (2, None, "unknown")
    for old, written in ((first, make_entry(1)), (second, make_entry(2))):
        assert old.time == written.time
        assert old.logits.tobytes() == written.logits.tobytes()
        assert old.embedding.tobytes() == written.embedding.tobytes()
    assert log.append(make_entry(4)) == 4  # the number of a deleted answer is not given again
    PredictionLog(f"sqlite:///{tmp_path}/new.sqlite").check()
    assert describe(path) == describe(tmp_path / "new.sqlite")


def test_a_new_log_has_the_columns_that_are_asked_for_and_is_made_by_the_newest_migration(
    log: PredictionLog, path: Path
) -> None:
    log.check()
    with closing(sqlite3.connect(path)) as connection:
        for table in schema.PREDICTIONS.metadata.sorted_tables:
            found = connection.execute(f"SELECT * FROM {table.name}").description
            assert {column[0] for column in found} == {column.name for column in table.c}
        assert connection.execute("SELECT version_num FROM taxon_log_revision").fetchall() == [(HEAD,)]
    assert ScriptDirectory(str(schema.MIGRATIONS)).get_heads() == [HEAD]


@pytest.mark.parametrize("former", [False, True])
def test_workers_that_start_at_once_do_not_collide(path: Path, former: bool) -> None:
    path.parent.mkdir()
    for attempt in range(3):
        file = path.with_name(f"{attempt}.sqlite")
        if former:
            shutil.copy(FORMER, file)
        logs = [PredictionLog(f"sqlite:///{file}", wait_s=10) for _ in range(6)]
        barrier = threading.Barrier(len(logs))

        def begin(serial: int, logs: list[PredictionLog] = logs, barrier: threading.Barrier = barrier) -> int:
            barrier.wait()
            return logs[serial].append(make_entry(100 + serial))

        with ThreadPoolExecutor(len(logs)) as pool:
            assert len(set(pool.map(begin, range(len(logs))))) == len(logs)
        assert logs[0].count() == len(logs) + 2 * former


def test_a_newer_log_is_refused_and_left_as_it_is(log: PredictionLog, path: Path) -> None:
    log.append(make_entry(1))
    log.close()
    execute(path, "UPDATE taxon_log_revision SET version_num = '0099'")
    for call in (log.check, log.count, lambda: log.append(make_entry(2))):
        with pytest.raises(LogError, match=f"version 0099; .*up to {HEAD}"):
            call()
    execute(path, f"UPDATE taxon_log_revision SET version_num = '{HEAD}'")
    assert log.count() == 1


def test_a_database_of_something_else_is_refused_and_not_touched(log: PredictionLog, path: Path) -> None:
    execute(path, "CREATE TABLE users (name TEXT); CREATE TABLE alembic_version (version_num TEXT);")
    before = path.read_bytes()
    for call in (log.check, log.count, lambda: log.append(make_entry(1))):
        with pytest.raises(LogError, match=r"2 tables of something else \(first: alembic_version\)"):
            call()
    assert path.read_bytes() == before
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_a_bento_opens_a_fresh_log(tmp_path: Path) -> None:
    import subprocess

    bento = tmp_path / "bento"
    bento.mkdir()
    stage_code(bento, PinnedModel(name="toy", version="3", digest="a" * 64, tag="toy:aaaa"))
    command = [sys.executable, "-c", OPEN_IN_BENTO, str(bento), f"sqlite:///{tmp_path}/log.sqlite"]
    subprocess.run(command, cwd=bento, check=True)
    written = {each.relative_to(ROOT) for each in (ROOT / "serving/log/migrations").rglob("*.py")}
    assert all((bento / each).exists() for each in written)


def test_the_tables_are_postgresqls_too() -> None:
    """Written out only: these tests run no server."""
    written = io.StringIO()
    context = MigrationContext.configure(
        dialect_name="postgresql", opts={"as_sql": True, "output_buffer": written}
    )
    with Operations.context(context):
        m0001_answers.upgrade()
        m0002_corrections.upgrade()
    sql = " ".join(written.getvalue().split())
    assert "CREATE TABLE IF NOT EXISTS predictions ( number BIGSERIAL NOT NULL, prediction_id TEXT" in sql
    assert "time_us BIGINT NOT NULL" in sql
    assert "latency_ms DOUBLE PRECISION NOT NULL" in sql
    assert "logits BYTEA NOT NULL" in sql
    assert "FOREIGN KEY(number) REFERENCES predictions (number) ON DELETE CASCADE" in sql
    assert sql.count("CREATE INDEX IF NOT EXISTS") == 3
    assert "ALTER TABLE predictions ADD COLUMN unknown_kind TEXT" in sql


def test_migrations_that_are_gone_are_a_fault_of_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "MIGRATIONS", tmp_path / "gone")
    with (
        closing(PredictionLog(f"sqlite:///{tmp_path / 'log.sqlite'}")) as log,
        pytest.raises(LogError, match="start the service again"),
    ):
        log.append(make_entry())
