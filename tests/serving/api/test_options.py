"""How pictures may be looked at: in several views, as JPEG, several of one individual, and as a heat map."""

from __future__ import annotations

import base64
import io
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from serving.api.answering.answers import DRAWN_SIZE
from serving.api.answering.several import combine
from tests.serving.api.client import (
    WITH_KEY,
    Response,
    check_problem,
    logged_toy,
    pack,
    predict,
    read_metric,
    serve,
)
from tests.serving.toy import BLACK, GREEN, GREY, RED, SIZE, make_answerer, make_bundle, paint
from tests.vision.training.nets.toy import KERAS_WARNINGS
from vision.base.outputs import Forward
from vision.decision.predictor import Decisions, Inference, decide_scored
from vision.decision.records import Decision
from vision.prediction.engines import Engines, Wanted
from vision.prediction.items import Item, Made

pytestmark = [pytest.mark.slow, KERAS_WARNINGS]


def half(side: str) -> bytes:
    """A picture that is red at one side alone, so that a shifted view has more or less of it."""
    pixels = np.full((40, 40, 3), 90, np.uint8)
    columns = slice(0, 3) if side == "left" else slice(20, 40)
    pixels[:, columns] = (255, 60, 60)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize("picture", [half("left"), half("right"), paint(RED), paint(BLACK), paint(GREY)])
def test_with_views_it_answers_as_predict_does_on_the_command_line(
    client: TestClient, picture: bytes, tmp_path: Path
) -> None:
    bundle = make_bundle()
    engines = Engines(bundle.root, bundle.digest, Wanted(top_k=5, views=4), tmp_path)
    given = next(engines.answer([Item("a.png", Made(lambda: picture))]))[0].row.prediction
    assert given is not None
    row = client.post(
        "/predict_batch?tta=4", files={"archive": ("a.zip", pack({"a.png": picture}))}, headers=WITH_KEY
    ).json()
    for answer in (predict(client, picture, "?tta=4").json(), row["answer"]):
        assert (answer["decision"], answer["class_name"], tuple(answer["reasons"])) == (
            given.decision,
            given.class_name,
            given.reasons,
        )
        assert answer["confidence"] == pytest.approx(given.confidence, abs=1e-6)


@pytest.mark.parametrize("query", ["?tta=0", "?tta=9", "?tta=two", "?tta=2&tta=2", "?reencode=perhaps"])
def test_other_options_are_422_and_say_what_there_is(client: TestClient, query: str) -> None:
    body = check_problem(predict(client, paint(RED), query), 422, "query")
    assert ("views of each image" in body["expected"]) == ("tta" in query)


def test_reencoded_is_the_picture_as_a_jpeg_of_the_models_size_and_says_so(client: TestClient) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 3), np.uint8)
    noise[..., 0] = np.maximum(noise[..., 0], 200)
    png, jpeg = io.BytesIO(), io.BytesIO()
    Image.fromarray(noise).save(png, "PNG")
    Image.fromarray(noise).save(jpeg, "JPEG", quality=75)
    plain, again, asked = (
        predict(client, content, query).json()
        for content, query in (
            (png.getvalue(), ""),
            (jpeg.getvalue(), ""),
            (png.getvalue(), "?reencode=true"),
        )
    )
    assert asked["unknown"]["score"] == pytest.approx(again["unknown"]["score"], rel=1e-5)
    assert asked["unknown"]["score"] != pytest.approx(plain["unknown"]["score"], rel=1e-5)
    assert "JPEG" in asked["reasons"][-1]


def send(client: TestClient, *pictures: bytes, **fields: str) -> Response:
    files = [("image", (f"{number}.png", each, "image/png")) for number, each in enumerate(pictures)]
    return client.post("/predict", files=files, data=fields, headers=WITH_KEY)


def probabilities(answer: dict[str, Any]) -> np.ndarray[Any, Any]:
    told = {each["class_name"]: each["probability"] for each in answer["top_k"]}
    return np.array([told[name] for name in ("red", "green", "blue")])


def test_several_pictures_are_the_mean_of_their_log_probabilities_and_each_ones_answer(
    client: TestClient,
) -> None:
    pictures = (paint((255, 120, 0)), paint((200, 190, 0)), paint(GREEN))
    answer = send(client, *pictures).json()
    alone = [predict(client, each).json() for each in pictures]
    assert [each["confidence"] for each in answer["pictures"]] == [each["confidence"] for each in alone]
    expected = np.exp(np.mean([np.log(probabilities(each)) for each in alone], axis=0))
    np.testing.assert_allclose(probabilities(answer), expected / expected.sum(), rtol=1e-4)
    assert "3 pictures" in answer["reasons"][-1]
    assert answer["unknown"]["score"] == pytest.approx(np.mean([each["unknown"]["score"] for each in alone]))


def test_each_of_several_is_logged_by_itself_in_one_group_and_corrected_by_its_own_id(tmp_path: Path) -> None:
    with serve(load=logged_toy(tmp_path / "log.sqlite")) as client:
        check_problem(send(client, paint(RED), b"no picture"), 415, "image-format")
        answer = send(client, paint(RED), paint(RED)).json()
        assert read_metric(client, 'taxon_decisions_total{decision="accept"}') == 2
        for name, status in ((answer["prediction_id"], 404), (answer["pictures"][1]["prediction_id"], 200)):
            texts = {"prediction_id": (None, name), "class_name": (None, "green")}
            assert client.post("/corrections", files=texts, headers=WITH_KEY).status_code == status
    with closing(sqlite3.connect(tmp_path / "log.sqlite")) as log:
        groups = log.execute("SELECT group_name FROM predictions").fetchall()
    assert groups == [(answer["prediction_id"],)] * 2


def found(logits: list[float], score: float, *, strange: bool = False) -> Inference:
    """What was found of one picture."""
    rule = make_answerer()._predictor.rule
    given = np.array([logits], np.float32)
    decisions: Decisions = decide_scored(rule, given, np.array([score]))
    forward = Forward(given, given, None, None)
    return Inference(forward, given, replace(decisions, strangers=np.array([strange])))


def test_pictures_of_another_kind_are_left_out_unless_all_are() -> None:
    rule = make_answerer()._predictor.rule
    fish, wall = found([20, 0, 0], -20.0), found([0, 0, 30], 90.0, strange=True)
    told = combine(rule, [fish, wall, fish], 3)
    assert (told.decision, told.class_name) == (Decision.ACCEPT, "red")
    assert "of 2 pictures" in told.reasons[-1]
    assert "left out" in told.reasons[-1]
    assert "of 1 picture;" in combine(rule, [fish, wall], 3).reasons[-1]
    assert combine(rule, [wall, wall], 3).decision is Decision.UNKNOWN
    assert combine(rule, [fish, found([0, 9, 0], 90.0)], 3).decision is Decision.UNKNOWN


def test_explain_draws_what_predict_draws_and_logs_nothing(client: TestClient) -> None:
    before = read_metric(client, 'taxon_decisions_total{decision="accept"}')
    files = {"image": ("a.png", half("right"), "image/png")}
    drawn = client.post("/explain", files=files, headers=WITH_KEY)
    assert (drawn.status_code, drawn.headers["content-type"]) == (200, "image/png")
    large = Image.open(io.BytesIO(drawn.content))
    assert large.size == (DRAWN_SIZE, DRAWN_SIZE)
    assert read_metric(client, 'taxon_decisions_total{decision="accept"}') == before
    told = predict(client, half("right"), "?explain=true").json()
    small = np.asarray(Image.open(io.BytesIO(base64.b64decode(told["heat_map_png"]))), float)
    assert np.abs(np.asarray(large.resize((SIZE, SIZE)), float) - small).mean() < 8
    check_problem(
        client.post("/explain", files={"image": ("a", b"x")}, headers=WITH_KEY), 415, "image-format"
    )
    check_problem(client.post("/explain", files={"other": ("a", b"x")}, headers=WITH_KEY), 422, "form")
