"""Which concepts of FathomNet become classes, and which of their photographs are fetched."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.alias_generators import to_camel

from vision.base.errors import SourceError
from vision.base.names import comparison_key, find_near
from vision.base.record import Value
from vision.config.sources.labelled import FathomnetSource
from vision.data.sources.fathomnet.client import Client, FetchError, refuse

_PAGE = 200
_MOST_LOOKED_AT = 4  # times max_images, of which those of different dives are taken


class Count(BaseModel):
    """How many boxes a concept has."""

    concept: str
    count: int


class _Answer(BaseModel):
    """A part of an answer, with the names of Python's kind; what is not asked for is passed over."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True)


class BoundingBox(_Answer):
    """A box around one animal, or around several if `group_of`; pixels."""

    concept: str
    x: float
    y: float
    width: float
    height: float
    group_of: bool | None = None
    rejected: bool | None = None
    review_state: str | None = None

    @property
    def is_usable(self) -> bool:
        """Whether it has an area and nobody has rejected it."""
        return not self.rejected and self.review_state != "REJECTED" and min(self.width, self.height) > 0


class Photograph(_Answer):
    """What FathomNet knows of one photograph."""

    uuid: str = Field(pattern=r"^[\w-]{1,100}$")
    url: str
    width: int | None = None
    height: int | None = None
    valid: bool | None = None
    sha256: str | None = None
    timestamp: str | None = None
    depth_meters: float | None = None
    latitude: float | None = None
    longitude: float | None = None
    imaging_type: str | None = None
    bounding_boxes: tuple[BoundingBox, ...] = ()

    @property
    def file(self) -> str:
        """Its file in the folder of the harvest."""
        ending = PurePosixPath(urlsplit(self.url).path).suffix.lower()
        return f"images/{self.uuid}{ending if ending[1:].isalnum() else '.jpg'}"

    @property
    def dive(self) -> str:
        """Where it comes from: the folder that it has on its server, a dive or a video."""
        return self.url.rpartition("/")[0].rpartition("//")[2]


class Selection(Value):
    """The classes, each a concept, and the photographs that show them."""

    concepts: tuple[str, ...]
    photographs: tuple[Photograph, ...]


_COUNTS = TypeAdapter(list[Count])
_PHOTOGRAPHS = TypeAdapter(list[Photograph])


def scan_concepts(client: Client, api: str) -> list[Count]:
    """All concepts with their numbers of boxes, most first.

    Raises:
        SourceError: FathomNet does not answer, or not so.
    """
    counts = _COUNTS.validate_python(_ask(client, api, f"{api}/boundingboxes/list/counts", _COUNTS))
    return sorted(counts, key=lambda each: (-each.count, each.concept))


def select(client: Client, settings: FathomnetSource) -> Selection:
    """Take the concepts that were named, or those with the most boxes that have enough photographs.

    Raises:
        SourceError: FathomNet does not answer; a named concept is unknown or has too few photographs; fewer
            than two concepts have enough.
    """
    counts = scan_concepts(client, settings.api)
    names = _find_named(settings, counts) or [
        each.concept for each in counts if each.count >= settings.min_images
    ]
    wanted = len(settings.concepts) or settings.num_classes
    taken: dict[str, list[Photograph]] = {}
    for name in names:
        if len(taken) == wanted:
            break
        found = _list_photographs(client, settings, name)
        if len(found) >= settings.min_images:
            taken[name] = _spread(found, settings.max_images)
        elif settings.concepts:
            raise SourceError(
                f"FathomNet has {len(found)} usable photographs of {name!r}. Expected at least "
                f"{settings.min_images}. Lower dataset.min_images, or take it out of dataset.concepts."
            )
    if len(taken) < 2:
        raise SourceError(
            f"{len(taken)} concepts of FathomNet have at least {settings.min_images} photographs. Expected "
            "two. Lower dataset.min_images."
        )
    photographs = {each.uuid: each for some in taken.values() for each in some}
    return Selection(
        concepts=tuple(sorted(taken)),
        photographs=tuple(photographs[uuid] for uuid in sorted(photographs)),
    )


def _find_named(settings: FathomnetSource, counts: Sequence[Count]) -> list[str]:
    known = {comparison_key(each.concept): each.concept for each in counts}
    for name in settings.concepts:
        if comparison_key(name) not in known:
            near = find_near(name, known.values())
            hint = f"; did you mean {near}?" if near else "."
            raise SourceError(
                f"FathomNet has no boxes of {name!r}{hint} Expected some of its {len(known)} concepts. "
                "List them: python run.py harvest NAME --scan, and correct dataset.concepts."
            )
    return [known[comparison_key(name)] for name in settings.concepts]


def _list_photographs(client: Client, settings: FathomnetSource, concept: str) -> list[Photograph]:
    """Valid photographs with a usable box of a concept."""
    found: list[Photograph] = []
    for offset in range(0, _MOST_LOOKED_AT * settings.max_images, _PAGE):
        query = {"concept": concept, "limit": _PAGE, "offset": offset}
        page = _PHOTOGRAPHS.validate_python(
            _ask(client, settings.api, f"{settings.api}/images/query", _PHOTOGRAPHS, json=query)
        )
        found += [
            each
            for each in page
            if each.valid is not False
            and any(box.is_usable and box.concept == concept for box in each.bounding_boxes)
        ]
        if len(page) < _PAGE:
            break
    return list({each.uuid: each for each in found}.values())


def _spread(photographs: Iterable[Photograph], most: int) -> list[Photograph]:
    """At most so many, one of each dive in turn."""
    dives: dict[str, list[Photograph]] = defaultdict(list)
    for each in sorted(photographs, key=lambda each: each.uuid):
        dives[each.dive].append(each)
    turns = [(turn, dive, each) for dive, own in dives.items() for turn, each in enumerate(own)]
    return [each for _, _, each in sorted(turns, key=lambda item: item[:2])[:most]]


def _ask(client: Client, api: str, url: str, kind: TypeAdapter[Any], **options: Any) -> Any:
    """A checked answer of the API, as JSON."""

    def find_fault(body: bytes) -> str | None:
        try:
            kind.validate_json(body)
        except ValidationError as error:
            first = error.errors()[0]
            return f"another answer than FathomNet's: {'.'.join(map(str, first['loc']))} {first['msg']}"
        return None

    try:
        return json.loads(client.fetch(url, find_fault, **options))
    except FetchError as error:
        raise refuse(api, error) from error
