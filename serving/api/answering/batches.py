"""The pictures of a ZIP archive answered one after the other, each in a row of its own.

An archive is looked at before anything of it is unpacked: entries, the size of its directory, and what all
of it would unpack to. Nothing is written to the disk but the upload itself.
"""

from __future__ import annotations

import asyncio
import logging
import time
import zipfile
from collections import deque
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, BinaryIO

from serving.api.answering.answers import Answerer, Question
from serving.api.answering.state import ServiceState
from serving.api.problems import Problem, ProblemError
from serving.api.schemas import BatchRow, PredictionAnswer
from serving.api.settings import ServiceSettings
from serving.log.entries import MAX_CHARACTERS, LogEntry
from vision.base.errors import ImageError
from vision.config.data import AUTO_GROUPS
from vision.prediction.groups import group_items
from vision.prediction.items import Item, make_faulty, show_name
from vision.prediction.members import ARCHIVE_FAULTS, make_member_item, open_zip

_ENTRIES, _DIRECTORY_BYTES = 4, 5  # of what zipfile reads from the end of an archive
_BYTES_AN_ENTRY = 600
_PACKED_BY = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_logger = logging.getLogger("taxon.serving")


@dataclass(frozen=True)
class Batch:
    """An opened archive and how its files are asked about.

    Attributes:
        archive: open while rows are made.
        asked: the question of every file but its bytes, name, group and time.
        groups: name of a file, as it is shown -> its group.
    """

    archive: zipfile.ZipFile
    asked: Question
    groups: Mapping[str, str] = field(default_factory=dict)


def list_members(archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    """Its files in their order, less folders and what systems put beside files."""
    files = (each for each in archive.infolist() if not each.is_dir())
    return [each for each in files if not each.filename.startswith("__MACOSX/")]


def tell_groups(archive: zipfile.ZipFile, group_by: str) -> dict[str, str]:
    """The group of each file that has one, by its name; names that are too long for a group tell none."""
    names = [show_name(each.filename) for each in list_members(archive)]
    names = [each for each in names if len(each) <= MAX_CHARACTERS]
    if group_by == "folder":
        return {each: folder for each in names if (folder := each.rpartition("/")[0])}
    items = [make_faulty(each, "is a name alone") for each in names] if group_by == "names" else []
    return {each.path: each.group for each in group_items(items, AUTO_GROUPS) if each.group} if items else {}


def open_archive(file: BinaryIO, settings: ServiceSettings) -> zipfile.ZipFile:
    """The archive in an uploaded file.

    Raises:
        ProblemError: it is none, or is beyond the bounds on an archive (422).
    """
    try:
        end: Any = zipfile._EndRecData(file)  # type: ignore[attr-defined]
        if end is None:
            raise _refuse("A file arrived that is no ZIP archive, or only a part of one")
        most = settings.max_batch_files
        if end[_ENTRIES] > most or end[_DIRECTORY_BYTES] > most * _BYTES_AN_ENTRY:
            raise _refuse(f"An archive of {end[_ENTRIES]} files arrived", f"at most {most}")
        archive = open_zip(file)
    except ARCHIVE_FAULTS as error:
        raise _refuse(f"An archive arrived that cannot be read ({error})") from error
    members = archive.infolist()
    unpacked = sum(each.file_size for each in members)
    if len(members) > most or unpacked > settings.max_batch_unpacked_bytes:
        raise _refuse(
            f"An archive arrived of {len(members)} files that unpack to {unpacked / 1e6:.0f} MB",
            f"at most {most} files and {settings.max_batch_unpacked_bytes / 1e6:.0f} MB",
        )
    return archive


Told = tuple[BatchRow, LogEntry | None]
"""A row, and what is to be committed to the log before it is sent."""

SEND_SECONDS = 0.1
"""Rows that are made within it are logged and sent together, which costs less than each alone."""


async def answer_batch(state: ServiceState, answerer: Answerer, batch: Batch) -> AsyncGenerator[Told | None]:
    """A row for each file, in the order of the archive, and None after each SEND_SECONDS without one.

    As many are in work as there are threads.
    """
    pending: deque[asyncio.Task[Told]] = deque()
    try:
        for member in list_members(batch.archive):
            pending.append(asyncio.create_task(_answer_member(state, answerer, batch, member)))
            while len(pending) > state.settings.threads:
                yield await _take_first(pending)
        while pending:
            yield await _take_first(pending)
    finally:
        for task in pending:
            task.cancel()


async def _take_first(pending: deque[asyncio.Task[Told]]) -> Told | None:
    """The first row; None where it is not made within SEND_SECONDS."""
    done, _ = await asyncio.wait([pending[0]], timeout=SEND_SECONDS)
    return pending.popleft().result() if done else None


async def _answer_member(
    state: ServiceState, answerer: Answerer, batch: Batch, member: zipfile.ZipInfo
) -> Told:
    arrived = time.perf_counter()
    item = make_member_item(batch.archive, member, state.settings.max_body_bytes)
    group = batch.groups.get(item.path)
    try:
        asked = replace(batch.asked, file_name=item.path, group=group, arrived=arrived)
        answer, entry = await state.run(partial(_answer_file, answerer, asked, item), member)
    except ImageError as error:
        return BatchRow(file=item.path, problem=_unusable(str(error)).problem, group=group), None
    except ProblemError as error:
        return BatchRow(file=item.path, problem=error.problem, group=group), None
    except Exception:
        _logger.exception("A fault of this program")
        return BatchRow(file=item.path, problem=_FAULT, group=group), None
    return BatchRow(file=item.path, answer=answer, group=group), entry


def _answer_file(
    answerer: Answerer, asked: Question, item: Item, member: zipfile.ZipInfo
) -> tuple[PredictionAnswer, LogEntry | None]:
    """The answer about one file of the archive, unpacked and looked at in one thread."""
    if item.fault or member.compress_type not in _PACKED_BY:
        raise ImageError(item.fault or "is packed by a method that is not read; expected deflate")
    return answerer.answer_with_entry(replace(asked, image=item.read()))


# --- problems -------------------------------------------------------------------------------------------


def _refuse(arrived: str, expected: str = "a ZIP archive of pictures") -> ProblemError:
    return ProblemError(
        "archive", arrived=arrived, expected=expected, advice="Pack the pictures again, or fewer"
    )


def _unusable(fault: str) -> ProblemError:
    return ProblemError(
        "image-unusable",
        arrived=f"The file cannot be taken: {fault}",
        expected="a picture as POST /predict takes it",
        advice="Correct the file and send it again",
    )


_FAULT: Problem = ProblemError(
    "fault",
    arrived="The file met a fault of this program",
    expected="none",
    advice="The operator finds it in the service's log",
).problem
