"""From the bytes of an image to an answer, without HTTP: decode, run the graph, measure, decide, log.

Decoder, measurements and rule are those of training (`vision`): what was evaluated is what is served.
"""

from __future__ import annotations

import base64
import io
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np
from PIL import Image

from serving.api.answering.boxes import cut_to_box
from serving.api.answering.description import describe_model
from serving.api.answering.enrolled import Embedded, EnrolledClasses, NewClass
from serving.api.answering.several import combine
from serving.api.keys import CHECK_CLIENT
from serving.api.metrics import ServiceMetrics, Stage
from serving.api.problems import ProblemError
from serving.api.refusals import no_known_images, not_logged, unusable_image
from serving.api.schemas import (
    ClassProbability,
    CorrectionAnswer,
    EnrolledAnswer,
    LogState,
    ModelDescription,
    PredictionAnswer,
    ServedModel,
    SimilarAnswer,
    SimilarPicture,
    UnknownEvidence,
)
from serving.api.settings import ServiceSettings
from serving.log.corrections import Correction, add_correction
from serving.log.entries import LogEntry
from serving.log.lossy import LossyLog
from serving.log.prediction_log import PredictionLog
from vision.base.errors import ImageError, TaxonError
from vision.base.record import ImageArray
from vision.bundle.assembly import LoadedBundle
from vision.bundle.heat_map import heat_map, overlay
from vision.bundle.pictures import decode_for, tell_misfit
from vision.bundle.weak import warn_of_class
from vision.data.records import Box
from vision.decision.predictor import Inference, make_predictions
from vision.decision.records import Prediction
from vision.prediction.views import average_views, tell_by_views

DRAWN_SIZE = 480
"""Pixels at least of the side of what /explain draws; the model looks at fewer."""

_JPEG_QUALITY = 75


@dataclass(frozen=True)
class Question:
    """One image to answer, and who asks.

    Attributes:
        image: content of the file.
        file_name: of the upload, cleaned.
        client: name of the API key.
        group: as the client gave it.
        explain: whether the answer holds a heat map.
        arrived: `time.perf_counter()` when the request arrived.
        views: of the image that are asked; 1 is the image as it is.
        reencode: whether it is written as JPEG and read again before it is looked at.
        similar: known images that are like it and are told.
        box: of the subject: left, top, width and height in pixels, or as shares where none is above 1.
    """

    image: bytes
    file_name: str
    client: str
    group: str | None = None
    explain: bool = False
    arrived: float = 0.0
    views: int = 1
    reencode: bool = False
    similar: int = 0
    box: Box | None = None


class Answerer:
    """A verified bundle that answers images."""

    def __init__(
        self,
        bundle: LoadedBundle,
        model: ServedModel,
        settings: ServiceSettings,
        log: LossyLog | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        metrics: ServiceMetrics | None = None,
    ) -> None:
        """Make ready to answer.

        Args:
            bundle: loaded with the pinned digest.
            model: how the answers name it.
            settings: limits, and whether the log keeps images.
            log: takes an entry for every answer before it is given, but for those to a deployment's check:
                monitoring would take its test images for what clients send.
            clock: time of the entries, UTC.
            metrics: are told the seconds of each stage.
        """
        self.model = model
        self._bundle, self._weak = bundle, bundle.contract.weak_classes
        self._predictor = bundle.predictor()
        self._settings = settings
        self._log = log
        self._metrics, self._clock = metrics or ServiceMetrics(), clock
        self._enrolled = None
        if log is not None and bundle.neighbours is not None:
            self._enrolled = EnrolledClasses(model.name, bundle.neighbours, self._embed, log.log, settings)

    def warm_up(self) -> None:
        """Answer one grey image, so that the first client does not wait for the graph's set-up.

        Raises:
            TaxonError: the graph cannot answer it.
        """
        size = self._bundle.contract.image_size
        self._run(np.full((1, size, size, 3), 128, np.uint8))

    def describe_log(self) -> LogState:
        """Whether answers can be written down now; it changes nothing for who asks."""
        if self._log is None:
            return LogState(status="off")
        fault = self._log.find_fault()
        return LogState(status="writable") if fault is None else LogState(status="failing", reason=fault)

    @property
    def kept(self) -> PredictionLog:
        """The database of the log; raises ProblemError where there is none."""
        if self._log is None:
            raise not_logged("answers are not logged here")
        return self._log.log

    def describe(self) -> ModelDescription:
        """What is served and what it promises; enrolled classes may have to be read first."""
        enrolled = () if self._enrolled is None else self._enrolled.list_classes()
        return describe_model(self._bundle, self.model, self._settings, enrolled)

    def answer(self, question: Question) -> PredictionAnswer:
        """The answer to one image, committed to the log before it is returned.

        Raises:
            ProblemError: the bytes are no usable image, or the graph gave values that are not finite.
        """
        answer, entry = self.answer_with_entry(question)
        if entry is not None:
            self.keep([entry])
        return answer

    def answer_with_entry(self, question: Question) -> tuple[PredictionAnswer, LogEntry | None]:
        """The answer to one image, and what is to be committed to the log by `keep` before it is told.

        Raises:
            ProblemError: as of `answer`.
        """
        question = self._cut(question)
        answer, inference = self._answer(question, self._decode(question))
        return answer, self._make_entry(question, answer, inference)

    def keep(self, entries: Sequence[LogEntry]) -> None:
        """Commit answers to the log together; what cannot be written is counted."""
        if self._log is not None and entries:
            with self._metrics.time_stage(Stage.LOG):
                self._log.append(*entries)

    def answer_several(self, questions: Sequence[Question]) -> PredictionAnswer:
        """One answer to images of one individual, with that to each, which alone are logged.

        They share a group in the log: the client's, or one of their own.

        Raises:
            ProblemError: as of `answer`, before anything is logged where an image is not usable.
        """
        images = [self._decode(each) for each in questions]
        name = uuid.uuid4().hex
        grouped = [replace(each, group=each.group or name) for each in questions]
        told = [self._answer(*each) for each in zip(grouped, images, strict=True)]
        entries = [self._make_entry(each, *found) for each, found in zip(grouped, told, strict=True)]
        self.keep([each for each in entries if each is not None])
        rule = self._predictor.rule
        prediction = combine(rule, [inference for _, inference in told], self._settings.top_k)
        latency_ms = (time.perf_counter() - questions[0].arrived) * 1000.0
        answer = self._compose(prediction, latency_ms)
        return answer.model_copy(update={"prediction_id": name, "pictures": tuple(each for each, _ in told)})

    def draw(self, question: Question) -> bytes:
        """The image under a heat map of its class, as a PNG; nothing is logged.

        Raises:
            ProblemError: as of `answer`.
        """
        inference, prediction = self._run_for(self._decode(question), question)
        size = max(DRAWN_SIZE, self._bundle.contract.image_size)
        return self._draw_heat(self._decode(question, size), inference, prediction.class_name)

    def find_similar(self, question: Question) -> SimilarAnswer:
        """The known images that an image is most like; nothing is logged.

        Raises:
            ProblemError: as of `answer`, or the model keeps no known images.
        """
        inference, _ = self._run_for(self._decode(question), question)
        return SimilarAnswer(similar=self._list_similar(inference, question), model=self.model)

    def _list_similar(self, inference: Inference, question: Question) -> tuple[SimilarPicture, ...]:
        known = self._bundle.neighbours
        if known is None:
            raise no_known_images()
        return tuple(
            SimilarPicture(**each.model_dump(), picture_jpeg=base64.b64encode(picture).decode("ascii"))
            for each, picture in known.nearest(inference.forward.embeddings[0], question.similar)
        )

    def _answer(self, question: Question, image: ImageArray) -> tuple[PredictionAnswer, Inference]:
        inference, prediction = self._run_for(image, question)
        latency_ms = (time.perf_counter() - question.arrived) * 1000.0
        misfit = tell_misfit(self._bundle.contract, question.box is not None, 1)
        answer = self._compose(prediction, latency_ms).model_copy(update={"warning": misfit or None})
        if question.explain:
            heat = self._draw_heat(image, inference, prediction.class_name)
            answer = answer.model_copy(update={"heat_map_png": base64.b64encode(heat).decode("ascii")})
        if self._enrolled is not None and question.client != CHECK_CLIENT:
            provisional = self._enrolled.find(inference.forward.embeddings[0])
            answer = answer.model_copy(update={"provisional": provisional})
        if question.similar:
            answer = answer.model_copy(update={"similar": self._list_similar(inference, question)})
        return answer, inference

    def _run_for(self, image: ImageArray, question: Question) -> tuple[Inference, Prediction]:
        try:
            with self._metrics.time_stage(Stage.NETWORK):
                inference, prediction = self._run(image[None], question.views)
        except TaxonError as error:
            raise ProblemError(
                "model-failed",
                arrived=f"The model cannot answer this image ({error})",
                expected="finite values",
                advice="Try another image, and tell the operator if this goes on",
            ) from error
        if question.reencode:
            reasons = (*prediction.reasons, "looked at after it was written as JPEG and read again")
            prediction = prediction.model_copy(update={"reasons": reasons})
        return inference, prediction

    def enrol(self, new: NewClass) -> EnrolledAnswer:
        """Take pictures for a new class, or for one that was enrolled before.

        Raises:
            ProblemError: they are too few, unusable or cannot be told from known classes, or are not kept.
        """
        if self._log is None:
            raise not_logged("answers are not logged here")
        if self._enrolled is None:
            raise no_known_images()
        return self._enrolled.take(new, self._clock())

    def _embed(self, image: bytes) -> Embedded:
        question = Question(image, "", CHECK_CLIENT)
        inference, _ = self._run_for(self._decode(question), question)
        return inference.forward.embeddings[0], bool(inference.decisions.strangers[0])

    def correct(self, prediction_id: str, class_name: str, client: str) -> CorrectionAnswer:
        """Write down what an answer should have been, and who said so.

        Raises:
            ProblemError: the log is off, or holds no such answer.
            LogError: it cannot be written.
        """
        said = Correction(prediction_id, class_name, client, self._clock())
        if not add_correction(self.kept, said):
            raise ProblemError(
                "no-such-answer",
                arrived=f"A correction of the answer {prediction_id[:60]!r} arrived",
                expected="the prediction_id of an answer that is in the log",
                advice="Ask for the picture again and correct that answer",
            )
        return CorrectionAnswer(
            prediction_id=prediction_id, class_name=class_name, corrected_by=client, time=said.time
        )

    def _cut(self, question: Question) -> Question:
        """The question with what its box holds in the place of its image: that is looked at, and kept."""
        most = self._settings.max_megapixels
        if question.box is None:
            return question
        try:
            with self._metrics.time_stage(Stage.DECODE):
                image = cut_to_box(self._bundle.contract, question.image, question.box, most)
        except ImageError as error:
            raise unusable_image(error, most) from error
        return replace(question, image=image)

    def _decode(self, question: Question, size: int | None = None) -> ImageArray:
        """The image as the model sees it, or in another size."""
        contract, most = self._bundle.contract, self._settings.max_megapixels
        if size is not None:
            contract = contract.model_copy(update={"image_size": size})
        try:
            with self._metrics.time_stage(Stage.DECODE):
                image = decode_for(contract, question.image, most)
        except ImageError as error:
            raise unusable_image(error, most) from error
        return reencode(image) if question.reencode else image

    def _run(self, images: ImageArray, views: int = 1) -> tuple[Inference, Prediction]:
        """What is found of one image (1, s, s, 3), and its answer, by the rule of `run.py predict --tta`."""
        predictor, top_k = self._predictor, self._settings.top_k
        inference = predictor.run(images)
        told = make_predictions(predictor.rule, inference.decisions, top_k)
        if views > 1:
            first, temperature = inference.decisions.probs, predictor.rule.temperature.value
            probs = average_views(images, first, predictor.forward, views, temperature)
            told = tell_by_views(predictor.rule, told, probs, views, top_k)
        return inference, told[0]

    def _draw_heat(self, image: ImageArray, inference: Inference, class_name: str) -> bytes:
        """The image under a heat map of the class, as a PNG."""
        if inference.forward.cam is None:
            raise ValueError("the network gave no class-activation maps")
        label = self._bundle.contract.class_names.index(class_name)
        buffer = io.BytesIO()
        Image.fromarray(overlay(image, heat_map(inference.forward.cam[0], label))).save(buffer, "PNG")
        return buffer.getvalue()

    def _compose(self, prediction: Prediction, latency_ms: float) -> PredictionAnswer:
        return PredictionAnswer(
            prediction_id=uuid.uuid4().hex,
            decision=prediction.decision,
            class_name=prediction.class_name,
            confidence=prediction.confidence,
            top_k=tuple(
                ClassProbability(class_name=name, probability=probability)
                for name, probability in prediction.top_k
            ),
            unknown=UnknownEvidence(
                score=prediction.unknown_score,
                threshold=prediction.unknown_threshold,
                p_value=prediction.p_value,
            ),
            reasons=prediction.reasons,
            unknown_kind=prediction.unknown_kind,
            set=prediction.possible,
            caution=warn_of_class(prediction.decision, prediction.class_name, self._weak) or None,
            model=self.model,
            latency_ms=round(latency_ms, 3),
        )

    def _make_entry(
        self, question: Question, answer: PredictionAnswer, inference: Inference
    ) -> LogEntry | None:
        """What the log is to keep of an answer; None where there is no log, or a deployment's check asked."""
        if self._log is None or question.client == CHECK_CLIENT:
            return None
        return LogEntry(
            prediction_id=answer.prediction_id,
            time=self._clock(),
            client=question.client,
            file_name=question.file_name,
            latency_ms=answer.latency_ms,
            model_name=self.model.name,
            model_version=self.model.version,
            model_digest=self.model.digest,
            group=question.group,
            decision=answer.decision,
            class_name=answer.class_name,
            confidence=answer.confidence,
            unknown_score=answer.unknown.score,
            p_value=answer.unknown.p_value,
            logits=inference.forward.logits[0],
            embedding=inference.forward.embeddings[0],
            quality=inference.quality[0],
            image=question.image if self._settings.keep_images else None,
            unknown_kind=answer.unknown_kind,
        )


def reencode(image: ImageArray) -> ImageArray:
    """The image (s, s, 3) as read from its own JPEG of quality 75; its effect: docs/results.md."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=_JPEG_QUALITY)
    with Image.open(buffer) as again:
        return np.asarray(again.convert("RGB"), dtype=np.uint8)
