"""Which database a prediction log lies in; what the URL cannot mean is refused before anything is opened."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from vision.base.errors import ConfigError

_EXPECTED = "expected sqlite:///PATH without options, or postgresql://USER:PASSWORD@HOST/DATABASE"


def is_sqlite(url: URL) -> bool:
    """Whether the database is a SQLite file."""
    return url.get_backend_name() == "sqlite"


def resolve_log_url(url: str, root: Path) -> str:
    """`serve.log.url` with a relative SQLite path taken from the project's home `root`.

    So service and monitoring mean one file.

    Raises:
        ConfigError: see `parse_url`.
    """
    parsed = parse_url(url)
    if not is_sqlite(parsed):
        return url
    path = root.absolute() / (parsed.database or "")
    return parsed.set(database=str(path)).render_as_string(hide_password=False)


def parse_url(text: str) -> URL:
    """The URL with the driver that serves it.

    Raises:
        ConfigError: it is of another kind of database, or PostgreSQL's driver is not installed.
    """
    try:
        url = make_url(text)
    except (ArgumentError, ValueError) as error:
        raise ConfigError(f"The prediction log's URL cannot be read as one; {_EXPECTED}.") from error
    shown = f"The prediction log's URL is {url.render_as_string(hide_password=True)}"
    in_file = url.database not in (None, "", ":memory:")
    if url.drivername in ("sqlite", "sqlite+pysqlite") and in_file and not url.query:
        return url
    if url.drivername not in ("postgresql", "postgres", "postgresql+psycopg"):
        raise ConfigError(f"{shown}; {_EXPECTED}.")
    if importlib.util.find_spec("psycopg") is None:
        raise ConfigError(
            f"{shown}, and PostgreSQL's driver is not installed. Expected psycopg 3: "
            "python -m pip install 'psycopg[binary]'"
        )
    return url.set(drivername="postgresql+psycopg")
