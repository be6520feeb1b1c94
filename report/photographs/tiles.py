"""Pictures of single answers with their words."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Picture:
    """A picture with its words.

    Attributes:
        source: data URI; None where the image is not at hand.
        tone: right, wrong or asks.
        heat_map: data URI; what the answer was read from.
        file: path of its file below the data set's folder; empty of what has none.
    """

    source: str | None
    title: str
    detail: str
    tone: str
    heat_map: str | None = None
    file: str = ""


@dataclass(frozen=True)
class Gallery:
    """Pictures that were answered alike."""

    title: str
    tone: str
    pictures: tuple[Picture, ...]
