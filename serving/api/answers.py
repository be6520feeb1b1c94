"""From the bytes of an image to an answer, without HTTP: decode, run the graph, measure, decide, log.

Decoder, measurements and rule are those of training (`vision`): what was evaluated is what is served.
"""

from __future__ import annotations

import base64
import io
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from PIL import Image

from serving.api.keys import CHECK_CLIENT
from serving.api.problems import ProblemError
from serving.api.schemas import (
    ClassProbability,
    CorrectionAnswer,
    LogState,
    ModelDescription,
    PredictionAnswer,
    ReviewPromise,
    ServedModel,
    UnknownEvidence,
    UnknownPromise,
)
from serving.api.settings import ServiceSettings
from serving.log.corrections import Correction
from serving.log.entries import LogEntry
from serving.log.lossy import LossyLog
from vision.base.errors import ImageError, ImageFormatError, LogError, TaxonError
from vision.base.record import FloatArray, ImageArray
from vision.bundle.assembly import LoadedBundle
from vision.bundle.heat_map import heat_map, overlay
from vision.config.data import Resize
from vision.data.decoding.formats import READ_FORMATS
from vision.data.images import decode_image
from vision.decision.predictor import Inference, make_predictions
from vision.decision.records import Prediction


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
    """

    image: bytes
    file_name: str
    client: str
    group: str | None
    explain: bool
    arrived: float


class Answerer:
    """A verified bundle that answers images."""

    def __init__(
        self,
        bundle: LoadedBundle,
        model: ServedModel,
        settings: ServiceSettings,
        log: LossyLog | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Make ready to answer.

        Args:
            bundle: loaded with the pinned digest.
            model: how the answers name it.
            settings: limits, and whether the log keeps images.
            log: takes an entry for every answer before it is given, but for those to a deployment's check:
                monitoring would take its test images for what clients send.
            clock: time of the entries, UTC.
        """
        self.model = model
        self._bundle = bundle
        self._predictor = bundle.predictor()
        self._settings = settings
        self._log = log
        self._clock = clock

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

    def describe(self) -> ModelDescription:
        """What is served and what it promises."""
        contract = self._bundle.contract
        unknown, review = contract.rule.unknown, contract.rule.review
        return ModelDescription(
            name=self.model.name,
            version=self.model.version,
            digest=self.model.digest,
            class_names=contract.class_names,
            precision=contract.precision,
            image_size=contract.image_size,
            resize=contract.resize,
            score_name=contract.score_name,
            unknown=UnknownPromise(
                alpha=unknown.alpha,
                delta=unknown.delta,
                attainable=unknown.attainable,
                threshold=unknown.value,
            ),
            review=ReviewPromise(
                target_risk=review.target_risk,
                delta=review.delta,
                attainable=review.attainable,
                threshold=review.value,
            ),
            max_body_bytes=self._settings.max_body_bytes,
            max_megapixels=self._settings.max_megapixels,
        )

    def answer(self, question: Question) -> PredictionAnswer:
        """The answer to one image, committed to the log before it is returned.

        Raises:
            ProblemError: the bytes are no usable image, or the graph gave values that are not finite.
        """
        image = self._decode(question.image)
        try:
            inference, prediction = self._run(image[None])
        except TaxonError as error:
            raise ProblemError(
                "model-failed",
                arrived=f"The model cannot answer this image ({error})",
                expected="finite values",
                advice="Try another image, and tell the operator if this goes on",
            ) from error
        latency_ms = (time.perf_counter() - question.arrived) * 1000.0
        answer = self._compose(prediction, latency_ms)
        if question.explain and inference.forward.cam is not None:
            heat = self._draw_heat(image, inference.forward.cam[0], prediction.class_name)
            answer = answer.model_copy(update={"heat_map_png": heat})
        if self._log is not None and question.client != CHECK_CLIENT:
            self._log.append(self._make_entry(question, answer, inference))
        return answer

    def correct(self, prediction_id: str, class_name: str, client: str) -> CorrectionAnswer:
        """Write down what an answer should have been, and who said so.

        Raises:
            ProblemError: the log is off, cannot be written, or holds no such answer.
        """
        if self._log is None:
            raise _not_logged("answers are not logged here")
        said = Correction(prediction_id, class_name, client, self._clock())
        try:
            found = self._log.correct(said)
        except LogError as error:
            raise _not_logged("the prediction log cannot be written") from error
        if not found:
            raise ProblemError(
                "no-such-answer",
                arrived=f"A correction of the answer {prediction_id[:60]!r} arrived",
                expected="the prediction_id of an answer that is in the log",
                advice="Ask for the picture again and correct that answer",
            )
        return CorrectionAnswer(
            prediction_id=prediction_id, class_name=class_name, corrected_by=client, time=said.time
        )

    def _decode(self, raw: bytes) -> ImageArray:
        contract = self._bundle.contract
        try:
            return decode_image(
                raw,
                size=contract.image_size,
                resize=Resize(contract.resize),
                max_megapixels=self._settings.max_megapixels,
                least_bits=contract.least_bits,
            )
        except ImageFormatError as error:
            raise ProblemError(
                "image-format",
                arrived=f"The file in the field image is {error}",
                expected=f"a {READ_FORMATS} image by its first bytes, whatever its name",
                advice="Convert the file, or send the right one",
            ) from error
        except ImageError as error:
            raise ProblemError(
                "image-unusable",
                arrived=f"The file in the field image is not usable: {error}",
                expected=f"a whole image of at most {self._settings.max_megapixels:g} megapixels",
                advice="Open the file on your side to see whether it is whole, or send a smaller one",
            ) from error

    def _run(self, images: ImageArray) -> tuple[Inference, Prediction]:
        """What is found of one image (1, s, s, 3), and its answer."""
        inference = self._predictor.run(images)
        return inference, make_predictions(self._predictor.rule, inference.decisions, self._settings.top_k)[0]

    def _draw_heat(self, image: ImageArray, cam: FloatArray, class_name: str) -> str:
        """The image with what spoke for the class laid over it, as a PNG in base64."""
        label = self._bundle.contract.class_names.index(class_name)
        buffer = io.BytesIO()
        Image.fromarray(overlay(image, heat_map(cam, label))).save(buffer, "PNG")
        return base64.b64encode(buffer.getvalue()).decode("ascii")

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
            model=self.model,
            latency_ms=round(latency_ms, 3),
        )

    def _make_entry(self, question: Question, answer: PredictionAnswer, inference: Inference) -> LogEntry:
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


def _not_logged(why: str) -> ProblemError:
    return ProblemError(
        "not-logged",
        arrived=f"A correction arrived while {why}",
        expected="a prediction log that can be written",
        advice="Try again later, and tell the operator if this goes on",
    )
