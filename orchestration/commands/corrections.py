"""`run.py corrections`: what people said that answers should have been, as a table or a CSV file."""

from __future__ import annotations

import csv
import io
import sys
from argparse import Namespace
from collections import Counter, defaultdict
from collections.abc import Sequence
from contextlib import closing
from itertools import chain, count
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from orchestration.commands.command import Command, argument, read_config
from orchestration.session.paths import ProjectPaths
from vision.base.cells import as_cell
from vision.base.files import storage_errors, write_atomically
from vision.base.wording import count_of
from vision.config.serve import PredictionLogSettings
from vision.data.decoding.formats import FORMATS, HEAD_BYTES
from vision.decision.records import Decision

if TYPE_CHECKING:  # the log imports SQLAlchemy
    from serving.log.corrections import CorrectedAnswer

COLUMNS = ("time", "file", "group", "decision", "answered", "corrected", "by", "model", "prediction_id")
MOST_SHOWN = 50
LONGEST_STEM = 150
"""Bytes of a written picture's name without its ending; a longer one loses its beginning."""

_ENDINGS = {ending for each in FORMATS for ending in each.endings}


def _list_corrections(options: Namespace, paths: ProjectPaths) -> int:
    """Print the newest corrections of a model, or write all into a file."""
    config = read_config(options, paths) if options.config else None
    url = config.serve.log.url if config else PredictionLogSettings().url
    found = _read(url, config.name if config else None, paths)
    rows = [_tabulate(each) for each in found]
    if options.out is not None:
        return _write_pictures(url, found, options, paths)
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 160)
    of = f" of {config.name}" if config else ""
    if options.csv is not None:
        write_atomically(Path(options.csv), _write_csv(rows))
        console.print(f"Wrote {count_of(len(rows), 'correction')}{of} into {options.csv}", soft_wrap=True)
        return 0
    if not rows:
        console.print(
            f"No answer{of} was corrected. The page (make ui) asks below each answer, and a program may send "
            "POST /corrections.",
            soft_wrap=True,
        )
        return 0
    console.print(_draw(rows[-MOST_SHOWN:]))
    shown = f"; the last {MOST_SHOWN} are shown, --csv FILE writes all" if len(rows) > MOST_SHOWN else ""
    console.print(f"{count_of(len(rows), 'correction')}{of}{shown}.", soft_wrap=True)
    return 0


def _read(url: str, model_name: str | None, paths: ProjectPaths) -> list[CorrectedAnswer]:
    """All corrections in the log, or those of one model; none where there is no log yet."""
    from serving.log.corrections import list_corrected
    from serving.log.prediction_log import PredictionLog
    from serving.log.url import resolve_log_url

    with closing(PredictionLog(resolve_log_url(url, paths.home), create=False)) as log:
        return list_corrected(log, model_name) if log.exists() else []


def _write_pictures(url: str, found: list[CorrectedAnswer], options: Namespace, paths: ProjectPaths) -> int:
    """Write the pictures whose corrections agree as class folders; 2 where there is none."""
    from serving.log.enrolments import is_folder_name
    from serving.log.prediction_log import PredictionLog
    from serving.log.review import find_agreed, read_images
    from serving.log.url import resolve_log_url
    from serving.runtime.running import ServiceFolder, read_deployed

    agreed = find_agreed(found, least=2 if options.agreed else 1)
    agreed = {answer: name for answer, name in agreed.items() if is_folder_name(name)}
    images: dict[str, bytes] = {}
    if agreed:
        with closing(PredictionLog(resolve_log_url(url, paths.home), create=False)) as log:
            images = read_images(log, list(agreed))
    folder = Path(options.out).expanduser()
    console = Console(highlight=False, soft_wrap=True, markup=False)
    pictures = _name_pictures(found, agreed, images, folder)
    for path, image in pictures.items():
        write_atomically(folder / path, image)
    for old, new in _find_stale(folder, pictures).items():
        with storage_errors(old, "delete"):
            old.unlink()
            if not any(old.parent.iterdir()):  # a training refuses an empty class folder
                old.parent.rmdir()
        console.print(f"Moved, as its correction changed: {old.relative_to(folder)} is now {new}")
    console.print(
        f"{count_of(len(pictures), 'picture')} of {count_of(len(agreed), 'agreed answer')} into {folder}"
    )
    if options.agreed and not agreed:
        console.print(
            "No two people said the same of an answer. Each needs a key of his own (TAXON_API_KEYS): the key "
            "of this machine is one person. Without --agreed one word is enough."
        )
    if images and len(images) < len(agreed):
        missing = count_of(len(agreed) - len(images), "agreed answer")
        console.print(f"Of {missing} the log has no picture: it kept none when they were given.")
    if agreed and not images:
        deployed = read_deployed(ServiceFolder(paths.home))
        console.print(
            "They were given before the log kept pictures: those of later answers are kept."
            if deployed is not None and deployed.serve.log.keep_images
            else "The log keeps pictures where the config says serve: {log: {keep_images: true}}, from the "
            "next python run.py deploy NAME on."
        )
    if images:
        console.print(f"Train with them: --set 'dataset.additions=[{folder.resolve()}]'")
        console.print(f"Or let every later model be asked them: --set dataset.regression={folder.resolve()}")
    return 0 if images else 2


def _name_pictures(
    found: list[CorrectedAnswer], agreed: dict[str, str], images: dict[str, bytes], folder: Path
) -> dict[str, bytes]:
    """Class folder and file name -> picture: its own name, which may tell its group, with the right ending.

    The id of its answer is behind a name that two of a class share, or that another picture has, here or in
    `folder`.
    """
    sent = {each.answer.prediction_id: each.answer.file_name for each in found}
    named = {answer: name_picture(sent[answer] or answer, image) for answer, image in images.items()}
    shared = Counter((agreed[answer], name.casefold()) for answer, name in named.items())
    pictures: dict[str, bytes] = {}
    taken: set[str] = set()
    for answer, name in named.items():
        own = PurePosixPath(agreed[answer], name)
        numbered = (own.with_stem(f"{own.stem}-{answer}{number or ''}") for number in count())
        tried = numbered if shared[agreed[answer], name.casefold()] > 1 else chain([own], numbered)
        path = next(
            path
            for path in map(str, tried)
            if path.casefold() not in taken and not _is_other(folder / path, images[answer])
        )
        taken.add(path.casefold())
        pictures[path] = images[answer]
    return pictures


def _find_stale(folder: Path, pictures: dict[str, bytes]) -> dict[Path, str]:
    """File -> path as which the same picture, called alike, is now written in another class folder."""
    paths: defaultdict[bytes, list[PurePosixPath]] = defaultdict(list)
    for name, image in pictures.items():
        paths[image].append(PurePosixPath(name))
    stale = {}
    for file in sorted(folder.glob("*/*")):
        if not file.is_file() or file.relative_to(folder).as_posix() in pictures:
            continue
        same = paths.get(file.read_bytes(), [])
        if all(path.parent.name != file.parent.name for path in same):
            for path in same:
                if path.stem.startswith(file.stem) or file.stem.startswith(path.stem):
                    stale[file] = str(path)
    return stale


def _is_other(file: Path, image: bytes) -> bool:
    """Whether a file of another picture is there."""
    return file.is_file() and file.read_bytes() != image


def name_picture(sent: str, image: bytes) -> str:
    """The last part of the name that it was sent with, as a file name; its ending is what the bytes are."""
    name = PurePosixPath("".join(each for each in sent.replace("\\", "/") if each.isprintable())).name
    endings = next((each.endings for each in FORMATS if each.begins(image[:HEAD_BYTES])), ("",))
    own = PurePosixPath(name).suffix
    stem = name.removesuffix(own) if own.lower() in _ENDINGS else name
    stem = stem.encode()[-LONGEST_STEM:].decode(errors="ignore").lstrip(".")
    return f"{stem or 'picture'}{own if own.lower() in endings else endings[0]}"


def _tabulate(each: CorrectedAnswer) -> dict[str, str]:
    said, answer = each.correction, each.answer
    is_unknown = answer.decision == Decision.UNKNOWN
    return {
        "time": f"{said.time:%Y-%m-%d %H:%M:%S}",
        "file": answer.file_name,
        "group": answer.group or "",
        "decision": answer.decision,
        "answered": f"unknown (nearest: {answer.class_name})" if is_unknown else answer.class_name,
        "corrected": said.class_name,
        "by": said.client,
        "model": f"{answer.model_name} version {answer.model_version}",
        "prediction_id": answer.prediction_id,
    }


def _write_csv(rows: Sequence[dict[str, str]]) -> str:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, COLUMNS)
    writer.writeheader()
    writer.writerows({name: as_cell(value) for name, value in row.items()} for row in rows)
    return text.getvalue()


def _draw(rows: Sequence[dict[str, str]]) -> Table:
    shown = [name for name in COLUMNS if name not in ("prediction_id", "group")]
    table = Table(*shown, box=SIMPLE_HEAD)
    for row in rows:
        table.add_row(*(Text(row[name]) for name in shown))
    return table


CORRECTIONS = Command(
    "corrections",
    "what people said that answers should have been",
    _list_corrections,
    (
        argument("--csv", metavar="FILE", help="write all of them into a file instead"),
        argument("--out", metavar="FOLDER", help="write the pictures that they are about, to train with"),
        argument("--agreed", action="store_true", help="with --out: only what two or more say alike"),
    ),
    config="optional",
)
