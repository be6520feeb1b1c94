"""Tables of the prediction log, and the ordered steps that bring an older database up to date.

A migration that was released is never edited: what changes is appended. The version is a row in a table of
our own, whose presence also says that the database is ours. SQLite and PostgreSQL get the same definitions.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    insert,
    inspect,
    select,
    text,
)
from sqlalchemy.schema import CreateIndex, CreateTable, ExecutableDDLElement

from vision.base.errors import LogError

METADATA = MetaData()

_NUMBER = BigInteger().with_variant(Integer, "sqlite")  # only INTEGER counts up by itself in SQLite

VERSIONS = Table(
    "taxon_log_versions",
    METADATA,
    Column("version", Integer, primary_key=True, autoincrement=False),
)
"""One row for each migration that was applied."""

PREDICTIONS = Table(
    "predictions",
    METADATA,
    Column("number", _NUMBER, primary_key=True, autoincrement=True),
    Column("prediction_id", Text, nullable=False, unique=True),
    Column("time_us", BigInteger, nullable=False, comment="microseconds since 1970 in UTC"),
    Column("client", Text, nullable=False),
    Column("file_name", Text, nullable=False),
    Column("latency_ms", Double, nullable=False),
    Column("model_name", Text, nullable=False),
    Column("model_version", Text, nullable=False),
    Column("model_digest", Text, nullable=False),
    Column("group_name", Text, nullable=True),
    Column("decision", Text, nullable=False),
    Column("class_name", Text, nullable=False),
    Column("confidence", Double, nullable=False),
    Column("unknown_score", Double, nullable=False),
    Column("p_value", Double, nullable=False),
    Column("num_logits", Integer, nullable=False),
    Column("embedding_width", Integer, nullable=False),
    Column("quality_width", Integer, nullable=False),
    Column("logits", LargeBinary, nullable=False, comment="float32, little endian"),
    Column("embedding", LargeBinary, nullable=False, comment="float16, little endian"),
    Column("quality", LargeBinary, nullable=False, comment="float32, little endian"),
    sqlite_autoincrement=True,  # the number of a deleted answer is not given again
)

IMAGES = Table(
    "prediction_images",
    METADATA,
    Column(
        "number",
        _NUMBER,
        ForeignKey("predictions.number", ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
    ),
    Column("image", LargeBinary, nullable=False, comment="the bytes that the client sent"),
)

_BY_MODEL = Index("predictions_by_model", PREDICTIONS.c.model_digest, PREDICTIONS.c.number)
_BY_TIME = Index("predictions_by_time", PREDICTIONS.c.time_us)
_BY_CLIENT = Index("predictions_by_client", PREDICTIONS.c.client, PREDICTIONS.c.group_name)

_LOCK_KEY = 0x7461_786F_6E4C_6F67  # "taxonLog": PostgreSQL's advisory lock for migrations


@dataclass(frozen=True)
class Migration:
    """A step from version `version - 1` to `version`, and why it was needed."""

    version: int
    reason: str
    statements: tuple[ExecutableDDLElement, ...]


MIGRATIONS: tuple[Migration, ...] = (
    Migration(
        1,
        "the answers; the newest of one model, and a span of time, are found without reading all",
        (CreateTable(VERSIONS), CreateTable(PREDICTIONS), CreateIndex(_BY_MODEL), CreateIndex(_BY_TIME)),
    ),
    Migration(
        2,
        "images lie apart and can be deleted earlier; one person's answers are found by their group",
        (CreateTable(IMAGES), CreateIndex(_BY_CLIENT)),
    ),
)
"""Version 1 names tables of today because no migration has changed them yet. The first one that does copies
today's definition beside the migration that made it."""

CURRENT_VERSION = MIGRATIONS[-1].version


def read_version(connection: Connection, name: str) -> int:
    """Version of the database; 0 where it is empty. `name` is what errors call it.

    Raises:
        LogError: the database holds tables of something else, or is of a newer version than this program.
    """
    tables = inspect(connection).get_table_names()
    if not tables:
        return 0
    if VERSIONS.name not in tables:
        raise LogError(
            f"{name} is not a prediction log: it holds {len(tables)} tables of something else (first: "
            f"{min(tables)}). Expected an empty database or one that Taxon made. Name another one."
        )
    version = max(connection.execute(select(VERSIONS.c.version)).scalars(), default=0)
    if version > CURRENT_VERSION:
        raise LogError(
            f"{name} is a prediction log of version {version}; this program knows versions up to "
            f"{CURRENT_VERSION}. Update Taxon, or name another database."
        )
    return version


def migrate(connection: Connection, name: str) -> None:
    """Apply what is missing, inside the transaction that `connection` is in.

    The caller's transaction holds SQLite's write lock from its beginning; on PostgreSQL an advisory lock is
    taken here. So of two workers that start at once the second waits, and then finds nothing left to do.

    Raises:
        LogError: as of `read_version`.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK_KEY})
    version = read_version(connection, name)
    for migration in MIGRATIONS[version:]:
        for statement in migration.statements:
            connection.execute(statement)
        connection.execute(insert(VERSIONS).values(version=migration.version))
