"""A folder of an object store as items: each picture is fetched when it is asked for, nothing is copied."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from vision.base.errors import ImageError, SourceError
from vision.data.decoding.formats import has_image_ending
from vision.data.sources.finding import is_set_aside
from vision.data.sources.remote import connect, is_of_file, list_remote, refuse_remote
from vision.prediction.items import HIDDEN, MAX_BYTES, Item, describe_size, show_name


@dataclass(frozen=True, slots=True)
class Bucket:
    """Files below a URL, which each process asks the store for itself."""

    url: str

    def read(self, key: str) -> bytes:
        """The bytes of a file.

        Raises:
            ImageError: this file is gone, or may not be read.
            SourceError: the store does not answer, or not with the file, after several tries.
        """
        store, place = connect(self.url)
        try:
            content: bytes = store.cat_file(f"{place}/{key}")
        except Exception as error:
            if is_of_file(error):
                raise ImageError(f"cannot be read: {getattr(error, 'strerror', None) or error}") from error
            raise refuse_remote(f"{self.url}/{key}", error) from error
        return content

    def find_file(self, _key: str) -> None:
        """It lies in the store alone."""

    def find_folder(self, _key: str) -> str:
        """None."""
        return ""


def check_output(url: str) -> None:
    """Make sure that a folder of a store is empty, and that files can be put there.

    Raises:
        SourceError: it is not, or they cannot.
    """
    store, place = connect(url)
    probe = f"{place}/.taxon"
    try:
        is_empty = all(key == probe for key in store.find(place))
        if is_empty:
            store.pipe_file(probe, b"")
            store.rm_file(probe)
    except Exception as error:
        raise _refuse_output(url, error) from error
    if not is_empty:
        raise SourceError(f"{url}: is not empty. Expected a new folder. Name another: --out {url}-2")


def copy_output(folder: Path, url: str) -> None:
    """Copy all files of a folder to a store.

    Raises:
        SourceError: they cannot be copied; they stay where they are.
    """
    store, place = connect(url)
    try:
        for file in sorted(each for each in folder.rglob("*") if each.is_file()):
            store.put_file(str(file), f"{place}/{file.relative_to(folder).as_posix()}")
    except Exception as error:
        raise _refuse_output(url, error, f" The answers are whole in {folder}.") from error


def _refuse_output(url: str, error: Exception, where: str = "") -> SourceError:
    reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return SourceError(
        f"{url}: cannot be written: {type(error).__name__}, {reason}.{where} Expected a bucket in which "
        "files may be listed, written and deleted. Check its name and the credentials (for s3:// "
        "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or ~/.aws), or type --out FOLDER."
    )


def list_bucket(url: str) -> tuple[list[Item], Counter[str]]:
    """The pictures below a URL, or the one that it names, and the other files by ending.

    What is a picture, the ending of its name says.

    Raises:
        SourceError: the store cannot be listed, holds no file there, or the URL names a table or an archive.
    """
    ending = PurePosixPath(url).suffix.lower()
    if ending in (".csv", ".tsv", ".zip"):
        raise SourceError(
            f"{url}: is a table or an archive. Expected a picture or a folder of a store. Copy it here "
            f"first, for example: aws s3 cp {url} ."
        )
    folder, only = url.rsplit("/", 1) if has_image_ending(url) else (url, "")
    store, place = connect(folder)
    items, others, bucket = [], Counter[str](), Bucket(folder)
    for path, file in list_remote(store, place, folder, only).items():
        *folders, name = PurePosixPath(path).parts
        if name.startswith(".") or any(is_set_aside(each, below_class=True) for each in folders):
            others[HIDDEN] += 1
        elif not has_image_ending(path):
            others[PurePosixPath(path).suffix.lower() or "no ending"] += 1
        else:
            fault = describe_size(file.size) if file.size > MAX_BYTES else ""
            shown = show_name(path)
            items.append(Item(shown, bucket, "" if shown == path else path, file.stamp, fault=fault))
    return sorted(items, key=lambda each: each.path), others
