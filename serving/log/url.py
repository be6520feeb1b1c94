"""Which database a prediction log lies in; what the URL cannot mean is refused before anything is opened."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from vision.base.errors import ConfigError

_POSTGRESQL_DRIVER = "psycopg"


def is_sqlite(url: URL) -> bool:
    """Whether the database is a SQLite file."""
    return url.get_backend_name() == "sqlite"


def resolve_log_url(url: str, root: Path) -> str:
    """The URL with a relative SQLite path taken from `root`, so that service and monitoring mean one file.

    Args:
        url: of the prediction log, as the configuration names it (`serve.log.url`).
        root: the project's home, the folder that holds `state` (`ProjectPaths.home`).

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
        raise ConfigError(
            "The prediction log's URL cannot be read as one. Expected sqlite:///PATH or "
            "postgresql://USER:PASSWORD@HOST/DATABASE."
        ) from error
    shown = url.render_as_string(hide_password=True)
    if is_sqlite(url):
        if url.drivername not in ("sqlite", "sqlite+pysqlite") or url.query or not url.database:
            raise ConfigError(
                f"The prediction log's URL is {shown}; expected sqlite:///PATH without options."
            )
        if url.database == ":memory:":
            raise ConfigError(
                "The prediction log's URL is of a database in memory; expected a file, because monitoring "
                "reads it from another process: sqlite:///PATH."
            )
        return url
    if url.drivername not in ("postgresql", "postgres", f"postgresql+{_POSTGRESQL_DRIVER}"):
        raise ConfigError(f"The prediction log's URL is {shown}; expected sqlite:///PATH or postgresql://...")
    if importlib.util.find_spec(_POSTGRESQL_DRIVER) is None:
        raise ConfigError(
            f"The prediction log's URL is {shown}, and PostgreSQL's driver is not installed. Expected "
            "psycopg 3: python -m pip install 'psycopg[binary]'"
        )
    return url.set(drivername=f"postgresql+{_POSTGRESQL_DRIVER}")
