"""The values that cross steps: frozen, typed, versioned, and the same bytes for the same content.

A record that feeds a step holds no seconds, timestamps, process ids or version numbers, because the cache
compares content. Arrays do not live in records: `ModelOutputs` and `OodDetector` carry them and are stored
as .npz files. Directions are fixed once: unknown is the positive class, a higher score is more unknown.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

FloatArray = NDArray[np.floating[Any]]
IntArray = NDArray[np.integer[Any]]
ImageArray = NDArray[np.uint8]

POOLED = "all"
"""Class name of the row that pools a kind of unknown images; no class that is held out may have it."""


class Split(StrEnum):
    """What an image is used for; no image has two uses."""

    TRAIN = "train"
    VALIDATION = "validation"
    CALIBRATION = "calibration"
    TEST = "test"


class Decision(StrEnum):
    """What the service answers; `unknown` outranks `review` outranks `accept`."""

    ACCEPT = "accept"
    REVIEW = "review"
    UNKNOWN = "unknown"


class Precision(StrEnum):
    """Numeric form of the weights of an exported graph."""

    FP32 = "fp32"
    FP16 = "fp16"
    INT8 = "int8"


class Verdict(StrEnum):
    """What the gate says of a challenger."""

    PROMOTED = "promoted"
    KEPT = "kept"
    REFUSED = "refused"


class Record(BaseModel):
    """A frozen value with a schema version; a record of a newer schema is refused, not guessed at."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="constants")

    SCHEMA_VERSION: ClassVar[int] = 1
    schema_version: int = 1

    @model_validator(mode="after")
    def _refuse_newer_schema(self) -> Self:
        if self.schema_version > self.SCHEMA_VERSION:
            raise ValueError(
                f"{type(self).__name__} has schema version {self.schema_version}; this program reads up to "
                f"{self.SCHEMA_VERSION}. Update Taxon."
            )
        return self


class Value(BaseModel):
    """A frozen part of a record."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="constants")


class Interval(Value):
    """A figure with the bootstrap interval around it."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        """`0.953 (0.931 to 0.972)`."""
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"


# --- data -----------------------------------------------------------------------------------------------


class ImageEntry(Value):
    """One usable image file. `path` is POSIX, relative to the manifest's root; `Manifest.locate` finds it."""

    path: str
    class_name: str
    digest: str = Field(description="SHA-256 of the file's bytes, hexadecimal")
    num_bytes: int
    width: int = Field(description="pixels, after EXIF orientation")
    height: int = Field(description="pixels, after EXIF orientation")
    group: str | None = Field(default=None, description="declared group (individual, burst, source)")
    tree: Split | None = Field(default=None, description="the split that the user's own tree gives it")
    is_unknown: bool = Field(default=False, description="of a class that is held out as unknown")


class Quarantined(Value):
    """A file that is left out, and why."""

    path: str
    reason: str


class AddedFolder(Value):
    """A folder whose images joined those of a source; their paths begin with `+name/`."""

    name: str
    root: str


class Manifest(Record):
    """Every image of a source, sorted by path; row i of every array of the run is `entries[i]`."""

    root: str
    additions: tuple[AddedFolder, ...] = Field(default=(), description="sorted by name")
    source_digest: str
    class_names: tuple[str, ...] = Field(description="known classes, sorted; the label is the index")
    unknown_class_names: tuple[str, ...] = ()
    entries: tuple[ImageEntry, ...]
    quarantined: tuple[Quarantined, ...] = ()

    def locate(self, entry: ImageEntry) -> Path:
        """Where the file of an entry lies: below the root, or below the folder that brought it."""
        top, _, rest = entry.path.partition("/")
        for added in self.additions:
            if top == f"+{added.name}":
                return Path(added.root) / rest
        return Path(self.root) / entry.path


class DatasetRef(Record):
    """Where the decoded images lie: uint8 (n, size, size, 3), row i is manifest entry i."""

    path: str = Field(description="folder of the decoded store")
    content_hash: str = Field(description="SHA-256 over the decoded pixels")
    num_images: int
    image_size: int
    resize: str = Field(description="resize policy: pad, crop or stretch")
    source_digest: str = Field(default="", description="digest of the source that the images are of")


class DataFinding(Value):
    """One thing worth knowing about the data; `severity` is info or warning."""

    severity: str
    message: str


class DuplicateGroup(Value):
    """Files with the same bytes, paths sorted."""

    digest: str
    paths: tuple[str, ...]


class ClassCount(Value):
    """Images and groups of one class in one split."""

    class_name: str
    split: str
    num_images: int
    num_groups: int
    is_unknown: bool = False


class QualitySummary(Value):
    """Distribution of one quality column over one class."""

    class_name: str
    column: str
    mean: float
    p05: float
    median: float
    p95: float


class DataReport(Record):
    """What the images look like and whether they can carry a training."""

    num_images: int
    num_groups: int
    class_counts: tuple[ClassCount, ...]
    quality: tuple[QualitySummary, ...] = ()
    duplicates: tuple[DuplicateGroup, ...] = ()
    quarantined: tuple[Quarantined, ...] = ()
    findings: tuple[DataFinding, ...] = ()


class Splits(Record):
    """Which split every image belongs to; all columns are aligned with the manifest's entries.

    `splits[i]` is None for an image that is quarantined here (a duplicate that would join two splits, or
    the same bytes under two labels).
    """

    class_names: tuple[str, ...]
    unknown_class_names: tuple[str, ...] = ()
    digests: tuple[str, ...]
    groups: tuple[str, ...] = Field(description="connected component of declared group and duplicates")
    image_classes: tuple[str, ...]
    splits: tuple[Split | None, ...]
    quarantined: tuple[Quarantined, ...] = ()

    def labels(self) -> IntArray:
        """Label index of every image, shape (n,); -1 for a held-out unknown class."""
        index = {name: i for i, name in enumerate(self.class_names)}
        return np.array([index.get(name, -1) for name in self.image_classes], dtype=np.int64)

    def learnt(self) -> frozenset[tuple[str, str]]:
        """(digest, class) of every image in use of a known class: what a model of these splits knows.

        An image under another label, or of a class that was held out, is none of them.
        """
        known = set(self.class_names)
        columns = zip(self.digests, self.image_classes, self.splits, strict=True)
        return frozenset(
            (digest, name) for digest, name, split in columns if split is not None and name in known
        )

    def group_array(self) -> NDArray[np.str_]:
        """Group of every image, shape (n,)."""
        return np.array(self.groups, dtype=np.str_)

    def rows(self, split: Split, *, unknown: bool = False) -> IntArray:
        """Row numbers of a split, shape (m,), ascending: its known images, or its held-out unknown ones."""
        labels = self.labels()
        in_split = np.array([own is split for own in self.splits], dtype=bool)
        return np.flatnonzero(in_split & ((labels < 0) == unknown))


# --- files ----------------------------------------------------------------------------------------------


class FileSet(Record):
    """Files with their digests; the materializer copies them into the artifact store and checks on load.

    `root` is where the files lie now. It is not part of the content: two file sets with equal digests are
    equal wherever they lie.
    """

    root: Path = Field(exclude=True)
    files: dict[str, str] = Field(description="relative POSIX name -> SHA-256, hexadecimal")

    def path(self, name: str) -> Path:
        """Where the file `name` lies now."""
        return self.root / name

    @property
    def digest(self) -> str:
        """SHA-256 over the sorted names and digests."""
        lines = "".join(f"{name}\0{self.files[name]}\n" for name in sorted(self.files))
        return hashlib.sha256(lines.encode()).hexdigest()


class ModelFile(FileSet):
    """A trained network as one .keras file (`FILE_NAME`)."""

    FILE_NAME: ClassVar[str] = "model.keras"
    candidate: str
    backbone: str
    num_parameters: int
    embedding_width: int


class ExportedGraphs(FileSet):
    """The winner as TFLite graphs, one per precision (`fp16.tflite`), outputs logits, embedding and cam."""

    candidate: str
    image_size: int
    num_parameters: int
    unusable: dict[Precision, str] = Field(
        default_factory=dict, description="precision that LiteRT cannot run -> why"
    )

    @staticmethod
    def file_name(precision: Precision) -> str:
        """Name of the graph of one precision."""
        return f"{precision}.tflite"


class Bundle(FileSet):
    """What is served: graph, detector arrays and `contract.json`; `digest` names it in the registry.

    The drift reference lies beside them for monitoring; the service does not read it.
    """

    CONTRACT_NAME: ClassVar[str] = "contract.json"
    DETECTOR_NAME: ClassVar[str] = "detector.npz"
    REFERENCE_NAME: ClassVar[str] = "reference.npz"
    name: str


# --- training -------------------------------------------------------------------------------------------


class EpochRecord(Value):
    """One epoch of training; `phase` is head or all (two-phase) or the strategy's name."""

    epoch: int
    phase: str
    loss: float
    accuracy: float
    validation_loss: float
    validation_accuracy: float
    learning_rate: float
    regularisation: float | None = Field(
        default=None, description="head on cached features: the inverse L2 strength that this row tried"
    )


class TrainingHistory(Record):
    """How a training went. It may hold seconds because it feeds no step, only reports."""

    candidate: str
    backbone: str
    strategy: str
    epochs: tuple[EpochRecord, ...]
    best_epoch: int
    num_train_images: int
    seconds: float
    images_per_second: float


@dataclass(frozen=True, eq=False)
class ModelOutputs:
    """What one network says of some rows of the data set.

    Attributes:
        rows: (m,) int64, row numbers in the data set, ascending.
        logits: (m, k) float32, before softmax, not divided by a temperature.
        embeddings: (m, d) float32, penultimate activations.
        quality: (m, q) float32, columns of `vision.quality.QUALITY_COLUMNS`.
        kernel: (d, k) float32 and
        bias: (k,) float32, the last linear layer: logits = embeddings @ kernel + bias.
    """

    rows: IntArray
    logits: FloatArray
    embeddings: FloatArray
    quality: FloatArray
    kernel: FloatArray
    bias: FloatArray

    def take(self, rows: IntArray) -> ModelOutputs:
        """The outputs of some data-set rows, in the order asked for; KeyError-free: all must be present."""
        position = np.searchsorted(self.rows, rows)
        if len(rows) and (position.max() >= len(self.rows) or not np.array_equal(self.rows[position], rows)):
            raise ValueError("Some rows were asked for that this network has not been run on.")
        return ModelOutputs(
            rows=np.asarray(rows),
            logits=self.logits[position],
            embeddings=self.embeddings[position],
            quality=self.quality[position],
            kernel=self.kernel,
            bias=self.bias,
        )


# --- truth ----------------------------------------------------------------------------------------------


class Temperature(Record):
    """Temperature > 0 that divides logits (Guo et al. 2017), and the evidence for it."""

    value: float = Field(gt=0)
    applied: bool = Field(description="False: the gain's interval did not lie above zero, value is 1")
    fitted_value: float = Field(gt=0)
    nll_before: float
    nll_after: float
    gain: Interval = Field(description="out-of-fold NLL gain, bootstrap over groups")
    num_images: int
    num_groups: int


@dataclass(frozen=True, eq=False)
class OodDetector:
    """Arrays and names that turn outputs into unknown scores; fitted by `vision.ood.fitting`.

    Attributes:
        score_name: the score that decides (a member of `vision.ood.scores.OodScore`).
        arrays: name -> array, everything that the scores need.
    """

    score_name: str
    arrays: dict[str, NDArray[Any]]


class UnknownThreshold(Record):
    """Score above which an image is called unknown, with the promise on known images behind it."""

    score_name: str
    value: float = Field(description="unknown if score > value; +inf never occurs: unattainable says so")
    attainable: bool
    alpha: float = Field(description="promised largest share of known images called unknown")
    delta: float = Field(description="probability that the promise is broken")
    num_images: int
    num_groups: int
    design_effect: float
    effective_size: float
    num_allowed: int = Field(description="calibration images above the threshold")
    attainable_alpha: float = Field(description="smallest alpha that this many images could promise")
    calibration_scores: tuple[float, ...] = Field(description="ascending; gives p-values")


class ReviewThreshold(Record):
    """Calibrated confidence below which a known-looking image goes to a person."""

    value: float = Field(description="review if confidence < value")
    attainable: bool
    target_risk: float = Field(description="promised largest share of wrong among the accepted")
    delta: float
    coverage: float = Field(description="share of calibration images accepted")
    risk: float = Field(description="share wrong among the accepted on calibration")
    risk_bound: float
    num_images: int
    num_groups: int
    design_effect: float


class DecisionRule(Record):
    """Accept, review or unknown: everything the rule needs but the detector's arrays."""

    class_names: tuple[str, ...]
    temperature: Temperature
    unknown: UnknownThreshold
    review: ReviewThreshold


class Prediction(Value):
    """The answer for one image."""

    decision: Decision
    class_name: str
    confidence: float = Field(description="calibrated probability of the class")
    top_k: tuple[tuple[str, float], ...]
    unknown_score: float
    unknown_threshold: float
    p_value: float = Field(description="share of calibration images at least this unknown; (r+1)/(n+1)")
    reasons: tuple[str, ...]


class ClassRow(Value):
    """Truth about one known class."""

    class_name: str
    precision: float
    recall: float
    f1: Interval
    num_images: int
    num_groups: int
    accepted: float
    reviewed: float
    called_unknown: float


class ReliabilityBin(Value):
    """One of the 15 equal-width confidence bins; NaN where empty."""

    low: float
    high: float
    num_images: int
    confidence: float
    accuracy: float


class UnknownRow(Value):
    """How one held-out class or far kind is told from the known classes. Positive class: unknown."""

    class_name: str
    kind: str = Field(description="near (held-out class) or far (noise, blank, letters, textures)")
    score_name: str
    auroc: Interval
    fpr_at_95_tpr: float = Field(description="share of known called unknown where 95% of unknown are found")
    found: float = Field(description="share called unknown at the threshold; only for the deciding score")
    num_images: int


class RocCurve(Value):
    """Points of an unknown-detection ROC, at most 201. Positive class: unknown."""

    score_name: str
    kind: str
    false_positive_rate: tuple[float, ...]
    true_positive_rate: tuple[float, ...]


class DecisionRates(Value):
    """What a set of images is answered; `wrong_among_accepted` is NaN where nothing is accepted or known."""

    kind: str = Field(description="known, near or far")
    num_images: int
    accepted: Interval
    reviewed: Interval
    called_unknown: Interval
    wrong_among_accepted: float
    wrong_among_accepted_interval: Interval | None = Field(
        default=None, description="the same with its bounds; None where nothing is accepted or known"
    )


class Answer(Value):
    """One image and what it was answered, for galleries."""

    row: int = Field(description="data-set row, or index within the far set")
    kind: str
    true_class: str
    class_name: str
    confidence: float
    unknown_score: float
    decision: Decision


class Evaluation(Record):
    """Truth about one model on one split."""

    candidate: str
    split: str
    form: str = Field(description="keras, or the precision of the exported graph")
    num_images: int
    num_groups: int
    accuracy: Interval
    macro_f1: Interval
    weighted_f1: Interval
    nll: Interval
    brier: Interval
    ece: float
    ece_floor: float = Field(description="95th percentile of ECE of a perfectly calibrated model")
    adaptive_ece: float
    class_names: tuple[str, ...]
    confusion: tuple[tuple[int, ...], ...] = Field(description="rows true, columns predicted")
    classes: tuple[ClassRow, ...]
    reliability: tuple[ReliabilityBin, ...]
    confidence_correct: tuple[int, ...] = Field(description="histogram, 20 bins over [0, 1]")
    confidence_wrong: tuple[int, ...]
    confidence_unknown: tuple[int, ...]
    unknown: tuple[UnknownRow, ...] = Field(description="class_name 'all' pools a kind")
    roc: tuple[RocCurve, ...]
    rates: tuple[DecisionRates, ...]
    mistakes: tuple[Answer, ...] = Field(description="worst first: most confident wrong answers")
    examples: tuple[Answer, ...] = Field(description="some of each decision and kind, for the gallery")


class CandidateRow(Value):
    """One candidate on validation."""

    candidate: str
    backbone: str
    accuracy: Interval
    macro_f1: Interval
    nll: Interval
    ece: float
    unknown_auroc: float
    num_parameters: int


class Difference(Value):
    """Paired difference of two models on the same images, resampled by group; positive favours `first`."""

    metric: str
    first: str
    second: str
    difference: Interval


class Comparison(Record):
    """Candidates side by side and the winner, chosen on validation alone."""

    metric: str
    winner: str
    reason: str
    candidates: tuple[CandidateRow, ...]
    differences: tuple[Difference, ...]


class PrecisionRow(Value):
    """One exported precision against the trained model, same validation images.

    Where the graph cannot be run or overflows, `runs` is False, the figures are NaN and `reasons` says why.
    """

    precision: Precision
    num_bytes: int
    runs: bool = True
    decision_agreement: float
    class_agreement: float
    max_probability_difference: float
    mean_probability_difference: float
    ece_difference: float
    unknown_auroc_difference: float | None = Field(description="None: no held-out images, not measured")
    within_tolerance: bool
    reasons: tuple[str, ...]


class PrecisionReport(Record):
    """Which precisions keep to the tolerance; `served` was named in the config beforehand."""

    served: Precision
    num_images: int
    rows: tuple[PrecisionRow, ...]


class GateCheck(Value):
    """One requirement of the gate."""

    name: str
    passed: bool
    message: str


class Contradiction(Value):
    """A new image whose label the champion, sure of an image that looks ordinary to it, contradicts."""

    row: int = Field(description="data-set row")
    class_name: str = Field(description="as labelled")
    answer: str = Field(description="the class that the champion names")
    confidence: float


class Promotion(Record):
    """The gate's verdict."""

    verdict: Verdict
    bundle_digest: str
    champion_digest: str | None
    checks: tuple[GateCheck, ...]
    reasons: tuple[str, ...]
    differences: tuple[Difference, ...] = ()
    contradictions: tuple[Contradiction, ...] = Field(default=(), description="the surest first, at most 60")


class Registration(Record):
    """Where the model stands in the registry after the run; feeds no step."""

    model_name: str
    version: str | None
    stage: str | None
    bundle_digest: str


# --- deployment -----------------------------------------------------------------------------------------


class Deployment(Record):
    """What is served, and how its answers over HTTP compare with the pipeline's own on the same bytes."""

    model_name: str
    version: str
    digest: str = Field(description="of the bundle, pinned in the registry and told by the service")
    bento: str = Field(description="tag in BentoML's store")
    url: str
    num_images: int = Field(description="test images that the service was asked, on trial and in its place")
    num_unknown_images: int = Field(description="of them, images of held-out classes")
    num_equal_decisions: int = Field(description="answers with the same decision and class")
    max_probability_difference: float
    tolerance: float = Field(description="largest difference that would have been accepted")


# --- retraining -----------------------------------------------------------------------------------------


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


class Trigger(StrEnum):
    """What asks for a retraining; `forced` outranks `drift` outranks `new_images` outranks `age`."""

    FORCED = "forced"
    DRIFT = "drift"
    NEW_IMAGES = "new_images"
    AGE = "age"
    NONE = "none"


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


class ChampionState(Value):
    """The champion as the decision on retraining sees it."""

    digest: str = Field(description="of its bundle")
    since: AwareDatetime = Field(description="when it was registered")


class Attempt(Value):
    """A retraining that was started, however it ended."""

    time: AwareDatetime = Field(description="when it was started")
    automatic: bool = Field(description="not forced by a person")
    champion_digest: str | None = Field(description="of the champion that it was to replace")
    source_digest: str = Field(description="of the images that it learned from")
    gate_digest: str | None = Field(
        default=None, description="of the gate's settings; None: written before they were kept"
    )
    verdict: Verdict | None = Field(description="of the gate; None: it ended before")


class NewClass(Value):
    """What is new of one class."""

    class_name: str
    num_images: int
    num_groups: int


class NewImages(Record):
    """Labelled images of known classes that the champion has not seen, by bytes."""

    num_images: int = 0
    num_groups: int = Field(default=0, description="groups of which the champion has seen no image")
    classes: tuple[NewClass, ...] = Field(default=(), description="only classes with new images, sorted")


class RetrainingEvidence(Value):
    """What a decision on retraining rests on beside the images: all that lies outside the data set."""

    now: AwareDatetime = Field(description="when it is decided")
    champion: ChampionState | None
    verdicts: tuple[WindowVerdict, ...] = Field(default=(), description="of monitoring, in any order")
    attempts: tuple[Attempt, ...] = Field(default=(), description="earlier retrainings, in any order")


class Consideration(Value):
    """One thing that was considered; `speaks_for` a retraining, or does not."""

    name: str
    speaks_for: bool
    message: str


class RetrainDecision(Record):
    """Whether to retrain, and everything that was considered."""

    retrain: bool
    trigger: Trigger = Field(description="what asks for it, even where budget or pause forbid it")
    reasons: tuple[str, ...]
    champion_digest: str | None
    new_images: NewImages
    considered: tuple[Consideration, ...]


# --- drift ----------------------------------------------------------------------------------------------


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

    `reference` is the mean calibrated probability, `window` the likeliest share (`vision.priors`).
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


# --- monitoring -----------------------------------------------------------------------------------------


class LoggedSpan(Record):
    """Which of a model's answers a window holds, by their numbers in the prediction log; feeds no cache."""

    model_name: str
    model_digest: str
    num_answers: int
    num_skipped: int = Field(default=0, description="not judged before, and older than this window: left out")
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


# --- contract -------------------------------------------------------------------------------------------


class Contract(Record):
    """What a bundle promises and needs: `contract.json` inside it.

    Since schema 2 the bundle holds a drift reference. A bundle of schema 1 can be served and challenged, not
    monitored.
    """

    SCHEMA_VERSION: ClassVar[int] = 2
    schema_version: int = 2
    name: str
    candidate: str
    backbone: str
    class_names: tuple[str, ...]
    unknown_class_names: tuple[str, ...]
    image_size: int
    resize: str
    precision: Precision
    rule: DecisionRule
    score_name: str
    quality_columns: tuple[str, ...]
    files: dict[str, str] = Field(description="every other file of the bundle -> SHA-256")
    data_digest: str
    versions: dict[str, str] = Field(description="library -> version that made the graph")
