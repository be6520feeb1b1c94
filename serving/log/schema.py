"""The prediction log's columns, and Alembic's migrations that make them or bring an older log up to date.

A change of the tables is a new module in `migrations/versions`, a new `HEAD` and an import in `upgrade`; a
migration that was released is never edited. SQLite and PostgreSQL get the same tables.
"""

from __future__ import annotations

import threading
from pathlib import Path

from sqlalchemy import Connection, column, inspect, table, text

from vision.base.errors import LogError

HEAD = "0004"
"""The newest migration."""

REVISION_TABLE = "taxon_log_revision"
"""Where Alembic notes what was applied; by its name a log is told from another program's database."""

_FORMER_TABLE = "taxon_log_versions"  # of logs made before Alembic; it is left there
_LOCK_KEY = 0x7461_786F_6E4C_6F67  # "taxonLog": PostgreSQL's advisory lock for migrations
_ONE_AT_A_TIME = threading.Lock()  # Alembic's `op` is one for all threads

PREDICTIONS = table(
    "predictions",
    *map(column, ("number", "prediction_id", "time_us", "client", "file_name", "latency_ms", "model_name")),
    *map(column, ("model_version", "model_digest", "group_name", "decision", "class_name", "confidence")),
    *map(column, ("unknown_score", "p_value", "num_logits", "embedding_width", "quality_width")),
    *map(column, ("logits", "embedding", "quality", "unknown_kind")),
)
IMAGES = table("prediction_images", column("number"), column("image"))
ENROLMENTS = table("enrolments", *map(column, ("id", "time_us", "client", "model_name", "class_name")))
ENROLMENT_IMAGES = table("enrolment_images", *map(column, ("id", "enrolment", "file_name", "image")))
VERDICTS = table(
    "verdicts",
    *map(column, ("id", "time_us", "model_digest", "status", "cause", "verified", "num_answers", "reasons")),
)
CORRECTIONS = table("corrections", *map(column, ("id", "number", "time_us", "client", "class_name")))


def is_current(connection: Connection, name: str) -> bool:
    """Whether the database has today's tables; False where it is empty or older.

    Args:
        connection: in a transaction.
        name: what errors call the database.

    Raises:
        LogError: the database holds tables of something else, or is of a newer version than this program.
    """
    tables = inspect(connection).get_table_names()
    if tables and not {REVISION_TABLE, _FORMER_TABLE} & set(tables):
        raise LogError(
            f"{name} is not a prediction log: it holds {len(tables)} tables of something else (first: "
            f"{min(tables)}). Expected an empty database or one that Taxon made. Name another one."
        )
    if REVISION_TABLE not in tables:
        return False
    revision = str(connection.execute(text(f"SELECT version_num FROM {REVISION_TABLE}")).scalar())
    if revision > HEAD:
        raise LogError(
            f"{name} is a prediction log of version {revision}; this program knows versions up to {HEAD}. "
            "Update Taxon, or name another database."
        )
    return revision == HEAD


def upgrade(connection: Connection) -> None:
    """Apply the missing migrations, in one transaction of `connection`.

    It holds SQLite's write lock, or PostgreSQL's advisory lock. So of two workers that start at once the
    second waits, and then finds nothing left to do.

    Raises:
        LogError: the migrations are not to be found, or do not lead from the log's revision to HEAD.
    """
    from alembic.config import Config
    from alembic.runtime.environment import EnvironmentContext
    from alembic.script import ScriptDirectory
    from alembic.util import CommandError

    from serving.log.migrations.versions import (
        m0001_answers,
        m0002_corrections,
        m0003_enrolments,
        m0004_verdicts,
    )

    modules = (
        m0001_answers,
        m0002_corrections,
        m0003_enrolments,
        m0004_verdicts,
    )  # a Bento holds what is imported; Alembic reads the folder
    (folder,) = {Path(str(each.__file__)).parents[1] for each in modules}
    try:
        scripts = ScriptDirectory(str(folder))
        environment = EnvironmentContext(
            Config(), scripts, fn=lambda revision, _: scripts._upgrade_revs(HEAD, revision)
        )
        with connection.begin(), _ONE_AT_A_TIME, environment:
            if connection.dialect.name == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK_KEY})
            environment.configure(connection=connection, version_table=REVISION_TABLE)
            environment.run_migrations()
    except CommandError as error:
        raise LogError(
            f"The prediction log cannot be brought to revision {HEAD} by the migrations in {folder}: "
            f"{error}. Expected those of the version that runs; start the service again."
        ) from error
