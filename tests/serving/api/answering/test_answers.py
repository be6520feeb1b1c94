"""Bytes to answer, without HTTP: the decision is the rule's own, and what is logged is what was answered."""

from __future__ import annotations

import base64
import io
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image

from serving.api.answering import answers
from serving.api.answering.answers import Answerer, Question
from serving.api.answering.boxes import cut_to_box
from serving.api.keys import CHECK_CLIENT
from serving.api.problems import ProblemError
from serving.api.schemas import ServedModel
from serving.api.settings import ServiceSettings
from serving.log.entries import LogEntry
from serving.log.lossy import LossyLog
from serving.log.prediction_log import PredictionLog
from tests.serving.toy import (
    BLACK,
    GREEN,
    GREY,
    NAMES,
    RED,
    SIZE,
    make_answerer,
    make_bundle,
    paint,
)
from tests.vision.training.nets.toy import KERAS_WARNINGS
from vision.base.outputs import Forward
from vision.base.record import ImageArray
from vision.bundle.assembly import LoadedBundle, load_bundle
from vision.bundle.records import Contract
from vision.config.data import Resize
from vision.data.images import decode_image
from vision.data.quality import measure_quality
from vision.data.records import Box

pytestmark = [pytest.mark.slow, KERAS_WARNINGS]

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)


class Memory(PredictionLog):
    """A log that keeps entries in memory."""

    def __init__(self) -> None:
        super().__init__("sqlite:///never_made.sqlite")
        self.entries: list[LogEntry] = []

    def append(self, *entries: LogEntry) -> int:
        self.entries += entries
        return len(self.entries)

    def check(self) -> None:
        """It can always be written."""


def question(image: bytes, *, explain: bool = False, group: str | None = None) -> Question:
    return Question(
        image=image,
        file_name="a.png",
        client="team",
        group=group,
        explain=explain,
        arrived=time.perf_counter(),
    )


def logged(settings: ServiceSettings | None = None) -> tuple[Answerer, Memory]:
    memory, bundle = Memory(), make_bundle()
    model = ServedModel(name="toy", version="3", digest=bundle.digest)
    loaded = load_bundle(bundle.root, bundle.digest)
    log = LossyLog(memory, lambda: None)
    return Answerer(loaded, model, settings or ServiceSettings(), log, lambda: NOW), memory


@pytest.mark.parametrize(
    ("colour", "decision", "class_name"),
    [(RED, "accept", "red"), (GREEN, "accept", "green"), (GREY, "review", None), (BLACK, "unknown", None)],
)
def test_each_kind_of_image_gets_its_decision(
    colour: tuple[int, int, int], decision: str, class_name: str | None
) -> None:
    answer = make_answerer().answer(question(paint(colour)))
    assert answer.decision == decision
    assert class_name is None or answer.class_name == class_name
    assert answer.unknown.threshold == -5.0
    assert (answer.unknown.score > -5.0) == (decision == "unknown")
    assert answer.reasons
    assert answer.heat_map_png is None


def test_an_answer_is_that_of_the_predictor_on_the_decoded_image() -> None:
    raw = paint((200, 90, 30), "JPEG", (90, 50))
    bundle = load_bundle(make_bundle().root, make_bundle().digest)
    expected = bundle.predictor().predict(decode_image(raw, size=SIZE, resize=Resize.PAD)[None], 2)[0]
    answer = make_answerer(ServiceSettings(top_k=2)).answer(question(raw))
    assert [(each.class_name, each.probability) for each in answer.top_k] == list(expected.top_k)
    assert (answer.confidence, answer.unknown.score) == (expected.confidence, expected.unknown_score)
    assert (answer.unknown.p_value, answer.reasons) == (expected.p_value, expected.reasons)
    assert len(answer.top_k) == 2


def test_what_is_no_whole_image_is_not_logged() -> None:
    answerer, memory = logged()
    with pytest.raises(ProblemError):
        answerer.answer(question(paint(RED)[:60]))
    assert memory.entries == []


@pytest.mark.parametrize("colour", [RED, GREEN])
def test_a_heat_map_is_a_png_of_the_models_size_that_is_warm_where_the_class_is(
    colour: tuple[int, int, int],
) -> None:
    picture = np.zeros((SIZE, SIZE, 3), np.uint8)
    picture[:, : SIZE // 2] = colour
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG")
    answer = make_answerer().answer(question(buffer.getvalue(), explain=True))
    assert answer.heat_map_png is not None
    content = base64.b64decode(answer.heat_map_png, validate=True)
    shown = Image.open(io.BytesIO(content), formats=("PNG",))
    assert shown.size == (SIZE, SIZE)
    change = np.abs(np.asarray(shown.convert("RGB")).astype(int) - picture).sum(axis=2)
    assert change[:, : SIZE // 4].mean() > 100
    assert change[:, -SIZE // 4 :].max() == 0


def test_the_log_gets_what_was_answered_and_what_it_was_made_from() -> None:
    answerer, memory = logged()
    raw = paint(RED)
    answer = answerer.answer(question(raw, group="visit-7"))
    (entry,) = memory.entries
    image = decode_image(raw, size=SIZE, resize=Resize.PAD)[None]
    assert (entry.prediction_id, entry.time) == (answer.prediction_id, NOW)
    assert (entry.client, entry.file_name, entry.group) == ("team", "a.png", "visit-7")
    assert (entry.decision, entry.class_name, entry.confidence) == ("accept", "red", answer.confidence)
    assert (entry.unknown_score, entry.p_value) == (answer.unknown.score, answer.unknown.p_value)
    assert (entry.model_name, entry.model_version, entry.model_digest) == ("toy", "3", make_bundle().digest)
    assert entry.latency_ms == answer.latency_ms > 0
    assert_allclose(entry.embedding, [1, 0, 0], atol=1e-5)
    assert_allclose(entry.logits, [20, 0, 0], atol=1e-4)
    assert entry.logits.dtype == np.float32
    assert_array_equal(entry.quality, measure_quality(image)[0])
    assert entry.image is None


def test_images_are_logged_only_where_the_settings_say_so() -> None:
    answerer, memory = logged(ServiceSettings(keep_images=True))
    answerer.answer(question(paint(RED)))
    assert memory.entries[0].image == paint(RED)


def test_what_a_box_holds_is_cut_out_once_looked_at_and_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    bundle, memory = make_bundle(), Memory()
    cuts: list[bytes] = []
    loaded = load_bundle(bundle.root, bundle.digest)
    taught = replace(loaded, contract=loaded.contract.model_copy(update={"crop_margin": 0.0}))
    model = ServedModel(name="toy", version="3", digest=bundle.digest)
    answerer = Answerer(taught, model, ServiceSettings(keep_images=True), LossyLog(memory, lambda: None))

    def cut(contract: Contract, raw: bytes, given: Box, most: float) -> bytes:
        cuts.append(cut_to_box(contract, raw, given, most))
        return cuts[-1]

    monkeypatch.setattr(answers, "cut_to_box", cut)
    half = Image.new("RGB", (40, 40), BLACK)
    half.paste(RED, (0, 0, 20, 40))
    buffer = io.BytesIO()
    half.save(buffer, "PNG")
    answer = answerer.answer(replace(question(buffer.getvalue()), box=(0, 0, 20, 40)))
    assert answer.class_name == "red"
    assert [memory.entries[0].image] == cuts
    assert Image.open(io.BytesIO(cuts[0])).size == (20, 40)


def test_answers_to_the_check_of_a_deployment_are_given_and_not_logged() -> None:
    answerer, memory = logged()
    assert answerer.answer(replace(question(paint(RED)), client=CHECK_CLIENT)).class_name == "red"
    assert memory.entries == []
    answerer.answer(question(paint(RED)))
    assert [each.client for each in memory.entries] == ["team"]


def test_outputs_that_are_not_finite_are_no_answer() -> None:
    bundle = load_bundle(make_bundle().root, make_bundle().digest)

    class Broken:
        def forward(self, images: ImageArray) -> Forward:
            good = bundle.engine.forward(images)
            return good._replace(logits=np.full_like(good.logits, np.nan))

    broken = LoadedBundle(bundle.digest, bundle.contract, bundle.detector, Broken())  # type: ignore[arg-type]
    memory = Memory()
    model = ServedModel(name="toy", version="3", digest=bundle.digest)
    with pytest.raises(ProblemError) as caught:
        Answerer(broken, model, ServiceSettings(), LossyLog(memory, lambda: None)).answer(
            question(paint(RED))
        )
    assert (caught.value.status, caught.value.code, memory.entries) == (503, "model-failed", [])


def test_sixteen_threads_get_their_own_answers() -> None:
    answerer, memory = logged()
    colours = [(20 * i % 256, (90 + 70 * i) % 256, (200 + 110 * i) % 256) for i in range(64)]
    expected = [answerer.answer(question(paint(each))).confidence for each in colours]
    memory.entries.clear()
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda each: answerer.answer(question(paint(each))), colours))
    assert [each.confidence for each in answers] == expected
    by_id = {entry.prediction_id: entry for entry in memory.entries}
    assert [by_id[each.prediction_id].confidence for each in answers] == expected


def test_the_description_names_the_model_and_its_promises() -> None:
    description = make_answerer().describe()
    assert description.class_names == NAMES
    assert (description.name, description.version, description.precision) == ("toy", "3", "fp32")
    assert (description.unknown.alpha, description.unknown.threshold) == (0.05, -5.0)
    assert (description.review.target_risk, description.review.threshold) == (0.02, 0.8)
