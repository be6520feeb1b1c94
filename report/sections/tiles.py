"""Pictures of single answers with their words."""

from __future__ import annotations

from dataclasses import dataclass

from vision.decision.records import Decision

ANSWERS = {
    Decision.ACCEPT: "accepted",
    Decision.REVIEW: "sent to a person",
    Decision.UNKNOWN: "called unknown",
}


@dataclass(frozen=True)
class Picture:
    """A thumbnail with its words; `source` is a data URI, None where the image is not at hand."""

    source: str | None
    title: str
    detail: str
    tone: str
    heat_map: str | None = None


@dataclass(frozen=True)
class Gallery:
    """Pictures that were answered alike."""

    title: str
    tone: str
    pictures: tuple[Picture, ...]
