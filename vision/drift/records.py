"""Records of monitoring: a window of answers, the verdict on it, and what was deleted from the log."""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar, Self

from pydantic import AwareDatetime, Field, model_validator

from vision.base.record import FileSet, Interval, Record, Value


class DriftStatus(StrEnum):
    """What can be said of a window of answers."""

    INSUFFICIENT = "insufficient"
    QUIET = "quiet"
    DRIFT = "drift"


class DriftCause(StrEnum):
    """What drifted; where several tests fire, the first of these that explains them."""

    CAPTURE = "capture"
    NOVELTY = "novelty"
    COVARIATE = "covariate"
    LABEL_MIX = "label_mix"


class Question(StrEnum):
    """What a window is asked; the names of `DriftTest`."""

    QUALITY = "quality"
    EMBEDDING = "embedding"
    UNKNOWN_RATE = "unknown_rate"
    LABEL_MIX = "label_mix"
    KNOWN_EMBEDDING = "known_embedding"
    EMBEDDING_AT_SHARES = "embedding_at_shares"


class WindowVerdict(Value):
    """What monitoring says of one window of answers, as far as retraining needs it."""

    model_digest: str = Field(description="bundle digest of the model that answered")
    status: DriftStatus
    cause: DriftCause | None = Field(default=None, description="of a drift")
    verified: bool = Field(description="the groups were given, not guessed from time or single frames")
    start: AwareDatetime = Field(description="of the first answer in the window")
    end: AwareDatetime = Field(description="of the last answer in the window")

    @model_validator(mode="after")
    def _is_a_window(self) -> Self:
        if self.end < self.start:
            raise ValueError(f"the window ends at {self.end}, before its start at {self.start}")
        if (self.status is DriftStatus.DRIFT) != (self.cause is not None):
            raise ValueError(
                f"status {self.status} with cause {self.cause}; a drift has a cause, others none"
            )
        return self


class DriftTest(Value):
    """One question put to a window, answered by permuting groups between reference and window.

    `embedding_at_shares` alone is answered by bootstraps of the reference, at a level of its own.
    """

    name: str = Field(
        description="quality, embedding, unknown_rate, label_mix, known_embedding or embedding_at_shares"
    )
    statistic: float
    p_value: float
    fired: bool = Field(description="p_value <= alpha; of embedding_at_shares, at most 0.05")
    evidence: str


class ColumnDrift(Value):
    """How far one quality column moved. Each group counts once, in the quantiles too."""

    column: str
    statistic: float = Field(description="Kolmogorov-Smirnov: largest distance of the distributions, 0 to 1")
    studentised: float = Field(description="statistic minus its mean under permutation, over its deviation")
    p_value: float = Field(description="adjusted for the number of columns")
    moved: bool = Field(description="p_value <= alpha")
    reference_median: float
    window_median: float
    reference_quantiles: tuple[float, ...] = Field(description="at 0%, 5%, ..., 100%")
    window_quantiles: tuple[float, ...]


class ClassShare(Value):
    """Estimated share of one class among the images that look known, each group counted once.

    `reference` is the mean calibrated probability, `window` the likeliest share (`vision.drift.priors`).
    """

    class_name: str
    reference: float
    window: Interval


class DriftReport(Record):
    """The verdict on one window of answers, with the evidence.

    `cause` is None unless `status` is drift. Estimates are made only where capture, novelty and covariate
    drift are ruled out as far as they can be: otherwise they are optimistic by 13 to 31 points.
    """

    status: DriftStatus
    cause: DriftCause | None = None
    verified: bool = Field(description="False: groups were guessed from time, or seem to be single frames")
    reasons: tuple[str, ...] = Field(description="in words, the verdict first")
    num_images: int = Field(description="of the window, as given")
    num_groups: int = Field(description="of the window, as given or as bursts")
    num_ungrouped: int = Field(description="images of the window without a named group")
    num_repeated: int = Field(default=0, description="answers to a picture that was sent before: not counted")
    missing_images: int = Field(default=0, description="insufficient: so many more are needed at least")
    missing_groups: int = Field(default=0, description="insufficient: so many more are needed at least")
    num_images_compared: int = Field(default=0, description="of the window, after thinning")
    num_reference_images: int = Field(default=0, description="compared with, after thinning")
    num_reference_groups: int
    alpha: float
    permutations: int
    tests: tuple[DriftTest, ...] = ()
    columns: tuple[ColumnDrift, ...] = ()
    estimated_accuracy: Interval | None = Field(
        default=None,
        description="without labels, of images not called unknown: mean calibrated confidence, "
        "where the label mix drifted adjusted to the estimated shares",
    )
    class_mix: tuple[ClassShare, ...] = ()
    reference_points: tuple[tuple[float, float], ...] = Field(
        default=(), description="some images on the two main directions of the embedding, whitened"
    )
    window_points: tuple[tuple[float, float], ...] = ()


class LoggedSpan(Record):
    """Which of a model's answers a window holds, by their numbers in the prediction log; feeds no cache."""

    model_name: str
    model_digest: str
    num_answers: int
    num_skipped: int = Field(default=0, description="not judged before, and older than this window: left out")
    num_strangers: int = Field(
        default=0, description="of the answers, unknown because nothing of the kind that was taught"
    )
    num_unknown: int | None = Field(
        default=None, description="called unknown, of all answers since the last verdict, left out ones too"
    )
    judged_before: int = Field(default=0, description="number of the last answer that a verdict was given on")
    first_number: int | None = None
    last_number: int | None = None
    start: AwareDatetime | None = Field(default=None, description="of the earliest answer in the window")
    end: AwareDatetime | None = Field(default=None, description="of the latest answer in the window")
    note: str = Field(default="", description="why the window is empty, where it is")


class MonitoredWindow(LoggedSpan):
    """A window and the verdict on it: two windows with a verdict share no answer."""

    status: DriftStatus
    cause: DriftCause | None = None
    verified: bool


class DriftPage(FileSet):
    """Evidently's page on a window (`FILE_NAME`); no file where too little was there to compare."""

    FILE_NAME: ClassVar[str] = "evidently.html"


class LogTrimming(Record):
    """What went from the prediction log after a window was judged; the next one checks its clock by it."""

    num_too_old: int = Field(default=0, description="answers given more than keep_days ago")
    num_beyond: int = Field(default=0, description="answers beyond the keep_answers newest")
    num_left: int = 0
    believed: AwareDatetime | None = Field(default=None, description="the time by which answers went")
    doubted_since: AwareDatetime | None = Field(
        default=None, description="what the clock said when it was first doubted; deleting waits for a day"
    )
    keep_days: float
    keep_answers: int
