"""Records of a batch: one row a file, and what the whole came to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
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
    caution: str = Field(default="", description="that the class which is named was mostly missed on test")

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


@dataclass
class Tally:
    """Counts of rows, and what the tables have columns for.

    Attributes:
        counts: rows by answer.
        accepted, suggested: rows by class, of those accepted and of those that wait for a person.
        seen: rows by where the model had the file.
        top_k, similar: most classes and most similar images of a row.
        has_boxes: some row came with a box.
    """

    counts: Counter[Answer] = field(default_factory=Counter)
    accepted: Counter[str] = field(default_factory=Counter)
    suggested: Counter[str] = field(default_factory=Counter)
    seen: Counter[str] = field(default_factory=Counter)
    top_k: int = 1
    similar: int = 0
    has_boxes: bool = False

    def add(self, rows: Iterable[Row]) -> Self:
        """Count rows; the tally itself."""
        of_class = {Answer.ACCEPT: self.accepted, Answer.REVIEW: self.suggested}
        for row in rows:
            answer = row.answer
            self.counts[answer] += 1
            if row.seen:
                self.seen[row.seen] += 1
            if row.prediction is not None:
                self.top_k = max(self.top_k, len(row.prediction.top_k))
                if answer in of_class:
                    of_class[answer][row.prediction.class_name] += 1
            self.similar = max(self.similar, len(row.similar))
            self.has_boxes = self.has_boxes or row.box is not None
        return self


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
