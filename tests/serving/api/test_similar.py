"""POST /similar and similar=N of POST /predict: the nearest known images, with class and picture."""

from __future__ import annotations

import base64
import io

import pytest
from PIL import Image
from starlette.testclient import TestClient

from tests.serving.toy import GREEN, KEY, RED, paint
from tests.vision.training.nets.toy import KERAS_WARNINGS

pytestmark = [pytest.mark.slow, KERAS_WARNINGS]
HEADERS = {"X-API-Key": KEY}


def test_the_nearest_known_images_come_first_with_their_pictures(client: TestClient) -> None:
    told = client.post("/similar?number=3", headers=HEADERS, files={"image": paint(GREEN)}).json()["similar"]
    assert told[0]["path"] == "green/1.png"
    assert [each["class_name"] for each in told] == ["green"] * 3
    assert [each["same"] for each in told] == [True, False, False]
    assert told[0]["similarity"] > told[1]["similarity"] >= told[2]["similarity"]
    with Image.open(io.BytesIO(base64.b64decode(told[0]["picture_jpeg"]))) as picture:
        assert picture.convert("RGB").getpixel((5, 5))[1] > 200  # type: ignore[index]


def test_predict_tells_them_where_they_are_asked_for(client: TestClient) -> None:
    files = {"image": paint(RED)}
    plain = client.post("/predict", headers=HEADERS, files=files).json()
    asked = client.post("/predict?similar=1", headers=HEADERS, files=files).json()
    assert "similar" not in plain
    assert [each["class_name"] for each in asked["similar"]] == ["red"]
    assert asked["decision"] == plain["decision"]


@pytest.mark.parametrize("query", ["number=0", "number=21", "number=many", "n=3"])
def test_another_number_is_refused(client: TestClient, query: str) -> None:
    answer = client.post(f"/similar?{query}", headers=HEADERS, files={"image": paint(RED)})
    assert (answer.status_code, answer.json()["type"].rpartition(":")[2]) == (422, "query")
