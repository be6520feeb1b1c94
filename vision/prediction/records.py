"""Records of a batch: one row a file, and what the whole came to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from enum import StrEnum
from typing import Self

from pydantic import Field

from vision.base.record import FileSet, Record, Value
from vision.bundle.records import SimilarImage
from vision.data.records import Box
from vision.decision.records import Decision, Prediction, UnknownKind, WeakClass

_MOST_SOURCES = 3

SEEN_GROUP = "group"
"""`seen` of a picture that was not in training, while others of its group were."""


class Answer(StrEnum):
    """What a file's row says: the decision, look-alikes and strangers apart, or that it cannot be read."""

    REVIEW = "review"
    LOOK_ALIKE = "look_alike"
    STRANGER = "stranger"
    UNREADABLE = "unreadable"
    ACCEPT = "accept"


class Row(Value):
    """One file and its answer; without a prediction it could not be read, and `fault` says why."""

    path: str
    group: str | None = None
    prediction: Prediction | None = None
    fault: str = ""
    heat_map: str = Field(default="", description="file name in the output folder; empty: none was asked for")
    digest: str = Field(default="", description="SHA-256 of the file's bytes; empty: it could not be read")
    seen: str = Field(
        default="",
        description="split in which the model had this very file, or held out; group: it was taught others "
        "of its group; empty: neither",
    )
    box: Box | None = Field(default=None, description="that came with it, as it came")

    similar: tuple[SimilarImage, ...] = Field(default=(), description="known images that are most like it")

    @property
    def answer(self) -> Answer:
        """What the row says, in one word."""
        if self.prediction is None:
            return Answer.UNREADABLE
        if self.prediction.decision is Decision.UNKNOWN:
            is_stranger = self.prediction.unknown_kind is UnknownKind.STRANGER
            return Answer.STRANGER if is_stranger else Answer.LOOK_ALIKE
        return Answer.REVIEW if self.prediction.decision is Decision.REVIEW else Answer.ACCEPT


class PredictionFiles(FileSet):
    """The tables, the contact sheet, the summary and the heat maps of a batch."""


def list_sources(sources: Sequence[str]) -> str:
    """What was asked, as in `a.png, b.png and 17 more`."""
    if len(sources) <= _MOST_SOURCES:
        return ", ".join(sources)
    shown = ", ".join(sources[: _MOST_SOURCES - 1])
    return f"{shown} and {len(sources) - _MOST_SOURCES + 1} more"


class BatchSummary(Record):
    """What was asked of which model, and how many files got which answer."""

    name: str = Field(description="of what was asked, as in the name of the folder, file or archive")
    sources: tuple[str, ...]
    model_name: str
    model_version: str = Field(description="number in the registry; empty: the winner of a run")
    model_digest: str
    class_names: tuple[str, ...]
    target_risk: float | None = Field(
        default=None, description="promised largest share of wrong among the accepted; None: no promise"
    )
    counts: dict[Answer, int]
    accepted_classes: dict[str, int] = Field(default_factory=dict, description="class -> accepted files")
    suggested_classes: dict[str, int] = Field(
        default_factory=dict, description="class -> files for which it is suggested to a person"
    )
    caution: str = Field(default="", description="why the model's answers are not to be counted on")
    others: dict[str, int] = Field(
        default_factory=dict, description="file ending -> files beside the pictures, which were not asked"
    )
    seen: dict[str, int] = Field(
        default_factory=dict,
        description="split or held out -> files that the model had in it, byte for byte; group -> files of "
        "a group that it was taught",
    )
    num_reused: int = Field(default=0, description="rows that an earlier, stopped attempt had answered")
    seconds: float = 0.0
    weak_classes: tuple[WeakClass, ...] = Field(
        default=(), description="of the model, of which most test images were named wrong"
    )
    misfit: str = Field(default="", description="where the pictures are not what it was taught; a sentence")

    @property
    def num_files(self) -> int:
        """Rows."""
        return sum(self.counts.values())

    def count(self, *answers: Answer) -> int:
        """Rows with one of these answers."""
        return sum(self.counts.get(each, 0) for each in answers)

    def with_rows(self, rows: Sequence[Row]) -> Self:
        """The same with the counts of these rows."""
        named = [(row.answer, row.prediction.class_name) for row in rows if row.prediction]
        alone, asked = (
            dict(sorted(Counter(name for given, name in named if given is answer).items()))
            for answer in (Answer.ACCEPT, Answer.REVIEW)
        )
        return self.model_copy(
            update={
                "counts": dict(Counter(row.answer for row in rows)),
                "accepted_classes": alone,
                "suggested_classes": asked,
                "seen": dict(Counter(row.seen for row in rows if row.seen)),
            }
        )
