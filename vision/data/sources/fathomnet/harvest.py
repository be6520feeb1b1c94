"""Fetches what was selected into a folder: photographs, a COCO file, a table of them, and what failed.

A harvest that was stopped goes on where it was: the selection is kept, a photograph that is there is not
fetched again. `annotations.json` is written last; the source reads nothing before that.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from vision.base.cells import write_rows
from vision.base.errors import ImageError, SourceError
from vision.base.files import storage_errors, write_atomically
from vision.config.sources.labelled import FathomnetSource
from vision.data.images import probe_image
from vision.data.sources.fathomnet.client import Client, FetchError
from vision.data.sources.fathomnet.selection import Photograph, Selection, select

ANNOTATIONS = "annotations.json"
METADATA = "metadata.csv"
FAILURES = "failures.csv"
_SELECTION = "selection.json"
_COLUMNS = (
    "uuid",
    "url",
    "width",
    "height",
    "timestamp",
    "depth_meters",
    "latitude",
    "longitude",
    "imaging_type",
)


@dataclass(frozen=True)
class Harvest:
    """What a harvest brought.

    Attributes:
        concepts: class -> its boxes in photographs that are there.
        num_there: photographs in the folder.
        num_fetched: of these, fetched just now.
        failures: uuid -> why a photograph is not there.
    """

    concepts: Mapping[str, int]
    num_there: int
    num_fetched: int
    failures: Mapping[str, str]


def harvest(
    settings: FathomnetSource,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
    *,
    first_wait: float = 1.0,
) -> Harvest:
    """Select, fetch what is missing, write the tables.

    `first_wait` is in seconds; each further wait before a failed request is repeated is twice as long.

    Raises:
        SourceError: FathomNet does not answer, or has too little; not one photograph could be fetched.
        StorageError: no space, no permission.
    """
    folder = settings.folder.expanduser()
    with Client(settings.workers, first_wait) as client:
        selection = _recall(settings, folder) or _select_anew(client, settings, folder)
        missing = [each for each in selection.photographs if not (folder / each.file).is_file()]
        failures = _fetch_all(client, missing, folder, settings.workers, progress)
    there = [each for each in selection.photographs if each.uuid not in failures]
    _write_failures(folder, missing, failures)
    if not there:
        reason = next(iter(failures.values()))
        raise SourceError(
            f"{folder}: not one of {len(failures)} photographs could be fetched (first: {reason}). Expected "
            "them from the servers that FathomNet names. Look at the network and type the same command again."
        )
    _write_metadata(folder, there)
    counts = _write_annotations(folder, selection.concepts, there)
    return Harvest(counts, len(there), len(missing) - len(failures), failures)


# --- the selection --------------------------------------------------------------------------------------


def _asked(settings: FathomnetSource) -> dict[str, object]:
    """The settings that decide what is fetched."""
    keys = {"concepts", "num_classes", "min_images", "max_images", "api"}
    return settings.model_dump(mode="json", include=keys)


def _recall(settings: FathomnetSource, folder: Path) -> Selection | None:
    """The selection that lies in the folder, if it was made for the same settings."""
    path = folder / _SELECTION
    if not path.is_file():
        return None
    with storage_errors(path, "read"):
        content = json.loads(path.read_bytes())
    return Selection.model_validate(content["selection"]) if content["asked"] == _asked(settings) else None


def _select_anew(client: Client, settings: FathomnetSource, folder: Path) -> Selection:
    selection = select(client, settings)
    content = {"asked": _asked(settings), "selection": selection.model_dump(mode="json")}
    write_atomically(folder / _SELECTION, json.dumps(content))
    return selection


# --- the photographs ------------------------------------------------------------------------------------


def _fetch_all(
    client: Client,
    photographs: Sequence[Photograph],
    folder: Path,
    workers: int,
    progress: Callable[[int, int], None],
) -> dict[str, str]:
    """Uuid -> reason of those that could not be fetched."""
    failures: dict[str, str] = {}
    with ThreadPoolExecutor(max_workers=workers) as pool:
        work = {pool.submit(_fetch, client, each, folder): each for each in photographs}
        try:
            for done, future in enumerate(as_completed(work), start=1):
                reason = future.result()
                if reason is not None:
                    failures[work[future].uuid] = reason
                progress(done, len(photographs))
        except BaseException:  # Ctrl-C, a full disk: nothing more is begun
            client.stop()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return failures


def _fetch(client: Client, photograph: Photograph, folder: Path) -> str | None:
    try:
        content = client.fetch(photograph.url, lambda body: _find_fault(body, photograph.sha256))
    except FetchError as error:
        return str(error)
    write_atomically(folder / photograph.file, content)
    return None


def _find_fault(body: bytes, sha256: str | None) -> str | None:
    """Why bytes are not the photograph: None if they have its digest, or decode to their end."""
    if sha256 is not None and hashlib.sha256(body).hexdigest() == sha256.lower():
        return None
    try:
        probe_image(body)
    except ImageError as error:
        return f"no whole picture: {error}"
    return None


# --- the tables -----------------------------------------------------------------------------------------


def _write_annotations(folder: Path, concepts: Sequence[str], there: Sequence[Photograph]) -> dict[str, int]:
    """Write the COCO file; concept -> number of its boxes."""
    numbers = {concept: number for number, concept in enumerate(concepts, start=1)}
    boxes = [
        (each, box)
        for each in there
        for box in each.bounding_boxes
        if box.is_usable and box.concept in numbers
    ]
    content = {
        "info": {"description": "harvested from FathomNet", "version": "1"},
        "categories": [{"id": number, "name": concept} for concept, number in numbers.items()],
        "images": [
            {
                "id": each.uuid,
                "file_name": each.file,
                "width": each.width,
                "height": each.height,
                "location": each.dive,
                "datetime": each.timestamp,
                "coco_url": each.url,
            }
            for each in there
        ],
        "annotations": [
            {
                "id": number,
                "image_id": each.uuid,
                "category_id": numbers[box.concept],
                "bbox": [box.x, box.y, box.width, box.height],
                "iscrowd": int(bool(box.group_of)),
            }
            for number, (each, box) in enumerate(boxes, start=1)
        ],
    }
    write_atomically(folder / ANNOTATIONS, json.dumps(content, indent=1))
    return {concept: sum(box.concept == concept for _, box in boxes) for concept in concepts}


def _write_metadata(folder: Path, there: Sequence[Photograph]) -> None:
    rows = [
        (each.file, "; ".join(sorted({box.concept for box in each.bounding_boxes})), *_row(each))
        for each in there
    ]
    write_atomically(folder / METADATA, write_rows(("file", "concepts", *_COLUMNS), rows, end="\r\n"))


def _row(photograph: Photograph) -> list[object]:
    return [getattr(photograph, column) for column in _COLUMNS]


def _write_failures(folder: Path, missing: Sequence[Photograph], failures: Mapping[str, str]) -> None:
    """The table of what failed; none where nothing did."""
    rows = [(each.uuid, each.url, failures[each.uuid]) for each in missing if each.uuid in failures]
    if rows:
        write_atomically(folder / FAILURES, write_rows(("uuid", "url", "reason"), rows, end="\r\n"))
    else:
        (folder / FAILURES).unlink(missing_ok=True)
