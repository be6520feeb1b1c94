"""POST /predict over HTTP: the documented form, and a refusal for everything else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from pillow_heif import register_heif_opener
from starlette.requests import Request
from starlette.testclient import TestClient

from serving.api.answering.state import ServiceState
from serving.api.endpoints.predict import predict as predict_endpoint
from serving.api.metrics import ServiceMetrics
from serving.api.problems import ProblemError
from serving.api.schemas import MAX_PICTURES, PredictionAnswer
from serving.api.settings import ServiceSettings
from tests.serving.api.client import (
    CHECK_KEY,
    WITH_KEY,
    Response,
    check_problem,
    load_toy,
    logged_toy,
    predict,
    read_metric,
    serve,
)
from tests.serving.toy import BLACK, BLUE, GREEN, KEY, RED, make_bomb, make_bundle, nobody_connects, paint
from tests.vision.training.nets.toy import KERAS_WARNINGS

pytestmark = [pytest.mark.slow, KERAS_WARNINGS]

FORM = {**WITH_KEY, "content-type": "multipart/form-data; boundary=b"}
IMAGE = ("image", ("a.png", paint(RED), "image/png"))


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    with serve() as client:
        yield client


def test_an_image_is_answered_in_the_documented_form(client: TestClient) -> None:
    response = predict(client, paint(RED), group="visit-7")
    assert response.status_code == 200
    body = response.json()
    assert set(body) == set(PredictionAnswer.model_fields) - {
        "heat_map_png",
        "unknown_kind",
        "pictures",
        "warning",
        "caution",
        "similar",
        "provisional",
    }
    assert (body["decision"], body["class_name"], body["set"]) == ("accept", "red", ["red"])
    assert body["top_k"][0] == {"class_name": "red", "probability": body["confidence"]}
    assert body["model"] == {"name": "toy", "version": "3", "digest": make_bundle().digest}
    unknown = predict(client, paint(BLACK)).json()
    assert (unknown["decision"], unknown["unknown_kind"]) == ("unknown", "look_alike")
    assert "set" not in unknown
    caution = "Do not rely on blue (2 of 9 right on test)."
    assert predict(client, paint(BLUE)).json()["caution"] == caution


@pytest.mark.parametrize("form", ["JPEG", "WEBP", "BMP", "GIF", "TIFF", "HEIF", "AVIF", "JPEG2000", "PPM"])
def test_every_format_that_is_read_is_answered(client: TestClient, form: str) -> None:
    register_heif_opener()  # so that Pillow can write it
    assert predict(client, paint(RED, form)).json()["class_name"] == "red"


def test_a_heat_map_comes_only_when_asked_for(client: TestClient) -> None:
    assert predict(client, paint(RED), "?explain=true").json()["heat_map_png"]
    assert "heat_map_png" not in predict(client, paint(RED), "?explain=false").json()
    for query in ("?explain=maybe", "?explain=true&explain=false", "?verbose=1"):
        check_problem(predict(client, paint(RED), query), 422, "query")


@pytest.mark.parametrize("content_type", ["image/png", "application/x-www-form-urlencoded", ""])
def test_another_content_type_is_415(client: TestClient, content_type: str) -> None:
    headers = {**WITH_KEY, "content-type": content_type}
    check_problem(client.post("/predict", content=paint(RED), headers=headers), 415, "content-type")


def test_a_url_where_the_image_belongs_is_refused_and_nobody_fetches_it(client: TestClient) -> None:
    with nobody_connects() as url:
        form = f'--b\r\nContent-Disposition: form-data; name="image"\r\n\r\n{url}\r\n--b--\r\n'
        body = check_problem(client.post("/predict", content=form, headers=FORM), 422, "form")
        assert "URLs are not fetched" in body["arrived"]
        check_problem(predict(client, url.encode()), 415, "image-format")
        check_problem(client.post("/predict", json={"image": url}, headers=WITH_KEY), 415, "content-type")
        check_problem(predict(client, paint(RED), f"?url={url}"), 422, "query")
        named = [("image", (url, paint(RED), "image/png"))]
        assert client.post("/predict", files=named, data={"group": url}, headers=WITH_KEY).status_code == 200


@pytest.mark.parametrize(
    ("files", "fields"),
    [
        ([("group2", ("", b""))], {"group": "g"}),
        ([IMAGE] * (MAX_PICTURES + 1), {}),
        ([IMAGE, ("image", (None, "http://127.0.0.1/"))], {}),
        ([("picture", IMAGE[1])], {}),
        ([IMAGE, ("group", ("g.txt", b"g", "text/plain"))], {}),
        ([IMAGE], {"threshold": "0.1"}),
        ([IMAGE], {"group": "g", "colour": "red"}),
        ([IMAGE], {"group": ["g", "h"]}),
        ([IMAGE, IMAGE], {"box": "0,0,1,1"}),
        ([IMAGE], {"group": "x" * 2000}),
        ([IMAGE], {"group": "🐟" * 256}),
    ],
)
def test_a_form_of_another_shape_is_422(client: TestClient, files: Any, fields: dict[str, str]) -> None:
    check_problem(client.post("/predict", files=files, data=fields, headers=WITH_KEY), 422, "form")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"--b--\r\n",
        b"--b\r\n\r\nx",
        b"\x00" * 100,
        b"--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--\r\n",
    ],
)
def test_a_broken_form_is_422(client: TestClient, content: bytes) -> None:
    for headers in (FORM, {**FORM, "content-type": "multipart/form-data"}):
        check_problem(client.post("/predict", content=content, headers=headers), 422, "form")


@pytest.mark.parametrize("group", ["a\x00b", "a\u202eb", "a\nb", "x" * 256])
def test_a_group_with_control_characters_or_too_long_is_422(client: TestClient, group: str) -> None:
    check_problem(predict(client, paint(RED), group=group), 422, "group")


@pytest.mark.parametrize("box", ["1,2,3", "a,b,c,d", "nan,0,5,5", "1,1,0,5", "1;2;3;4"])
def test_a_box_that_is_none_is_422(client: TestClient, box: str) -> None:
    files = {"image": paint(RED)}
    sent = client.post("/predict", files=files, data={"box": box}, headers=WITH_KEY)
    assert "curl -F box=" in check_problem(sent, 422, "box")["advice"]


def test_a_box_is_taken_beside_a_group_and_what_became_of_it_is_said(client: TestClient) -> None:
    fields = {"box": "0.1,0.1,0.5,0.5", "group": "visit-7"}
    body = client.post("/predict", files={"image": paint(RED)}, data=fields, headers=WITH_KEY).json()
    assert body["class_name"] == "red"
    assert "taught whole pictures" in body["warning"]


def post_form(client: TestClient, group: bytes, more: str = "", name: bytes = b"a.png") -> Response:
    """An upload, byte for byte, with `more` behind the boundary in Content-Type."""
    form = b'--b\r\nContent-Disposition: form-data; name="group"\r\n\r\n' + group
    form += b'\r\n--b\r\nContent-Disposition: form-data; name="image"; filename="' + name + b'"\r\n\r\n'
    headers = {
        b"x-api-key": KEY.encode(),
        b"content-type": f"multipart/form-data; boundary=b{more}".encode("latin-1"),
    }
    return client.post("/predict", content=form + paint(RED) + b"\r\n--b--\r\n", headers=headers)


def test_a_form_is_in_utf_8_or_422(client: TestClient) -> None:
    for more in ("", "; charset=utf-8", '; charset="UTF-8"', "; charset=utf8"):
        assert post_form(client, "Brücke".encode(), more).status_code == 200
    for charset in ("idna", "punycode", "utf-7", "latin-1", "utf-16", "rot13", "no-such", "", "\xe9"):
        check_problem(post_form(client, b"Bruecke", f"; charset={charset}"), 422, "form")
    refused = check_problem(post_form(client, "Brücke".encode("latin-1")), 422, "form")
    assert "UTF-8" in refused["arrived"]
    assert post_form(client, b"", name="Brücke.png".encode("latin-1")).status_code == 200


@pytest.mark.parametrize(
    ("name", "content", "status", "words"),
    [
        ("icon.jpg", paint(RED, "ICO"), 415, "format ICO"),
        ("svg.jpg", b"<svg xmlns='http://www.w3.org/2000/svg'/>", 415, "SVG drawing"),
        ("text.jpg", b"https://fish.example/a.jpg", 415, "begins with"),
        ("empty.jpg", b"", 422, "The file is empty; expected a whole image. Copy it again."),
        ("a.x3f", b"FOVb" + bytes(99), 415, "raw file"),
        ("truncated.png", paint(RED)[:60], 422, "cut short"),
        ("truncated.jpg", paint(RED, "JPEG", (200, 200))[:-300], 422, "cut short"),
        ("corrupt.png", paint(RED)[:50] + bytes(200), 422, "damaged"),
        ("corrupt.jpg", b"\xff\xd8\xff" + bytes(500), 422, "damaged"),
        ("bomb.png", make_bomb(), 422, "900.0 megapixels; expected at most 40"),
    ],
)
def test_what_is_no_whole_image_is_refused_whatever_its_name_and_harms_no_other(
    client: TestClient, name: str, content: bytes, status: int, words: str
) -> None:
    response = client.post("/predict", files=[("image", (name, content, "image/jpeg"))], headers=WITH_KEY)
    code = "image-format" if status == 415 else "image-unusable"
    assert words in check_problem(response, status, code)["detail"]
    wrongly_named = [("image", ("green.gif", paint(GREEN, "JPEG"), "image/gif"))]
    answer = client.post("/predict", files=wrongly_named, headers=WITH_KEY).json()
    assert answer["class_name"] == "green"


def test_a_chunked_body_past_the_limit_is_413(client: TestClient) -> None:
    def pieces() -> Iterator[bytes]:
        yield b'--b\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n'
        for _ in range(100):
            yield b"\0" * 100_000

    check_problem(client.post("/predict", content=pieces(), headers=FORM), 413, "too-large")
    check_problem(predict(client, b"\0" * 5_000_001), 413, "too-large")


def test_a_body_that_does_not_come_is_408() -> None:
    async def receive() -> dict[str, Any]:
        await anyio.sleep(60)
        return {"type": "http.disconnect"}

    async def ask() -> None:
        state = ServiceState(ServiceSettings(body_seconds=0.05), ServiceMetrics(), load_toy)
        state.load()
        headers = [(b"content-type", b"multipart/form-data; boundary=b")]
        scope = {
            "state": {"client": "team"},
            "type": "http",
            "method": "POST",
            "path": "/predict",
            "headers": headers,
            "query_string": b"",
        }
        await predict_endpoint(state, Request(scope, receive))

    with pytest.raises(ProblemError) as caught:
        anyio.run(ask)
    assert (caught.value.status, caught.value.code) == (408, "too-slow")


def test_answers_are_counted_by_decision_and_in_seconds_but_for_a_deployments_check(
    client: TestClient,
) -> None:
    def read() -> list[float]:
        names = ('decisions_total{decision="accept"}', "latency_seconds_count", "latency_seconds_sum")
        return [read_metric(client, f"taxon_{name}") for name in names]

    before = read()
    files = {"image": ("fish.png", paint(GREEN), "image/png")}
    checked = client.post("/predict", files=files, headers={"X-API-Key": CHECK_KEY})
    assert (checked.json()["decision"], read()) == ("accept", before)
    answer = predict(client, paint(GREEN)).json()
    more = [after - each for after, each in zip(read(), before, strict=True)]
    assert more == pytest.approx([1, 1, answer["latency_ms"] / 1000], rel=1e-3)
    assert read_metric(client, "taxon_log_entries_lost_total") == 0


def test_the_series_tell_kinds_stages_and_the_model_and_are_a_fixed_set(tmp_path: Path) -> None:
    def names(client: TestClient) -> set[str]:
        lines = client.get("/metrics").text.splitlines()
        return {line.split()[0] for line in lines if line[0] != "#" and "taxon_re" not in line}

    with serve(load=logged_toy(tmp_path / "log.sqlite")) as client:
        before = names(client)
        for number in range(3):
            assert predict(client, paint(BLACK), group=f"group-{number}").status_code == 200
        assert names(client) == before
        assert read_metric(client, 'taxon_unknown_total{kind="look_alike"}') == 3
        for stage in ("receive", "wait", "decode", "network", "log"):
            assert read_metric(client, f'taxon_stage_seconds_count{{stage="{stage}"}}') == 3
        digest = make_bundle().digest
        info = f'taxon_model_info{{digest="{digest}",name="toy",version="3"}}'
        assert read_metric(client, info) == 1
        assert read_metric(client, 'taxon_requests_total{path="/predict",status="200"}') == 3
