"""A folder of an object store is copied once into the data folder, and read from there."""

from __future__ import annotations

import hashlib
import json
import logging
import re
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import fsspec

from vision.base.errors import SourceError
from vision.base.files import write_atomically
from vision.config.data import FolderSource
from vision.config.sources.registry import SourceSettings
from vision.config.sources.tables import CsvSource

_URL = re.compile(r"(s3|s3a|gs|gcs|az|abfs):/+(.+)")
_WORKERS = 8
_STAMPS = ("ETag", "etag", "md5Hash", "LastModified", "last_modified")

logger = logging.getLogger(__name__)


class RemoteFile(NamedTuple):
    """A file of a store: its key there, what changes with its content, and its bytes."""

    key: str
    stamp: str
    size: int


def find_url(path: Path | None) -> str | None:
    """The URL that a path of the settings is (`Path` makes one slash of two); None of a local path."""
    match = _URL.fullmatch(path.as_posix()) if path is not None else None
    return f"{match[1]}://{match[2].rstrip('/')}" if match else None


def copy_remote(settings: SourceSettings, data_folder: Path) -> SourceSettings:
    """The settings with local copies in place of the URLs; copies what is new or changed.

    Raises:
        SourceError: the store cannot be read, or holds no file there.
    """
    if not isinstance(settings, FolderSource | CsvSource):
        return settings
    update: dict[str, Any] = {}
    images = settings.images if isinstance(settings, CsvSource) else None
    url, images_url = find_url(settings.path), find_url(images)
    if url is not None and isinstance(settings, CsvSource):
        place = PurePosixPath(settings.path)
        only = place.name if images is not None else ""
        parent = url.rpartition("/")[0]
        update["path"] = copy_folder(parent, data_folder, only) / place.name
    elif url is not None:
        update["path"] = copy_folder(url, data_folder)
    if images_url is not None:
        update["images"] = copy_folder(images_url, data_folder)
    return settings.model_copy(update=update) if update else settings


def check_remote(settings: SourceSettings) -> bool:
    """Whether the settings name URLs, each of which can be listed; SourceError if one cannot."""
    paths = [getattr(settings, name, None) for name in ("path", "images")]
    urls = [url for path in paths if isinstance(path, Path) and (url := find_url(path)) is not None]
    for url in urls:
        store, place = connect(url)
        try:
            store.ls(place)
        except Exception as error:
            raise refuse_remote(url, error) from error
    return bool(urls)


def copy_folder(url: str, data_folder: Path, only: str = "") -> Path:
    """The local folder that holds what lies below a URL now, or of it the one file `only`.

    A file counts as copied if the store states the ETag (or time) and size that it had then. Files that are
    gone are deleted. What was copied before an interruption stays.

    Raises:
        SourceError: the store cannot be read, or holds no file there.
    """
    store, place = connect(url)
    name = hashlib.sha256(f"{url}\0{only}".encode()).hexdigest()[:16]
    folder, index = (data_folder.resolve() / "remote" / each for each in (name, f"{name}.json"))
    wanted = list_remote(store, place, url, only)
    known = json.loads(index.read_text(encoding="utf-8")) if index.is_file() else {}
    done = {path: file.stamp for path, file in wanted.items() if known.get(path) == file.stamp}
    done = {path: stamp for path, stamp in done.items() if (folder / path).is_file()}
    for path in known.keys() - wanted.keys():
        (folder / path).unlink(missing_ok=True)
    missing, asked = sorted(wanted.keys() - done.keys()), url
    if missing:
        logger.info("Copying %d of %d files of %s into %s", len(missing), len(wanted), url, folder)
    try:
        with ThreadPoolExecutor(max_workers=_WORKERS) as pool:
            work = {pool.submit(_fetch, store, wanted[path].key, folder / path): path for path in missing}
            try:
                for future in as_completed(work):
                    asked = f"{url}/{work[future]}"
                    future.result()
                    done[work[future]] = wanted[work[future]].stamp
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
    except Exception as error:
        raise refuse_remote(asked, error) from error
    finally:
        write_atomically(index, json.dumps(done, sort_keys=True))
    return folder


def connect(url: str) -> tuple[Any, str]:
    """The store of a URL, and the place in it.

    Raises:
        SourceError: the library that reads such a store is not installed.
    """
    try:
        store, place = fsspec.core.url_to_fs(url)
    except ImportError as error:
        raise SourceError(
            f"{url}: {error}. Expected the library that reads such a store. For s3:// type: pip install -r "
            "requirements-extras.txt"
        ) from error
    store.invalidate_cache()
    return store, place.rstrip("/")


def list_remote(store: Any, place: str, url: str, only: str = "") -> dict[str, RemoteFile]:
    """Path below the URL -> the file there.

    Raises:
        SourceError: the store cannot be listed, or holds no file there.
    """
    try:
        found = store.find(f"{place}/{only}" if only else place, detail=True)
    except Exception as error:
        raise refuse_remote(url, error) from error
    listed = {}
    for key, info in found.items():
        path = key.removeprefix(f"{place}/")
        if path == key or ".." in PurePosixPath(path).parts or key.endswith("/"):
            continue  # the folder itself, or a name that no file below it can have
        stamp = next((str(info[name]) for name in _STAMPS if info.get(name)), "")
        size = info.get("size") or 0
        listed[path] = RemoteFile(key, f"{stamp} {size}", size)
    if not listed:
        raise SourceError(
            f"{url}{f'/{only}' if only else ''}: holds no file. Expected images, or a table of them. Correct "
            "the path."
        )
    return listed


def _fetch(store: Any, key: str, path: Path) -> None:
    """Copy one file; it appears under its name when it is whole."""
    partial = path.with_name(f".{path.name}.partial")
    path.parent.mkdir(parents=True, exist_ok=True)
    store.get_file(key, str(partial))
    partial.replace(path)


def refuse_remote(url: str, error: Exception) -> SourceError:
    """The error for a store that cannot be read, with what to check."""
    reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return SourceError(
        f"{url}: cannot be read: {type(error).__name__}, {reason}. Expected a bucket and folder that may be "
        "listed and read. Check the name, the credentials (for s3:// AWS_ACCESS_KEY_ID and "
        "AWS_SECRET_ACCESS_KEY or ~/.aws) and, of a store of your own, AWS_ENDPOINT_URL. Where it was "
        "busy or out of reach for a while, type the same command again: it goes on where it stopped."
    )


def is_of_file(error: Exception) -> bool:
    """Whether a store refuses one file, which is gone or not to be read; not that it is busy or out of reach.

    What passes, the store's library has tried several times by then.
    """
    told = getattr(error.__cause__, "response", None)  # a dictionary of s3fs, an object of other libraries
    code = told.get("Error", {}).get("Code", "") if isinstance(told, dict) else ""
    if isinstance(error, PermissionError):  # also of a key that has expired meanwhile
        return code in ("", "403", "AccessDenied", "InvalidObjectState")
    return isinstance(error, FileNotFoundError)
