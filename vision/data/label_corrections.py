"""A table of labels that a person corrected, applied to a manifest: images left out or given another class.

Its columns are those of a run's `suspected_labels.csv`; a row without an action changes nothing.
"""

from __future__ import annotations

import csv
import hashlib
import io
import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vision.base.errors import SourceError
from vision.data.records import FileRemark, ImageEntry, Manifest, Quarantined

logger = logging.getLogger(__name__)

COLUMNS = ("path", "label", "suggestion", "margin", "group", "group_margin", "action")
EXCLUDE, RELABEL = "exclude", "relabel"
EXCLUDED = "excluded by dataset.corrections"
"""Begins the reason of an image that a person excluded, before the line of the table."""

_NEEDED = ("path", "label", "suggestion", "action")


@dataclass(frozen=True)
class Correction:
    """One row with an action; `line` is its line of the file, `suggestion` the new class of a relabel."""

    line: int
    path: str
    label: str
    suggestion: str
    action: str


def digest_corrections(digest: str, file: Path) -> str:
    """SHA-256 over a source's digest and the bytes of its corrections.

    Raises:
        SourceError: the file cannot be read.
    """
    return hashlib.sha256(f"{digest}\0corrections\0".encode() + _read_bytes(file)).hexdigest()


def apply_corrections(manifest: Manifest, file: Path) -> Manifest:
    """The manifest with the rows of `file` applied, and a digest that covers the file.

    A row corrects what a picture shows: copies of the same bytes follow, whatever their label was.

    Raises:
        SourceError: the file cannot be read; a column is missing; a row names an action, a path, a label
            or a class that there is not; two rows correct the same bytes differently; or a class loses its
            last image.
    """
    rows = _read(file)
    said = _by_content(manifest, file, rows)
    kept: list[ImageEntry] = []
    left_out = list(manifest.quarantined)
    for entry in manifest.entries:
        each = said.get(entry.digest)
        if each is None:
            kept.append(entry)
        elif each.action == EXCLUDE:
            reason = f"{EXCLUDED}: {file.name}, line {each.line}"
            left_out.append(Quarantined(path=entry.path, reason=reason, class_name=entry.class_name))
        else:
            is_unknown = each.suggestion in manifest.unknown_class_names
            kept.append(entry.model_copy(update={"class_name": each.suggestion, "is_unknown": is_unknown}))
    _refuse_lost_classes(manifest, kept, file)
    counts = Counter(each.action for each in rows)
    num_copies = sum(entry.digest in said for entry in manifest.entries) - len(rows)
    told = {
        f"images relabelled by {file.name}": counts[RELABEL],
        f"copies of the same bytes that follow a row of {file.name}": num_copies,
    }
    logger.info(
        "%s: %d excluded, %d relabelled, %d copies of the same bytes followed",
        *(file.name, counts[EXCLUDE], counts[RELABEL], num_copies),
    )
    remarks = [FileRemark(what=what, count=count) for what, count in told.items() if count]
    return manifest.model_copy(
        update={
            "entries": tuple(kept),
            "quarantined": tuple(sorted(left_out, key=lambda item: item.path)),
            "remarks": (*manifest.remarks, *remarks),
            "source_digest": digest_corrections(manifest.source_digest, file),
        }
    )


def _by_content(manifest: Manifest, file: Path, rows: Sequence[Correction]) -> dict[str, Correction]:
    """Digest of an image -> the row that corrects it."""
    entries = {entry.path: entry for entry in manifest.entries}
    said: dict[str, Correction] = {}
    for each in rows:
        where = f"{file}, line {each.line}"
        entry = entries.pop(each.path, None)
        if entry is None:
            raise SourceError(
                f"{where}: the data set has no image {each.path!r}, or two rows correct it. Expected a path "
                "as in suspected_labels.csv, once. Remove the row."
            )
        if entry.class_name != each.label:
            raise SourceError(
                f"{where}: {each.path} is labelled {entry.class_name!r}, not {each.label!r}. The row was "
                "written for other data. Remove the row."
            )
        known = (*manifest.class_names, *manifest.unknown_class_names)
        if each.action == RELABEL and each.suggestion not in known:
            raise SourceError(
                f"{where}: there is no class {each.suggestion!r} to relabel to. Expected one of: "
                f"{', '.join(known)}"
            )
        first = said.setdefault(entry.digest, each)
        if _intent(first) != _intent(each):
            raise SourceError(
                f"{where}: {each.path} has the bytes of {first.path}, which line {first.line} corrects "
                "otherwise. Expected one correction of the same picture. Remove one of the rows."
            )
    return said


def _intent(row: Correction) -> tuple[str, str]:
    return row.action, row.suggestion if row.action == RELABEL else ""


def _refuse_lost_classes(manifest: Manifest, kept: Sequence[ImageEntry], file: Path) -> None:
    """Refuse corrections that take the last image of a class: it would vanish."""
    left = {entry.class_name for entry in kept}
    lost = sorted({*manifest.class_names, *manifest.unknown_class_names} - left)
    if lost:
        raise SourceError(
            f"{file}: no image of {', '.join(lost)} is left. Expected some of every class. Remove rows, or "
            "leave the class out on purpose (dataset.skip_folders, or skip_classes) and out of "
            "dataset.unknown_classes."
        )


def _read(file: Path) -> list[Correction]:
    """The rows with an action, in the order of the file."""
    try:
        reader = csv.DictReader(io.StringIO(_read_bytes(file).decode("utf-8-sig"), newline=""), strict=True)
        missing = [name for name in _NEEDED if name not in (reader.fieldnames or ())]
        rows = [] if missing else [(reader.line_num, row) for row in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise SourceError(
            f"{file}: cannot be read as a table ({error}). Save it as CSV (UTF-8, with commas)."
        ) from error
    if missing:
        raise SourceError(
            f"{file}: has no column {', '.join(missing)}. Expected {', '.join(_NEEDED)}, with commas between "
            "them, as in a run's suspected_labels.csv."
        )
    found = []
    for line, row in rows:
        action = (row["action"] or "").strip().lower()
        if action not in ("", EXCLUDE, RELABEL):
            raise SourceError(
                f"{file}, line {line}: action {action!r}; expected {EXCLUDE}, {RELABEL} or nothing."
            )
        if action:
            path, label, suggestion = (_uncell(row[name] or "") for name in _NEEDED[:3])
            found.append(Correction(line, path.removeprefix("./"), label, suggestion, action))
    return found


def _uncell(text: str) -> str:
    """The text without the apostrophe that keeps a spreadsheet from running it."""
    return text[1:] if text[:1] == "'" and text[1:2] in tuple("=+-@\t\r") else text


def _read_bytes(file: Path) -> bytes:
    try:
        return file.expanduser().read_bytes()
    except OSError as error:
        raise SourceError(
            f"{file}: the corrections (dataset.corrections) cannot be read: {error.strerror}. Expected a CSV "
            "file such as a run's suspected_labels.csv."
        ) from error
