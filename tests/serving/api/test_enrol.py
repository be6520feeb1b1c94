"""POST /enrol: a new class is answered at once, marked, kept, forgotten, and refused where it is none."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from serving.api.requests.rates import RateLimits
from serving.api.settings import ServiceSettings
from serving.log.enrolments import forget_class, list_enrolments
from serving.log.prediction_log import PredictionLog
from tests.serving.api.client import logged_toy, serve
from tests.serving.toy import GREEN, KEY, RED, paint
from tests.vision.training.nets.toy import KERAS_WARNINGS

pytestmark = [pytest.mark.slow, KERAS_WARNINGS]
HEADERS = {"X-API-Key": KEY}
YELLOWS = [paint((240, 230 + number, 5)) for number in range(6)]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log.sqlite"


@pytest.fixture
def client(log: Path) -> Iterator[TestClient]:
    with serve(load=logged_toy(log)) as made:
        yield made


def send(client: TestClient, name: str, images: list[bytes]) -> tuple[int, dict[str, object]]:
    files = [("image", (f"{number}.png", image)) for number, image in enumerate(images)]
    answer = client.post("/enrol", headers=HEADERS, data={"class_name": name}, files=files)
    return answer.status_code, answer.json()


def predict(client: TestClient, image: bytes) -> dict[str, object]:
    answer: dict[str, object] = client.post("/predict", headers=HEADERS, files={"image": image}).json()
    return answer


def test_five_pictures_make_a_class_that_is_told_beside_an_unchanged_decision(
    client: TestClient, log: Path
) -> None:
    before = predict(client, YELLOWS[5])
    status, made = send(client, "yellow", YELLOWS[:5])
    assert (status, made["num_images"], made["num_recognised"]) == (200, 5, 5)
    after = predict(client, YELLOWS[5])
    told = after["provisional"]
    assert isinstance(told, dict)
    assert told["class_name"] == "yellow"
    assert told["similarity"] > told["threshold"]
    assert (after["decision"], after["class_name"]) == (before["decision"], before["class_name"])
    assert "provisional" not in predict(client, paint(GREEN))
    with serve(load=logged_toy(log)) as again:  # another worker, or the same after a start
        assert predict(again, YELLOWS[5])["provisional"] == told


def test_a_class_that_is_forgotten_goes_with_its_pictures(
    client: TestClient, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    send(client, "yellow", YELLOWS[:5])
    with closing(PredictionLog(f"sqlite:///{log}")) as kept:
        (stored,) = list_enrolments(kept, "toy")
        assert [image for _, image in stored.images] == YELLOWS[:5]
        assert forget_class(kept, "toy", "yellow") == 1
        assert list_enrolments(kept, "toy") == []
    with serve(load=logged_toy(log)) as again:
        assert "provisional" not in predict(again, YELLOWS[5])


@pytest.mark.parametrize(
    ("name", "images"),
    [
        ("yellow", YELLOWS[:4]),
        ("yellow", [YELLOWS[0]] * 5),
        ("red", YELLOWS[:5]),
        ("mixed", [paint(RED), paint(GREEN), paint((0, 0, 255)), YELLOWS[0], paint((90, 90, 90))]),
    ],
    ids=["four", "one five times", "a known class", "no class at all"],
)
def test_what_is_no_new_class_is_refused_and_not_kept(
    client: TestClient, log: Path, name: str, images: list[bytes]
) -> None:
    status, told = send(client, name, images)
    assert (status, str(told["type"]).rpartition(":")[2]) == (422, "not-told-apart")
    predict(client, paint(RED))  # makes the log
    with closing(PredictionLog(f"sqlite:///{log}")) as kept:
        assert list_enrolments(kept, "toy") == []


@pytest.mark.parametrize("name", ["../far", "..", "a/b", "a\\b", "", "x" * 300])
def test_a_name_that_could_lead_out_of_a_folder_is_refused(client: TestClient, name: str) -> None:
    status, told = send(client, name, YELLOWS[:5])
    assert (status, str(told["type"]).rpartition(":")[2]) == (422, "form")


def test_a_file_that_is_no_picture_is_refused(client: TestClient) -> None:
    status, told = send(client, "yellow", [*YELLOWS[:4], b"no picture"])
    assert (status, str(told["type"]).rpartition(":")[2]) == (415, "image-format")


def test_pictures_of_new_classes_are_bounded_in_all_and_count_among_those_of_a_minute(log: Path) -> None:
    limits = RateLimits(ServiceSettings(rate_limit="none", predict_rate_limit="4/minute"))
    with serve(ServiceSettings(max_enrolled_images=6), logged_toy(log), rates=limits) as client:
        assert send(client, "yellow", YELLOWS[:5])[0] == 200
        status, body = send(client, "yellow", [paint((250, 250, number)) for number in range(2)])
        assert (status, body["type"]) == (409, "urn:taxon:problem:enrolled-enough")
        assert send(client, "yellow", YELLOWS[5:])[1]["num_images"] == 6
        assert [send(client, "yellow", YELLOWS[5:])[0] for _ in range(2)] == [409, 429]
