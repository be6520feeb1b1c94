"""ZenML's database is put right where the project was moved or copied, or its classes have moved.

ZenML stores absolute paths of artifacts, views and logs, and the module of each artifact's class. Before
ZenML is imported, those of another place become those of this one, in one transaction. A copy has its own
database and its own lock, so the original is neither read nor written. Paths elsewhere, such as on S3, stay.
"""

from __future__ import annotations

import json
import logging
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path

import yaml

from orchestration.session.paths import ProjectPaths
from vision.base.closure import ROOT
from vision.base.errors import RunLockedError, StorageError
from vision.base.files import storage_errors, write_atomically
from vision.base.lock import RunLock

logger = logging.getLogger(__name__)

LOCAL_STORES_FOLDER = "local_stores"
DASHBOARD_FOLDER = "dashboard"
"""ZenML's configuration folder of the dashboard, below that of the client."""

_INSIDE = f"/state/zenml/{LOCAL_STORES_FOLDER}/"
_DATABASE = f"{LOCAL_STORES_FOLDER}/default_zen_store/zenml.db"
_PLACES = ("artifact_version", "artifact_visualization", "logs")
"""Tables whose column `uri` is a path."""

_CLASSES = ("data_type", "materializer")
"""Columns of artifact_version that name a class and its module."""

_RENAMED = {"OutputsMaterializer": "ArraysMaterializer", "DetectorMaterializer": "ArraysMaterializer"}
_PACKAGES = ("materializers", "vision")


def database_of(paths: ProjectPaths) -> Path:
    """The file of the project's own ZenML database, which need not exist."""
    return paths.zenml / _DATABASE


def relocate_store(paths: ProjectPaths) -> None:
    """Make the project's database name this place and today's classes; does nothing where it does.

    Raises:
        RunLockedError: a run is going; it was started before the project was moved.
        StorageError: the database is damaged, as one that was copied while a run wrote to it may be.
    """
    path = database_of(paths)
    if not path.is_file():
        return
    with _database(path) as database:
        if not _is_complete(database):  # ZenML was killed as it made its tables, and makes the others now
            return
        former = _former_homes(database, paths.home)
        moved = _moved_classes(database)
        if former or moved:
            _rewrite(database, paths, former, moved)
    _forget_address(paths)


def _rewrite(
    database: sqlite3.Connection, paths: ProjectPaths, former: set[str], moved: dict[str, str]
) -> None:
    """Change the database in one transaction, which also covers the files of containers: they come first."""
    here = f"{paths.home}{_INSIDE}"
    try:
        with RunLock(paths.lock, "to adapt the database"), database:
            if database.execute("PRAGMA quick_check").fetchone()[0] != "ok":
                raise sqlite3.DatabaseError("quick_check found faults")
            for there in (f"{home}{_INSIDE}" for home in former):
                for table in _PLACES:
                    database.execute(
                        f"UPDATE {table} SET uri = ? || substr(uri, ?) WHERE substr(uri, 1, ?) = ?",
                        (here, len(there) + 1, len(there), there),
                    )
            for column in _CLASSES:
                database.executemany(
                    f"UPDATE artifact_version SET {column} = ? WHERE {column} = ?",
                    [(new, old) for old, new in moved.items()],
                )
            _rewrite_containers(database, here)
    except RunLockedError as error:
        raise RunLockedError(f"{paths.home} was moved or updated while a run was going. {error}") from error
    for home in former:
        logger.warning("This project lay in %s before. Its runs and models go on in %s.", home, paths.home)


def _rewrite_containers(database: sqlite3.Connection, here: str) -> None:
    """ZenML stores a list or dict of values with a file of the absolute paths and classes of its elements."""
    query = "SELECT uri FROM artifact_version WHERE instr(materializer, ?) AND substr(uri, 1, ?) = ?"
    for (uri,) in database.execute(query, ("BuiltInContainerMaterializer", len(here), here)):
        for path in Path(uri).rglob("metadata.json"):
            entries = json.loads(path.read_text(encoding="utf-8"))
            for entry in entries:
                entry["path"] = here + entry["path"].rpartition(_INSIDE)[2]
                for key in ("type", "materializer"):
                    module, _, name = entry[key].rpartition(".")
                    entry[key] = ".".join(_find_class(module, name))
            write_atomically(path, json.dumps(entries))


def _is_complete(database: sqlite3.Connection) -> bool:
    found = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    return found.issuperset(_PLACES)


def _former_homes(database: sqlite3.Connection, home: Path) -> set[str]:
    """Project folders, other than this one, in which the database says that something lies."""
    here = f"{home}{_INSIDE}"
    found: set[str] = set()
    for table in _PLACES:
        rows = database.execute(
            f"SELECT uri FROM {table} WHERE uri LIKE '/%' AND instr(uri, ?) AND substr(uri, 1, ?) != ?",
            (_INSIDE, len(here), here),
        )
        found |= {uri.rpartition(_INSIDE)[0] for (uri,) in rows}
    return found


def _moved_classes(database: sqlite3.Connection) -> dict[str, str]:
    """Stored name of a class that its module no longer holds -> the name of where it is now."""
    moved: dict[str, str] = {}
    for column in _CLASSES:
        for (stored,) in database.execute(f"SELECT DISTINCT {column} FROM artifact_version"):
            source = json.loads(stored)
            module, name = _find_class(source["module"], source["attribute"])
            if (module, name) != (source["module"], source["attribute"]):
                now = {**source, "module": module, "attribute": name}
                moved[stored] = json.dumps(now, separators=(",", ":"))
    return moved


def _find_class(module: str, name: str) -> tuple[str, str]:
    """Module and name of a class of ours today; as given for others, and if there is none or several."""
    if module.partition(".")[0] not in _PACKAGES or name in _classes_of(module):
        return module, name
    name_now = _RENAMED.get(name, name)
    files = [path.relative_to(ROOT) for package in _PACKAGES for path in (ROOT / package).rglob("*.py")]
    modules = [".".join(path.with_suffix("").parts) for path in files]
    found = [each for each in modules if name_now in _classes_of(each)]
    return (found[0], name_now) if len(found) == 1 else (module, name)


@cache
def _classes_of(module: str) -> frozenset[str]:
    path = ROOT / Path(*module.split(".")).with_suffix(".py")
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    return frozenset(re.findall(r"^class (\w+)", text, re.MULTILINE))


@contextmanager
def _database(path: Path) -> Iterator[sqlite3.Connection]:
    try:
        with closing(sqlite3.connect(path, timeout=60)) as connection:
            yield connection
    except sqlite3.OperationalError as error:
        raise StorageError(f"{path}: ZenML's database cannot be used: {error}.") from error
    except sqlite3.DatabaseError as error:
        raise StorageError(
            f"{path}: ZenML's database is damaged ({error}). Expected a whole one. If the project was copied "
            "while a run was going, copy it again when no run is going; else restore it from a backup."
        ) from error


def _forget_address(paths: ProjectPaths) -> None:
    """Take a database of another place out of ZenML's configuration: its default is the one of this place."""
    for path in (paths.zenml / "config.yaml", paths.zenml / DASHBOARD_FOLDER / "config.yaml"):
        if not path.is_file():
            continue
        with storage_errors(path, "read"):
            config = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        url = str((config.get("store") or {}).get("url", ""))
        ours = url.endswith(f"{_INSIDE}default_zen_store/zenml.db")
        if ours and url != f"sqlite:///{paths.zenml / _DATABASE}":
            del config["store"]
            write_atomically(path, yaml.safe_dump(config))
