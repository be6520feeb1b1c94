"""What is asked: files, folders, CSV files of paths and ZIP archives become one list of items.

Every file is an item, an item with a fault, or counted by its ending among the others; none is passed over.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from vision.base.errors import SourceError
from vision.base.names import find_near
from vision.data.sources.finding import Rules, find_images
from vision.data.sources.remote import connect, find_url, refuse_remote
from vision.prediction.archive import list_archive
from vision.prediction.boxes import Boxes, cut_items, give_boxes
from vision.prediction.bucket import list_bucket
from vision.prediction.groups import group_items
from vision.prediction.items import HIDDEN, Folder, Item, make_faulty, make_item
from vision.prediction.table import list_table

EXPECTED = "Expected a picture, a folder, a CSV file or a ZIP file."


@dataclass
class Listing:
    """What was asked.

    Attributes:
        name: of the folder, file or archive, for the name of the output folder.
        sources: as they were typed.
        items: in the order in which they are told.
        others: file ending -> files beside the pictures.
    """

    name: str
    sources: tuple[str, ...]
    items: list[Item] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)

    @property
    def num_boxed(self) -> int:
        """Items that come with a box."""
        return sum(each.box is not None for each in self.items)

    def take(self, prefix: str, items: list[Item], others: Counter[str]) -> None:
        """Add files under names that begin with `prefix`."""
        named = (replace(each, path=prefix + each.path, key=each.key or each.path) for each in items)
        self.items.extend(named if prefix else items)
        self.others.update(others)


@contextmanager
def open_items(
    sources: Sequence[Path], group_by: str | None = None, boxes: Boxes | None = None
) -> Iterator[Listing]:
    """All that lies at these places; archives stay open for the block.

    Args:
        sources: picture files, folders (with all below them), CSV files with a column of paths, ZIP files,
            URLs of folders or pictures of an object store (`Path` may have made one slash of two).
        group_by: pattern with a part named `group`; of file names, or of paths if it holds a slash; or
            `auto`: the names themselves tell it, if they do.
        boxes: what becomes of boxes; None: nothing.

    Raises:
        SourceError: a place is not there or cannot be listed, a CSV has no column of paths, a ZIP is damaged
            or unpacks to far more than it holds; or no file at all was found.
    """
    listing = Listing(_name_of(sources[0]), tuple(find_url(each) or str(each) for each in sources))
    with ExitStack() as stack:
        for source in sources:
            prefix = "" if len(sources) == 1 else f"{find_url(source) or source}/"
            if url := find_url(source):
                listing.take(prefix, *list_bucket(url))
                continue
            place = find_place(source)
            if place.is_dir():
                _add_folder(listing, place, prefix)
            elif place.suffix.lower() in (".csv", ".tsv"):
                listing.items.extend(list_table(place))
            elif place.suffix.lower() == ".zip":
                listing.take(prefix, *stack.enter_context(list_archive(place)))
            else:
                listing.items.append(make_item(str(source), Folder(place.parent.absolute()), place.name))
        if not listing.items:
            raise SourceError(_describe_nothing(listing))
        if boxes is not None and boxes.file is not None:
            listing.items = give_boxes(listing.items, boxes.file)
        if boxes is not None and boxes.margin is not None:
            listing.items = cut_items(listing.items, boxes.margin)
        listing.items = _tell_apart(listing.items)
        listing.items = group_items(listing.items, group_by)
        yield listing


def find_place(source: Path) -> Path:
    """The file or folder, home expanded; a URL of an object store as it is.

    Raises:
        SourceError: there is none.
    """
    try:
        place = source.expanduser()
        if place.exists() or find_url(source):
            return place
        beside = [each.name for each in place.parent.iterdir()] if place.parent.is_dir() else []
    except (OSError, RuntimeError) as error:
        raise SourceError(f"{source}: cannot be opened: {error}. {EXPECTED}") from error
    near = find_near(place.name, beside)
    hint = f"Did you mean {place.parent / near}?" if near else EXPECTED
    raise SourceError(f"{place.absolute()}: there is no such file or folder. {hint}")


def require_sources(listing: Listing, items: Iterable[Item] = ()) -> None:
    """Make sure that every place that was asked is still there, and the folders in which some items lie.

    Raises:
        SourceError: one is gone, or is an empty folder, as where a disk was unplugged.
    """
    folders = {str(file.parent) for file in (each.file for each in items) if file is not None}
    for source in (*listing.sources, *sorted(folders)):
        try:
            is_there = _is_there(source)
        except OSError:
            is_there = False
        if not is_there:
            raise SourceError(
                f"{source}: is not there any more. Expected it until all is answered; was a disk unplugged, "
                "or a bucket emptied? What is answered is kept: bring it back and type the same command."
            )


def _is_there(source: str) -> bool:
    if url := find_url(Path(source)):
        store, place = connect(url)
        try:
            return bool(store.exists(place))
        except Exception as error:
            raise refuse_remote(url, error) from error
    path = Path(source).expanduser()
    return path.is_file() or any(path.iterdir())


def _add_folder(listing: Listing, root: Path, prefix: str) -> None:
    found = find_images(root, Rules(follows_links=True))
    folder = Folder(root.absolute())
    readable = [make_item(prefix + path, folder, path) for path in found.images]
    faulty = [make_faulty(f"{prefix}{each.path}", each.reason) for each in found.quarantined]
    listing.items.extend(sorted([*readable, *faulty], key=lambda each: each.path))
    listing.others.update(found.others_below())
    if found.set_aside:
        listing.others[HIDDEN] += sum(found.set_aside.values())


def _tell_apart(items: list[Item]) -> list[Item]:
    """The items, of which two with one name are one file: another file of that name gets a number."""
    if len({each.path for each in items}) == len(items):
        return items
    known: dict[str, tuple[Path | None, str]] = {}
    told = []
    for each in items:
        path, number, identity = each.path, 2, (each.file, each.stamp)
        while known.setdefault(path, identity) != identity:
            path, number = f"{each.path} ({number})", number + 1
        told.append(each if path == each.path else replace(each, path=path, key=each.key or each.path))
    return told


def _name_of(source: Path) -> str:
    """The last part of a place as part of a folder's name."""
    stem = source.expanduser().absolute().resolve()
    name = stem.stem if stem.suffix and not stem.is_dir() else stem.name
    return re.sub(r"[^\w.-]+", "-", name).strip("-.")[:60] or "pictures"


def _describe_nothing(listing: Listing) -> str:
    seen = ", ".join(f"{count} x {ending}" for ending, count in sorted(listing.others.items()))
    holds = f"holds no picture, but {seen}" if seen else "is empty"
    return f"{', '.join(listing.sources)}: {holds}. {EXPECTED}"
