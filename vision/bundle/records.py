"""Records of what is exported and served: graphs, their precisions, the bundle and its contract."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from vision.base.errors import BundleError, TaxonError
from vision.base.record import FileSet, Record, Value
from vision.config.export import AUTO_ORDER, Precision
from vision.decision.passport import Passport
from vision.decision.records import DecisionRule, WeakClass

ONNX_NAME = "model.onnx"
HEAD_NAME = "head.npz"
"""Arrays `kernel` (d, k) and `bias` (k,) of the last layer, float32."""
LEAST_PICTURES = 5
"""That make a class answerable which was not taught."""


class ExportedGraphs(FileSet):
    """The winner as graphs (`fp16.tflite`, `model.onnx`); outputs logits, embedding, cam, early."""

    candidate: str
    image_size: int
    num_parameters: int
    unusable: dict[Precision, str] = Field(
        default_factory=dict, description="precision that cannot be run -> why"
    )

    @staticmethod
    def file_name(precision: Precision) -> str:
        """Name of the graph of one precision."""
        return ONNX_NAME if precision is Precision.ONNX else f"{precision}.tflite"

    @property
    def precisions(self) -> tuple[Precision, ...]:
        """What was exported, usable or not."""
        return tuple(each for each in Precision if self.file_name(each) in self.files)


class Bundle(FileSet):
    """What is served: graph, detector arrays and `contract.json`; `digest` names it in the registry.

    The drift reference lies beside them for monitoring; the service does not read it.
    """

    ERROR: ClassVar[type[TaxonError]] = BundleError
    CONTRACT_NAME: ClassVar[str] = "contract.json"
    DETECTOR_NAME: ClassVar[str] = "detector.npz"
    REFERENCE_NAME: ClassVar[str] = "reference.npz"
    name: str


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
    lower_bounds: dict[str, float] = Field(
        default_factory=dict, description="tolerance -> lower bound of the difference; what is judged"
    )
    milliseconds: float | None = Field(
        default=None, description="of one image on one thread, median; None: not measured"
    )


class PrecisionReport(Record):
    """Which precisions keep to the tolerance, and which one is served."""

    served: Precision
    num_images: int
    rows: tuple[PrecisionRow, ...]
    automatic: bool = Field(default=False, description="chosen by these rows, not named in the config")
    fastest: bool = Field(default=False, description="int8 was to be served if it pays")

    @property
    def served_agreement(self) -> float | None:
        """Share of the images that the served graph decides as the trained network; None: not measured."""
        served = next((row for row in self.rows if row.precision is self.served and row.runs), None)
        return None if served is None else served.decision_agreement

    def describe_choice(self) -> str:
        """One sentence: what is served and why."""
        if not self.automatic:
            return f"Weights are served as {self.served}, as the configuration says."
        rows = {row.precision: row for row in self.rows}
        if self.served is Precision.INT8:
            timed = (each for each in (Precision.INT8, *AUTO_ORDER) if each in rows)
            times = ", ".join(_tell_time(rows[each]) for each in timed)
            return f"Weights are served as int8: it keeps to the tolerance and is faster here ({times})."
        choice = "fp16: it keeps to the tolerance and is half as large as fp32"
        if self.served is not Precision.FP16:
            fp16 = rows.get(Precision.FP16)
            doubt = f"strays from the network: {'; '.join(fp16.reasons)}" if fp16 else "was not exported"
            choice = f"{self.served}, because fp16 {doubt}"
        left = f" int8 is not: {self._doubt(rows)}." if self.fastest else ""
        return f"Weights are served as {choice}.{left}"

    def _doubt(self, rows: dict[Precision, PrecisionRow]) -> str:
        """Why int8 was not taken for its speed."""
        row, served = rows.get(Precision.INT8), rows.get(self.served)
        if row is None:
            return "it was not exported"
        if not row.within_tolerance:
            return "; ".join(row.reasons)
        if served is None or not served.within_tolerance:
            return f"its speed is compared only where {self.served} keeps to the tolerance"
        return f"it is not 10% faster here ({_tell_time(row)}, {_tell_time(served)})"


def _tell_time(row: PrecisionRow) -> str:
    return f"{row.precision} {row.milliseconds:.1f} ms" if row.milliseconds else f"{row.precision} not run"


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
    pictures: str = Field(default="", description="a sentence where pictures are kept otherwise than before")


class SimilarImage(Value):
    """A known image that is like the one that was asked."""

    path: str = Field(description="in the data set")
    class_name: str
    similarity: float = Field(description="cosine of the two embeddings; 1 for the same picture")
    same: bool = Field(
        default=False, description="the very picture that was asked, or a copy: the model was made with it"
    )


class Contract(Record):
    """What a bundle promises and needs: `contract.json` inside it."""

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
    least_bits: int = Field(default=0, description="of 16, that pictures of over eight bits use at least")
    resize_reason: str = Field(default="", description="why that resize, a sentence")
    crop_margin: float | None = Field(
        default=None,
        description="share of a box's longer side kept around it; None: it was taught whole pictures",
    )
    passport: Passport | None = Field(default=None, description="what test images said of it")
    weak_classes: tuple[WeakClass, ...] = Field(
        default=(), description="of which most test images were named wrong, the most missed first"
    )
