"""The prediction log's tables, and Alembic's migrations that make them or bring an older log up to date.

A change of the tables is a new module in `migrations/versions`, a new `HEAD` and an import in `upgrade`; a
migration that was released is never edited. SQLite and PostgreSQL get the same tables.
"""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Enum,
    ForeignKey,
    LargeBinary,
    MetaData,
    Table,
    Text,
    TypeDecorator,
    inspect,
    text,
)

from vision.base.errors import LogError
from vision.base.record import FloatArray
from vision.decision.records import Decision, UnknownKind
from vision.drift.records import DriftCause, DriftStatus

HEAD = "0004"
"""The newest migration."""

REVISION_TABLE = "taxon_log_revision"
"""Where Alembic notes what was applied; by its name a log is told from another program's database."""

MIGRATIONS = Path(__file__).with_name("migrations")
"""Alembic's script folder."""

VECTORS = {"logits": "<f4", "embedding": "<f2", "quality": "<f4"}
"""The arrays of an answer, and as which numbers they are stored."""

WIDTHS = {"logits": "num_logits", "embedding": "embedding_width", "quality": "quality_width"}
"""The columns of their widths."""

_FORMER_TABLE = "taxon_log_versions"  # of logs made before Alembic; it is left there
_LOCK_KEY = 0x7461_786F_6E4C_6F67  # "taxonLog": PostgreSQL's advisory lock for migrations
_ONE_AT_A_TIME = threading.Lock()  # Alembic's `op` is one for all threads
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


# --- columns --------------------------------------------------------------------------------------------


class Moment(TypeDecorator[datetime]):
    """A time as microseconds since 1970 in UTC: exact, sortable, and the same in every database."""

    impl, cache_ok = BigInteger, True

    def process_bind_param(self, value: Any, _: Any) -> int:
        """The microseconds of a time with a zone."""
        since: timedelta = value - _EPOCH
        return since // timedelta(microseconds=1)

    def process_result_value(self, value: Any, _: Any) -> datetime:
        """The time in UTC."""
        return _EPOCH + timedelta(microseconds=value)


class Vector(TypeDecorator[FloatArray]):
    """An array (n,) as the bytes of its numbers; what float16 cannot hold becomes its largest, 65504."""

    impl, cache_ok = LargeBinary, True

    def __init__(self, dtype: str) -> None:
        """Store numbers of a type, little endian."""
        super().__init__()
        self.dtype = dtype

    def process_bind_param(self, value: Any, _: Any) -> bytes:
        """The bytes of an array of numbers."""
        array: FloatArray = value
        if array.dtype != self.dtype:
            limits = np.finfo(self.dtype)
            array = np.clip(array, limits.min, limits.max).astype(self.dtype)
        return array.tobytes()

    def process_result_value(self, value: Any, _: Any) -> FloatArray:
        """The array that was stored."""
        return np.frombuffer(value, self.dtype)


def _time() -> Column[datetime]:
    return Column("time_us", Moment, key="time")


def _member(kind: type[StrEnum]) -> Enum:
    """A text, the value of a member."""
    values = [each.value for each in kind]
    return Enum(kind, values_callable=lambda _: values, native_enum=False, validate_strings=True)


# --- tables ---------------------------------------------------------------------------------------------

_ALL = MetaData()
PREDICTIONS = Table(
    "predictions",
    _ALL,
    *(Column("number", BigInteger), _time(), Column("group_name", Text, key="group")),
    *(Column("decision", _member(Decision)), Column("unknown_kind", _member(UnknownKind))),
    *(Column(name, Vector(dtype)) for name, dtype in VECTORS.items()),
    *map(Column, WIDTHS.values()),
    *map(Column, ("prediction_id", "client", "file_name", "latency_ms", "model_name", "model_version")),
    *map(Column, ("model_digest", "class_name", "confidence", "unknown_score", "p_value")),
)
IMAGES = Table(
    "prediction_images",
    _ALL,
    *(Column("number", ForeignKey(PREDICTIONS.c.number)), Column("image", LargeBinary)),
)
CORRECTIONS = Table(
    "corrections",
    _ALL,
    *(Column("id"), Column("number", ForeignKey(PREDICTIONS.c.number)), _time()),
    *map(Column, ("client", "class_name")),
)
ENROLMENTS = Table("enrolments", _ALL, _time(), *map(Column, ("id", "client", "model_name", "class_name")))
ENROLMENT_IMAGES = Table(
    "enrolment_images",
    _ALL,
    *(Column("id"), Column("enrolment", ForeignKey(ENROLMENTS.c.id))),
    *(Column("file_name"), Column("image", LargeBinary)),
)
VERDICTS = Table(
    "verdicts",
    _ALL,
    *(_time(), Column("status", _member(DriftStatus)), Column("cause", _member(DriftCause))),
    *(Column("verified", Boolean), *map(Column, ("id", "model_digest", "num_answers", "reasons"))),
)


# --- migrations -----------------------------------------------------------------------------------------


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
    from alembic.operations import Operations
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory
    from alembic.util import CommandError

    from serving.log.migrations.versions import (  # noqa: F401 - a Bento holds what is imported
        m0001_answers,
        m0002_corrections,
        m0003_enrolments,
        m0004_verdicts,
    )

    try:
        scripts = ScriptDirectory(str(MIGRATIONS))
        with connection.begin(), _ONE_AT_A_TIME:
            if connection.dialect.name == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK_KEY})
            context = MigrationContext.configure(
                connection,
                opts={
                    "version_table": REVISION_TABLE,
                    "fn": lambda revision, _: scripts._upgrade_revs(HEAD, revision),
                },
            )
            with Operations.context(context):
                context.run_migrations()
    except CommandError as error:
        raise LogError(
            f"The prediction log cannot be brought to revision {HEAD} by the migrations in {MIGRATIONS}: "
            f"{error}. Expected those of the version that runs; start the service again."
        ) from error
