"""The bodies of the service's answers; what they promise is their fields and nothing else."""

from __future__ import annotations

from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from serving.api.problems import Problem
from vision.bundle.records import LEAST_PICTURES
from vision.config.export import Precision
from vision.data.decoding.formats import READ_FORMATS
from vision.data.views import MOST_VIEWS
from vision.decision.passport import Passport
from vision.decision.records import Decision, UnknownKind, WeakClass

MAX_PICTURES = 8
"""Of one individual in one request."""

MIN_ENROLLED, MAX_ENROLLED = LEAST_PICTURES, 20
"""Pictures of a new class in one request."""


class Body(BaseModel):
    """Base of every body: frozen, no unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class PredictionForm(Body):
    """What is sent to POST /predict."""

    image: list[bytes] = Field(
        min_length=1,
        max_length=MAX_PICTURES,
        description=f"one {READ_FORMATS} image, whatever its name says, or several of one individual",
    )
    group: str = Field(default="", description="what images of one camera, individual or visit share")
    box: str = Field(
        default="",
        description="of the subject: left,top,width,height in pixels, or as shares where none is above 1; "
        "used by a model that has a crop_margin",
    )


class AnswerOptions(Body):
    """How pictures are looked at; the model's promises are for a picture as it is."""

    tta: int = Field(
        default=1,
        ge=1,
        le=MOST_VIEWS,
        description=f"views of each image, 1 to {MOST_VIEWS}; their mean tells the class where a person "
        "decides, and an accepted image goes to review where it names another class",
    )
    reencode: bool = Field(
        default=False,
        description="whether each image is written as JPEG and read again before it is looked at",
    )


class PredictionQuery(AnswerOptions):
    """What may be asked of POST /predict in its address."""

    explain: bool = Field(
        default=False, description="whether the answer holds a heat map of what was looked at (PNG, base64)"
    )
    similar: int = Field(
        default=0, ge=0, le=20, description="known images that are most like it, 0 to 20, with their pictures"
    )


class ImageForm(Body):
    """What is sent to POST /explain and POST /similar."""

    image: bytes = Field(description=f"one {READ_FORMATS} image, whatever its name says")


class SimilarQuery(Body):
    """What may be asked of POST /similar in its address."""

    number: int = Field(default=5, ge=1, le=20, description="known images that are told, 1 to 20")


class BatchForm(Body):
    """What is sent to POST /predict_batch."""

    archive: bytes = Field(description="one ZIP archive of images, in folders or not")


class BatchQuery(AnswerOptions):
    """What may be asked of POST /predict_batch in its address."""

    format: Literal["ndjson", "csv"] | None = Field(
        default=None,
        description="csv or ndjson; without it CSV where the header Accept says text/csv, else NDJSON",
    )
    group_by: Literal["names", "folder", "none"] = Field(
        default="names",
        description="what a picture's group, which monitoring counts, is read from: names (as far as those "
        "of all files tell one, as run.py predict --group-by auto does), folder (its folder in the archive)",
    )


class ClassProbability(Body):
    """A class and its calibrated probability."""

    class_name: str
    probability: float


class UnknownEvidence(Body):
    """How unlike the known classes the image is: `unknown` if score > threshold."""

    score: float
    threshold: float
    p_value: float = Field(description="share of calibration images at least this unknown; (r+1)/(n+1)")


class SimilarPicture(Body):
    """A known image that is like the one that was asked."""

    path: str = Field(description="in the data set")
    class_name: str
    similarity: float = Field(description="cosine of the two embeddings; 1 for the same picture")
    same: bool = Field(
        default=False, description="the very picture that was asked, or a copy: the model was made with it"
    )
    picture_jpeg: str = Field(
        description="the image as the network saw it, small; base64; empty where the model keeps none of it"
    )


class ProvisionalClass(Body):
    """A class that was enrolled from a few pictures and not trained yet; the model promises nothing of it."""

    class_name: str
    similarity: float = Field(description="cosine of the image with the class")
    threshold: float = Field(description="above which it is told")
    num_images: int = Field(description="pictures that it was made from")


class ServedModel(Body):
    """Which model answered."""

    name: str
    version: str = Field(description="in the registry")
    digest: str = Field(description="of the bundle")


class PredictionAnswer(Body):
    """Answer to POST /predict."""

    prediction_id: str = Field(description="names this answer in the log")
    decision: Decision = Field(description="what to do with the image; see above")
    class_name: str = Field(
        description="most probable known class, whatever the decision; of an unknown image only what "
        "it is most like, so count decisions first (in a CSV it stands in `nearest`, and `class` is empty)"
    )
    confidence: float = Field(description="calibrated probability of that class, 0 to 1")
    top_k: tuple[ClassProbability, ...] = Field(description="most probable classes first")
    unknown: UnknownEvidence
    reasons: tuple[str, ...] = Field(description="why, in words")
    unknown_kind: UnknownKind | None = Field(
        default=None,
        description="of an unknown image: stranger (not a picture of the kind it was taught) or look_alike "
        "(like what it was taught, but none of it); else null",
    )
    set: tuple[str, ...] | None = Field(
        default=None,
        description="classes that the image may be of, most probable first; how often the true one is among "
        "them is promised: `prediction_set` of GET /model. Not there where the image is unknown, or where "
        "too few were held out to promise it",
    )
    warning: str | None = Field(
        default=None, description="where the picture is not what the model was taught: a box, or none"
    )
    caution: str | None = Field(
        default=None, description="that most test pictures of the class which is named were missed"
    )
    model: ServedModel
    latency_ms: float = Field(description="from the request's arrival to the decision")
    heat_map_png: str | None = Field(default=None, description="base64; only with explain=true")
    provisional: ProvisionalClass | None = Field(
        default=None,
        description="enrolled class that the image is taken for, whatever the decision, which is of the "
        "model alone; null where it is like none",
    )
    similar: tuple[SimilarPicture, ...] | None = Field(
        default=None, description="known images that are most like it; only with similar=N"
    )
    pictures: tuple[PredictionAnswer, ...] | None = Field(
        default=None,
        description="only where several were sent: the answer to each alone, which the log holds. The "
        "answer above is of their mean log-probabilities; correct each picture by its own prediction_id",
    )


class BatchRow(Body):
    """A line of the answer to POST /predict_batch: a file of the archive with its answer or its problem."""

    file: str = Field(description="its name in the archive")
    answer: PredictionAnswer | None = Field(default=None, description="as of POST /predict")
    problem: Problem | None = Field(default=None, description="why there is none")
    group: str | None = Field(default=None, description="individual, camera or visit that it was counted in")


class SimilarAnswer(Body):
    """Answer to POST /similar, which is not written into the log."""

    similar: tuple[SimilarPicture, ...] = Field(description="most similar first")
    model: ServedModel


class EnrolForm(Body):
    """What is sent to POST /enrol."""

    class_name: str = Field(description="of the new class")
    image: list[bytes] = Field(
        min_length=MIN_ENROLLED,
        max_length=MAX_ENROLLED,
        description=f"{READ_FORMATS} images of it, better of several individuals",
    )


class EnrolledAnswer(Body):
    """Answer to POST /enrol."""

    class_name: str
    num_images: int = Field(description="different pictures of it by now, those sent earlier among them")
    num_recognised: int = Field(description="of them, each left out in turn, told from the known classes")
    threshold: float = Field(description="cosine above which a picture is taken for the class")
    alpha: float = Field(description="at most this share of images of known classes is expected above it")


class CorrectionForm(Body):
    """What is sent to POST /corrections."""

    prediction_id: str = Field(description="of the answer, as POST /predict gave it")
    class_name: str = Field(description="what the picture shows; any name, also one that the model lacks")


class CorrectionAnswer(Body):
    """Answer to POST /corrections: what was written down. Of several corrections the last counts."""

    prediction_id: str
    class_name: str
    corrected_by: str = Field(description="name of the API key, never the key")
    time: AwareDatetime = Field(description="in UTC")


class QueueQuery(Body):
    """What may be asked of GET /review in its address."""

    number: int = Field(default=20, ge=1, le=50, description="answers that are told, 1 to 50")


class Waiting(Body):
    """An answer that waits for a person."""

    prediction_id: str
    time: AwareDatetime
    file_name: str
    group: str | None = None
    decision: Decision
    unknown_kind: UnknownKind | None = Field(default=None, description="of an unknown answer")
    class_name: str = Field(description="most probable, or nearest")
    confidence: float
    picture_jpeg: str | None = Field(
        default=None, description="small, base64; not told where the log keeps none"
    )
    num_said: int = Field(description="others who said what it is; what they said is not told")


class Queue(Body):
    """Answer to GET /review."""

    waiting: tuple[Waiting, ...] = Field(description="newest first")


class UndoForm(Body):
    """What is sent to POST /corrections/undo."""

    prediction_id: str = Field(description="of the answer that was corrected")


class UndoAnswer(Body):
    """Answer to POST /corrections/undo."""

    prediction_id: str
    taken_back: bool = Field(description="false where your key had said nothing of it")


class Rung(Body):
    """Another promise, and from which confidence on it would have decided alone."""

    target_risk: float
    threshold: float


class UnknownPromise(Body):
    """At most `alpha` of known images are called unknown, with probability 1 - `delta`, if attainable."""

    alpha: float
    delta: float
    attainable: bool
    threshold: float = Field(description="score; where not attainable, what lies above goes to a person")


class SetPromise(Body):
    """At most `alpha` of known images miss their class in `set`, but for `delta`, if attainable."""

    alpha: float
    delta: float
    attainable: bool


class ReviewPromise(Body):
    """At most `target_risk` of the accepted are wrong, with probability 1 - `delta`, if attainable."""

    target_risk: float
    delta: float
    attainable: bool
    threshold: float = Field(description="confidence; above 1, which none reaches, where not attainable")
    ladder: tuple[Rung, ...] = Field(
        default=(), description="promises that the calibration could keep, the strictest first"
    )


class NamedClass(Body):
    """A class that was enrolled."""

    class_name: str
    num_images: int = Field(description="pictures that it was made from")


class ModelDescription(Body):
    """Answer to GET /model."""

    name: str = Field(description="of the data set and the model")
    version: str = Field(description="in the registry")
    digest: str = Field(description="of the bundle")
    class_names: tuple[str, ...] = Field(description="that it knows")
    precision: Precision = Field(description="of the weights")
    image_size: int = Field(description="pixels of the square that it looks at")
    resize: str = Field(description="how an image becomes that square: pad, crop or stretch")
    crop_margin: float | None = Field(
        default=None,
        description="share of a box's longer side kept around it: it was taught what boxes hold; null: whole "
        "pictures",
    )
    score_name: str = Field(description="the unknown score that decides")
    unknown: UnknownPromise
    stranger: UnknownPromise | None = Field(
        default=None, description="of those called strangers, beside `unknown`; null: not told apart"
    )
    review: ReviewPromise
    prediction_set: SetPromise | None = Field(default=None, description="null: a model made before sets")
    backbone: str = Field(default="", description="of the network")
    data_digest: str = Field(default="", description="SHA-256 of the decoded images that it was made from")
    unknown_class_names: tuple[str, ...] = Field(default=(), description="held out when it was trained")
    passport: Passport | None = Field(
        default=None, description="what test images said of it; null in a bundle made before this was kept"
    )
    weak_classes: tuple[WeakClass, ...] = Field(
        default=(), description="of which most test images were named wrong, the most missed first"
    )
    num_known_images: int = Field(default=0, description="kept to be shown as like another image")
    max_body_bytes: int = Field(default=5_000_000, description="of a request")
    max_megapixels: float = Field(default=40.0, description="of an image")
    max_batch_files: int = Field(default=10_000, description="of an archive")
    keeps_images: bool | None = Field(default=None, description="whether the log keeps pictures")
    enrolled: tuple[NamedClass, ...] = Field(
        default=(), description="classes from a few pictures, told as provisional"
    )


class Alive(Body):
    """Answer to GET /livez."""

    status: str = "alive"


class LogState(Body):
    """Whether the prediction log can be written, for the operator; where it cannot, answers go on."""

    status: Literal["writable", "failing", "off"]
    reason: str | None = Field(default=None, description="of a failure; told to this machine or a key alone")


class Ready(Body):
    """Answer to GET /readyz once the model is loaded, verified and warmed up."""

    status: str = "ready"
    digest: str
    instance: str = Field(description="as the starter named this process")
    restarts: int = Field(default=0, description="times that it ended by itself and was started again")
    log: LogState
