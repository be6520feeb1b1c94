"""A table of images in a database, SQLite or PostgreSQL; the images stay where they are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Integer,
    MetaData,
    Table,
    Text,
    create_engine,
    delete,
    func,
    insert,
    inspect,
    select,
)
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from vision.base.errors import SourceError
from vision.data.decoding.formats import find_format
from vision.data.records import ImageEntry, Manifest

IMAGES = Table(
    "images",
    MetaData(),
    Column("path", Text, primary_key=True),
    Column("filename", Text, nullable=False),
    Column("label", Text),
    Column("group", Text),
    Column("split", Text),
    Column("type", Text),
    Column("bytes", BigInteger),
    Column("width", Integer),
    Column("height", Integer),
    Column("digest", Text),
    Column("held_out", Boolean),
)
"""One row an image; only path, filename and label need a value."""

_HEAD_BYTES = 64
_CONNECT_SECONDS = 10


def locate_catalog(url: str | None, data_folder: Path) -> URL:
    """The database; `catalog.db` in the data folder where no URL is given.

    Raises:
        SourceError: it is no URL, of a kind that is not read, or holds a password.
    """
    try:
        parsed = make_url(url or f"sqlite:///{data_folder.resolve() / 'catalog.db'}")
    except ArgumentError as error:
        raise SourceError(
            "the URL of the catalogue cannot be read. Expected sqlite:///catalog.db or "
            "postgresql://user@host/name. Correct it."
        ) from error
    if parsed.password is not None:
        raise SourceError(
            f"{parsed.render_as_string()}: holds a password, which would be stored with every run. Expected "
            "none in the URL. Put it into the environment variable PGPASSWORD or into ~/.pgpass."
        )
    kind = parsed.get_backend_name()
    if kind not in ("sqlite", "postgresql"):
        raise SourceError(f"{parsed}: is a database of the kind {kind}. Expected sqlite or postgresql.")
    return parsed.set(drivername="postgresql+psycopg") if kind == "postgresql" else parsed


def fill_catalog(url: URL, manifest: Manifest) -> int:
    """Write the rows of a folder in place of those that it had before; returns how many others there are.

    Raises:
        SourceError: the database cannot be reached or written.
    """
    rows = [_make_row(manifest, entry) for entry in manifest.entries]
    root = f"{manifest.root}/"
    below = func.substr(IMAGES.c.path, 1, len(root)) == root  # LIKE would ignore case in SQLite
    with _open(url, creates=True) as connection:
        IMAGES.metadata.create_all(connection)
        connection.execute(delete(IMAGES).where(below))
        connection.execute(insert(IMAGES), rows)
        return len(connection.execute(select(IMAGES.c.path)).all()) - len(rows)


def read_catalog(url: URL) -> Sequence[dict[str, Any]]:
    """All rows by column, sorted by path.

    Raises:
        SourceError: the database cannot be reached, or holds no catalogue.
    """
    with _open(url, creates=False) as connection:
        if not inspect(connection).has_table(IMAGES.name):
            raise SourceError(
                f"{_name(url)}: holds no table {IMAGES.name!r}. Expected a catalogue. Fill it: python run.py "
                "catalog FOLDER"
            )
        rows = [dict(row) for row in connection.execute(select(IMAGES)).mappings()]
    return sorted(rows, key=lambda row: row["path"])


@contextmanager
def _open(url: URL, *, creates: bool) -> Iterator[Connection]:
    is_file = url.get_backend_name() == "sqlite"
    if is_file and not creates and not Path(url.database or "").is_file():
        raise SourceError(
            f"{_name(url)}: there is no catalogue. Expected one. Fill it: python run.py catalog FOLDER"
        )
    try:
        if is_file and url.database:
            Path(url.database).parent.mkdir(parents=True, exist_ok=True)
        waits = {} if is_file else {"connect_timeout": _CONNECT_SECONDS}
        engine = create_engine(url, hide_parameters=True, connect_args=waits)
        try:
            with engine.begin() as connection:
                yield connection
        finally:
            engine.dispose()
    except ModuleNotFoundError as error:
        raise SourceError(
            f"{_name(url)}: PostgreSQL needs {error.name}, which is not installed. Type: pip install -r "
            "requirements-extras.txt"
        ) from error
    except (SQLAlchemyError, OSError) as error:
        reason = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
        raise SourceError(
            f"{_name(url)}: the catalogue cannot be used: {reason}. Expected a database that can be read and "
            "written. Check the URL, the server and the password in PGPASSWORD."
        ) from error


def _name(url: URL) -> str:
    return url.render_as_string(hide_password=True)


def _make_row(manifest: Manifest, entry: ImageEntry) -> dict[str, Any]:
    path = manifest.locate(entry)
    with path.open("rb") as file:
        found = find_format(file.read(_HEAD_BYTES))
    return {
        "path": path.as_posix(),
        "filename": path.name,
        "label": entry.class_name,
        "group": entry.group,
        "split": entry.tree and str(entry.tree),
        "type": found.name if found else None,
        "bytes": entry.num_bytes,
        "width": entry.width,
        "height": entry.height,
        "digest": entry.digest,
        "held_out": entry.is_unknown,
    }
