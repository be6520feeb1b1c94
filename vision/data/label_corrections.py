"""A table of labels that a person corrected, applied to a manifest: images left out or given another class.

Its columns are those of a run's `suspected_labels.csv`; a row without an action changes nothing.
"""

from __future__ import annotations

import csv
import hashlib
import io
import logging
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

    Raises:
        SourceError: the file cannot be read; a column is missing; or a row names an action, a path, a label
            or a class that there is not.
    """
    entries = {entry.path: entry for entry in manifest.entries}
    left_out: dict[str, Quarantined] = {}
    rows = _read(file)
    for each in rows:
        where = f"{file}, line {each.line}"
        entry = entries.get(each.path)
        if entry is None or each.path in left_out:
            raise SourceError(
                f"{where}: the data set has no image {each.path!r}, or two rows correct it. Expected a path "
                "as in suspected_labels.csv, once. Remove the row."
            )
        if entry.class_name != each.label:
            raise SourceError(
                f"{where}: {each.path} is labelled {entry.class_name!r}, not {each.label!r}. The row was "
                "written for other data, or two rows correct it. Remove the row."
            )
        if each.action == EXCLUDE:
            reason = f"{EXCLUDED}: {file.name}, line {each.line}"
            left_out[each.path] = Quarantined(path=each.path, reason=reason, class_name=each.label)
        else:
            entries[each.path] = _relabel(manifest, entry, each.suggestion, where)
    num_relabelled = sum(each.action == RELABEL for each in rows)
    logger.info("%s: %d excluded, %d relabelled", file.name, len(left_out), num_relabelled)
    remark = FileRemark(what=f"images relabelled by {file.name}", count=num_relabelled)
    kept = tuple(entry for path, entry in entries.items() if path not in left_out)
    quarantined = sorted([*manifest.quarantined, *left_out.values()], key=lambda item: item.path)
    return manifest.model_copy(
        update={
            "entries": kept,
            "quarantined": tuple(quarantined),
            "remarks": (*manifest.remarks, *([remark] if num_relabelled else [])),
            "source_digest": digest_corrections(manifest.source_digest, file),
        }
    )


def _relabel(manifest: Manifest, entry: ImageEntry, name: str, where: str) -> ImageEntry:
    if name not in (*manifest.class_names, *manifest.unknown_class_names):
        known = ", ".join((*manifest.class_names, *manifest.unknown_class_names))
        raise SourceError(f"{where}: there is no class {name!r} to relabel to. Expected one of: {known}")
    is_unknown = name in manifest.unknown_class_names
    return entry.model_copy(update={"class_name": name, "is_unknown": is_unknown})


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
