"""What a publication says of each picture: animal, unknown, or left for a person."""

from __future__ import annotations

import codecs
import csv
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import IO
from urllib.parse import quote

from vision.base.errors import SourceError
from vision.decision.records import Decision
from vision.prediction.publishing.deployments import Deployment, Shot, tell_time
from vision.prediction.publishing.survey import Survey, Taxon
from vision.prediction.records import BatchSummary, Row


@dataclass(frozen=True)
class Publication:
    """What is published beside the answers."""

    survey: Survey
    deployments: Mapping[str, Deployment]
    shots: Mapping[str, Shot]


@dataclass(frozen=True)
class Observation:
    """One picture as it is published.

    Attributes:
        id: of the picture; the same in every publication of it.
        path: relative to the folder that was asked, or its address.
        kind: animal, human, vehicle or blank where the answer was accepted; else unknown or unclassified.
        class_name: the model's; of an accepted answer, else what it is nearest to.
        probability: calibrated, that the class is right; None unless accepted.
        taxon: of an accepted animal.
        tags: the decision, as in `decision:review | nearest:perch`.
        by, at: the model and the time of its answer.
    """

    id: str
    path: str
    shot: Shot
    kind: str
    class_name: str
    probability: float | None
    taxon: Taxon | None
    tags: str
    by: str
    at: str


class Observations:
    """An observation a picture, made when it is asked for; those that cannot be read are left out.

    Raises:
        SourceError: while it is read, a picture became readable only while the others were answered.
    """

    def __init__(self, publication: Publication, summary: BatchSummary, rows: Iterable[Row]) -> None:
        """Observe all rows at one time, which is now; `rows` can be read several times."""
        version = f" version {summary.model_version}" if summary.model_version else ""
        self._by = f"Taxon {summary.model_name}{version} ({summary.model_digest[:12]})"
        self._at = tell_time(datetime.now(UTC))
        self._publication, self._rows = publication, rows

    def __iter__(self) -> Iterator[Observation]:
        seen = set()
        for row in self._rows:
            if row.prediction and row.path not in seen:
                seen.add(row.path)
                yield _observe(self._publication, row, self._by, self._at)


def _observe(publication: Publication, row: Row, by: str, at: str) -> Observation:
    survey, shot = publication.survey, publication.shots.get(row.path)
    if shot is None or row.prediction is None:
        raise SourceError(f"{row.path}: has changed while it was answered. Type the command again.")
    given, taxon, probability = row.prediction, None, None
    kind: str = "unclassified"
    tags = f"decision:{given.decision.value}"
    if given.decision is Decision.ACCEPT:
        kind = survey.observation_types.get(given.class_name, "animal")
        probability = given.confidence
        taxon = survey.find_taxon(given.class_name) if kind == "animal" else None
    else:
        kind = "unknown" if given.decision is Decision.UNKNOWN else kind
        tags += f" | nearest:{given.class_name}"
    name = hashlib.sha256(f"{shot.deployment}\n{row.path}\n{row.digest}".encode()).hexdigest()[:24]
    path = row.path.removeprefix("./")
    if survey.media_url:
        path = survey.media_url + quote(path)
    return Observation(name, path, shot, kind, given.class_name, probability, taxon, tags, by, at)


def write_csv(file: IO[bytes], columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> None:
    """Write a table row by row; cells stand as they are, since programs read it."""
    writer = csv.DictWriter(codecs.getwriter("utf-8")(file), columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
