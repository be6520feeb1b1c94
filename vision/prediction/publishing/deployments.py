"""Where and when cameras stood, and which picture is of which: from a table, and from the pictures' EXIF."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from pathlib import Path, PurePosixPath
from zoneinfo import ZoneInfo

from vision.base.errors import ImageError, SourceError
from vision.base.wording import count_of
from vision.data.decoding.capture_time import read_capture_time
from vision.data.decoding.opening import open_image
from vision.data.sources.table.reading import read_cell, read_table
from vision.prediction.items import Item

NEEDED = ("deploymentID", "latitude", "longitude", "deploymentStart", "deploymentEnd")
_SHORT = {"deployment": "deploymentid", "start": "deploymentstart", "end": "deploymentend"}
_MOST_TOLD = 3


@dataclass(frozen=True)
class Deployment:
    """A camera at a place for a time.

    Attributes:
        cells: lower-case column -> text, times with their zones.
        start, end: with zones.
        zone: of the camera's clock; None where the table does not say.
    """

    cells: Mapping[str, str]
    start: datetime
    end: datetime
    zone: tzinfo | None


@dataclass(frozen=True, slots=True)
class Shot:
    """Where and when a picture was taken."""

    deployment: str
    taken: datetime


def read_deployments(path: Path) -> dict[str, Deployment]:
    """The deployments of a table by their ID.

    Raises:
        SourceError: a column or a cell is missing, or is no position or time.
    """
    header, rows = read_table(path)
    columns = [_SHORT.get(name.lower(), name.lower()) for name in header]
    missing = [name for name in NEEDED if name.lower() not in columns]
    if missing:
        raise SourceError(
            f"{path}: has no column {', '.join(missing)}. Expected {', '.join(NEEDED)}, and timeZone where "
            "times have none, as in Europe/Brussels. Add it: photographs do not tell it."
        )
    found: dict[str, Deployment] = {}
    faults = []
    for number, row in enumerate(rows, 2):
        if any(row):
            cells = {name: read_cell(row, place) for place, name in enumerate(columns)}
            try:
                deployment = _make_deployment(f"{path}, row {number}", cells)
            except SourceError as error:
                faults.append(str(error))
                continue
            if found.setdefault(cells["deploymentid"], deployment) is not deployment:
                faults.append(f"{path}, row {number}: {cells['deploymentid']} is there twice.")
    if len(faults) > _MOST_TOLD:
        faults[_MOST_TOLD:] = [f"and {len(faults) - _MOST_TOLD} more rows"]
    if faults:
        raise SourceError("\n".join(faults))
    if not found:
        raise SourceError(f"{path}: has no row. Expected one for each deployment. Fill it in.")
    return found


def _make_deployment(where: str, cells: dict[str, str]) -> Deployment:
    faults = [f"{name} is empty" for name in NEEDED if not cells[name.lower()]]
    faults += [
        f"{name} is {cells[name]}, expected a number up to {most} and down to -{most}"
        for name, most in (("latitude", 90), ("longitude", 180))
        if cells[name] and not _is_within(cells[name], most)
    ]
    try:
        zone = ZoneInfo(cells["timezone"]) if cells.get("timezone") else None
        given = [cells[name] for name in ("deploymentstart", "deploymentend") if cells[name]]
        times = [_parse_time(text, zone) for text in given]
    except (ValueError, KeyError, OSError) as error:  # ZoneInfo raises KeyError
        faults.append(str(error))
    if faults:
        raise SourceError(
            f"{where}: {'; '.join(faults)}. Expected degrees, times as in 2026-05-30T08:00:00+02:00 and a "
            "timeZone as in Europe/Brussels. Correct it."
        )
    start, end = times
    if end < start:
        raise SourceError(f"{where}: ends at {end} before it starts at {start}. Correct one of them.")
    return Deployment(
        cells | {"deploymentstart": tell_time(start), "deploymentend": tell_time(end)}, start, end, zone
    )


def tell_time(time: datetime) -> str:
    """ISO 8601 in seconds, with the zone."""
    return time.isoformat(timespec="seconds")


def _is_within(text: str, most: float) -> bool:
    try:
        return abs(float(text)) <= most
    except ValueError:
        return False


def _parse_time(text: str, zone: tzinfo | None) -> datetime:
    time = datetime.fromisoformat(text)
    if time.tzinfo is None:
        if zone is None:
            raise ValueError(f"{text} has no time zone, and the column timeZone is absent or empty")
        return time.replace(tzinfo=zone)
    return time


def place_items(
    items: Sequence[Item], deployments: Mapping[str, Deployment], max_megapixels: float
) -> dict[str, Shot]:
    """Path -> where and when, of all pictures that can be read.

    Raises:
        SourceError: of some it is not known, or the path cannot be published; it says of which and why.
    """
    shots, faults = {}, []
    for item in items:
        if item.fault or item.path in shots:
            continue
        try:
            shots[item.path] = _place(item, deployments, max_megapixels)
        except ValueError as error:
            faults.append(f"{item.path}: {error}")
        except (ImageError, OSError):
            continue  # its row says that it cannot be read
    if faults:
        more = f"; and {len(faults) - _MOST_TOLD} more" if len(faults) > _MOST_TOLD else ""
        raise SourceError(
            f"{count_of(len(faults), 'picture')} cannot be published: "
            f"{'; '.join(faults[:_MOST_TOLD])}{more}. Expected a folder named as the deployment and a time "
            "in EXIF, or a CSV file of paths with the columns deployment and timestamp. Name the CSV file in "
            "place of the folder."
        )
    return shots


def _place(item: Item, deployments: Mapping[str, Deployment], max_megapixels: float) -> Shot:
    path = item.path.removeprefix("./")
    if path.startswith((".", "/", "~")) or ".." in path:  # Camtrap DP takes no such path
        raise ValueError("its path does not lie below one folder: name that folder, or paths from the CSV's")
    named = (item.deployment, *PurePosixPath(item.path).parts[:-1], item.group)
    name = next((each for each in named if each in deployments), None)
    if item.deployment and name != item.deployment:
        raise ValueError(f"{item.deployment} is not in the table of deployments")
    if name is None and len(deployments) > 1:
        raise ValueError("no folder of it and no column says its deployment")
    name = name or next(iter(deployments))
    place = deployments[name]
    if item.taken:
        taken = _parse_time(item.taken, place.zone)
    else:
        local = read_capture_time(open_image(item.read(), max_megapixels))
        if local is None:
            raise ValueError("its EXIF has no time")
        taken = _parse_time(local.isoformat(), place.zone)
    if not place.start <= taken <= place.end and place.cells.get("timestampissues", "").lower() != "true":
        raise ValueError(f"taken {tell_time(taken)}, out of its deployment {name} (or write timestampIssues)")
    return Shot(sys.intern(name), taken)
