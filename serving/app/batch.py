"""Many pictures sent to the service as small archives, and their answers in the order of the files."""

from __future__ import annotations

import tempfile
import threading
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from typing import BinaryIO

from serving.api.answering.rows import begin_csv
from serving.api.schemas import BatchRow, ModelDescription
from serving.app.pictures import fit_picture
from serving.app.screen import Service
from serving.app.visit import Asked
from serving.app.words import explain_fault
from serving.client import RefusedError, answer_archive
from vision.base.errors import ConfigError, ImageError
from vision.data.decoding.formats import find_format
from vision.data.thumbnails import make_thumbnail
from vision.decision.records import Decision
from vision.prediction.items import Item, Made, show_name
from vision.prediction.members import ARCHIVE_FAULTS, make_member_item, open_zip

TOP_K = 5
SIDE = 240
"""Pixels of a thumbnail's longer side."""
MOST_SHOWN = 60
"""Pictures of each decision of which a thumbnail is kept; ten thousand would take 100 MB of each visit."""

_FILES_AT_ONCE = 32
_MOST_BYTES = 200_000_000  # of one file
_HEAD_BYTES = 64  # a picture that has a ZIP behind it is a picture


@dataclass
class Batch:
    """Files and the answers that came so far.

    Attributes:
        items: the files; their bytes are read when they are sent.
        asked: of the first files; the least sure ones with a thumbnail.
        rows: the lines of the CSV file, its head among them.
        asking: held while an archive is asked: the page is drawn by another thread before the one that a
            click elsewhere ends is done with its archive.
    """

    items: Sequence[Item]
    asked: list[Asked] = field(default_factory=list)
    rows: list[str] = field(default_factory=list)
    asking: threading.Lock = field(default_factory=threading.Lock)

    @property
    def is_done(self) -> bool:
        """Whether every file has its row."""
        return len(self.asked) == len(self.items)

    def forget_thumbnails(self) -> None:
        """Keep those of the MOST_SHOWN least sure answers of each decision, which the page shows."""
        shown = [number for number, each in enumerate(self.asked) if each.shown]
        shown.sort(key=lambda number: self.asked[number].sureness)
        counts: Counter[Decision | None] = Counter()
        for number in shown:
            asked = self.asked[number]
            counts[asked.decision] += 1
            if counts[asked.decision] > MOST_SHOWN:
                self.asked[number] = replace(asked, shown=b"")


def list_items(files: Sequence[tuple[str, BinaryIO]], most: int) -> list[Item]:
    """The files, archives among them opened, in their order.

    Raises:
        ConfigError: an archive cannot be read, or these are more than `most` files.
    """
    items: list[Item] = []
    for name, file in files:
        file.seek(0)
        if find_format(file.read(_HEAD_BYTES)) is not None or not zipfile.is_zipfile(file):
            items.append(Item(show_name(name), Made(partial(_read_all, file))))
            continue
        try:
            archive = open_zip(file)
        except ARCHIVE_FAULTS as error:
            raise ConfigError(f"{name} cannot be opened ({error}). Expected a ZIP. Pack it again.") from error
        members = (each for each in archive.infolist() if not each.is_dir())
        members = (each for each in members if not each.filename.startswith("__MACOSX/"))
        items += [make_member_item(archive, each, _MOST_BYTES) for each in islice(members, most + 1)]
    if len(items) > most:
        raise ConfigError(
            f"These are over {most:,} pictures. Expected at most so many at once. Send them in parts, or: "
            "python run.py predict NAME FOLDER"
        )
    return items


def answer_items(service: Service, batch: Batch) -> Iterator[Asked]:
    """Send the files that have no answer yet and keep each answer as it comes.

    Answers are given when their archive is done: who stops here (a click elsewhere) cuts none in two, whose
    rest would be asked, and logged, once more.

    Raises:
        ServiceError: the service does not answer, or refuses; what came before is kept.
    """
    while True:
        with batch.asking:
            if batch.is_done:
                return
            first = len(batch.asked)
            _answer_part(service, batch)
            answered = batch.asked[first:]
        yield from answered


def _answer_part(service: Service, batch: Batch) -> None:
    """Send the next files as an archive, and keep each answer as it comes."""
    head, write = begin_csv(TOP_K)
    if not batch.rows:
        batch.rows.append(head)
    first = len(batch.asked)
    part = [_prepare(each, service.model) for each in batch.items[first : first + _FILES_AT_ONCE]]
    with tempfile.TemporaryFile() as archive:
        with zipfile.ZipFile(archive, "w") as packed:
            for number, each in enumerate(part):
                packed.writestr(str(number) if each.problem else each.name, each.content)
        archive.seek(0)
        rows = answer_archive(service.url, service.key, archive)
        for each, row in zip(part, rows, strict=True):
            told = _name_row(row, each)
            asked = Asked(each.name, row.group or "", datetime.now(UTC), each.thumbnail, told.answer)
            if told.problem is not None:
                asked = replace(asked, problem=told.problem.arrived)
            batch.rows.append(write(told))
            batch.asked.append(asked)
    batch.forget_thumbnails()


@dataclass(frozen=True)
class _Prepared:
    """A file ready to be sent; with a problem it has no content, and gets a row all the same."""

    name: str
    content: bytes = b""
    thumbnail: bytes = b""
    problem: str = ""


def _prepare(item: Item, model: ModelDescription) -> _Prepared:
    if item.fault:
        return _Prepared(item.path, problem=f"{item.path}: {item.fault}.")
    try:
        content = item.read()
        return _Prepared(item.path, fit_picture(content, model), make_thumbnail(content, SIDE))
    except ImageError as error:
        return _Prepared(item.path, problem=explain_fault(item.path, error))


def _name_row(row: BatchRow, sent: _Prepared) -> BatchRow:
    """The row under the file's own name, its problem in plain words."""
    if row.problem is None:
        return row.model_copy(update={"file": sent.name})
    code = row.problem.type.rpartition(":")[2]
    told = sent.problem or explain_fault(sent.name, RefusedError(row.problem.arrived, code))
    return row.model_copy(
        update={"file": sent.name, "problem": row.problem.model_copy(update={"arrived": told})}
    )


def _read_all(file: BinaryIO) -> bytes:
    file.seek(0)
    return file.read()
