"""POST /corrections over HTTP: what was said is in the log with who said it; all else is a refusal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from serving.log.corrections import list_corrected
from serving.log.prediction_log import PredictionLog
from tests.serving.api.client import WITH_KEY, Response, check_problem, logged_toy, predict, serve
from tests.serving.toy import BLACK, KEY, OTHER_KEY, RED, paint
from tests.vision.training.nets.toy import KERAS_WARNINGS
from vision.decision.records import UnknownKind

pytestmark = [pytest.mark.slow, KERAS_WARNINGS]


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("log") / "log.sqlite"


@pytest.fixture(scope="module")
def client(path: Path) -> Iterator[TestClient]:
    with serve(load=logged_toy(path)) as made:
        yield made


def correct(client: TestClient, key: str = KEY, **fields: str) -> Response:
    files = {name: (None, text) for name, text in fields.items()}
    return client.post("/corrections", files=files, headers={"X-API-Key": key})


def test_a_correction_is_kept_with_the_name_of_its_key(client: TestClient, path: Path) -> None:
    answered = predict(client, paint(BLACK)).json()["prediction_id"]
    told = correct(client, OTHER_KEY, prediction_id=answered, class_name=" Äsche ")
    assert told.status_code == 200
    assert (told.json()["class_name"], told.json()["corrected_by"]) == ("Äsche", "other")
    with closing(PredictionLog(f"sqlite:///{path}", create=False)) as log:
        (kept,) = (each.correction for each in list_corrected(log))
        (entry,) = log.read_newest(predict(client, paint(RED)).json()["model"]["digest"], 9)[:1]
    assert (kept.prediction_id, kept.client, kept.class_name) == (answered, "other", "Äsche")
    assert entry.unknown_kind is UnknownKind.LOOK_ALIKE


def test_an_answer_that_is_not_in_the_log_is_404(client: TestClient) -> None:
    check_problem(correct(client, prediction_id="0" * 32, class_name="red"), 404, "no-such-answer")


@pytest.mark.parametrize(
    "fields",
    [
        {"prediction_id": "a"},
        {"prediction_id": "a", "class_name": " "},
        {"prediction_id": "a", "class_name": "x" * 256},
        {"prediction_id": "a", "class_name": "a\u202eb"},
        {"prediction_id": "a", "class_name": "b", "note": "c"},
    ],
)
def test_another_form_is_422(client: TestClient, fields: dict[str, str]) -> None:
    check_problem(correct(client, **fields), 422, "form")


def test_a_file_is_422(client: TestClient) -> None:
    files = {"prediction_id": (None, "a"), "class_name": ("a.png", paint(RED))}
    check_problem(client.post("/corrections", files=files, headers=WITH_KEY), 422, "form")


def test_without_a_log_nothing_can_be_corrected() -> None:
    with serve() as client:
        check_problem(correct(client, prediction_id="a", class_name="red"), 503, "not-logged")
