"""What every endpoint promises, asked of each: access, its answer's schema, its refusals, its example."""

from __future__ import annotations

import itertools
import re
import shlex
from typing import Any

import pytest
from starlette.testclient import TestClient

from serving.api.endpoint import Access, Endpoint
from serving.api.endpoints import ENDPOINTS
from serving.api.openapi import describe_api
from serving.api.page import render_page
from serving.api.problems import MEDIA_TYPE, PROBLEMS
from tests.serving.api.client import SCOPED_KEYS, pack, predict
from tests.serving.toy import KEY, RED, paint
from tests.vision.training.nets.toy import KERAS_WARNINGS

pytestmark = [pytest.mark.slow, KERAS_WARNINGS]

EACH = pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda each: each.path)
DOCUMENT = describe_api(ENDPOINTS)


def told(endpoint: Endpoint) -> dict[str, Any]:
    """What the document says of an endpoint."""
    described: dict[str, Any] = DOCUMENT["paths"][endpoint.path][endpoint.methods[0].lower()]
    return described


def ask(client: TestClient, example: str) -> Any:
    """Do what a documented curl line says."""
    if "$ID" in example:
        example = example.replace("$ID", predict(client, paint(RED)).json()["prediction_id"])
    words = shlex.split(example.replace("$KEY", KEY).replace("$URL", str(client.base_url)))
    options = [(flag, value) for flag, value in itertools.pairwise(words) if flag in ("-H", "-F")]
    headers = dict(re.split(r": ", value, maxsplit=1) for flag, value in options if flag == "-H")
    fields = [value.split("=", 1) for flag, value in options if flag == "-F"]
    files = [(name, _make_part(value)) for name, value in fields]
    method = "POST" if fields else "GET"
    return client.request(method, words[-1], headers=headers, files=files or None)


def _make_part(value: str) -> tuple[str | None, bytes | str]:
    if not value.startswith("@"):
        return None, value
    if value[1].isdigit():  # one of several of a class that the toy does not know
        return value[1:], paint((240, 230 + int(value[1]), 5))
    return value[1:], pack({"a.png": paint(RED)}) if value.endswith(".zip") else paint(RED)


@EACH
def test_the_documented_example_works_and_the_answer_keeps_to_its_schema(
    client: TestClient, endpoint: Endpoint
) -> None:
    answer = ask(client, endpoint.example)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].partition(";")[0] in endpoint.media_type
    if endpoint.answer is not None:
        endpoint.answer.model_validate_json(answer.content)


@EACH
def test_no_answer_is_kept_by_a_browser_or_run_by_it(client: TestClient, endpoint: Endpoint) -> None:
    for answer in (ask(client, endpoint.example), client.request("DELETE", endpoint.path)):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["content-security-policy"].startswith("default-src 'none'")
        assert "server" not in answer.headers


@EACH
def test_a_key_is_asked_for_as_declared(client: TestClient, endpoint: Endpoint) -> None:
    answer = client.request(endpoint.methods[0], endpoint.path, headers={"X-Forwarded-For": "192.0.2.1"})
    assert (answer.status_code == 401) == (endpoint.access is not Access.OPEN)
    assert ("security" in told(endpoint)) == (endpoint.access is not Access.OPEN)


@EACH
def test_a_key_for_something_else_is_403_and_learns_no_more(client: TestClient, endpoint: Endpoint) -> None:
    for scope, key in SCOPED_KEYS.items():
        answer = client.request(endpoint.methods[0], endpoint.path, headers={"X-API-Key": key})
        assert (answer.status_code == 403) == (endpoint.scope not in (None, scope))
        if answer.status_code == 403:
            assert scope not in answer.text
    assert ("403" in told(endpoint)["responses"]) == (endpoint.scope is not None)


@EACH
def test_refusals_are_problems_that_the_document_lists(client: TestClient, endpoint: Endpoint) -> None:
    wrong = client.request("DELETE", endpoint.path)
    assert (wrong.status_code, wrong.headers["content-type"]) == (405, MEDIA_TYPE)
    assert wrong.json()["type"].rpartition(":")[2] in told(endpoint)["responses"]["405"]["description"]
    for code in endpoint.problems:
        assert f"`{code}`" in told(endpoint)["responses"][str(PROBLEMS[code][0].value)]["description"]


def test_every_problem_is_documented_somewhere_and_every_reference_leads_somewhere() -> None:
    text = str(DOCUMENT)
    assert {code for code in PROBLEMS if f"`{code}`" not in text} == {"no-such-path"}
    assert DOCUMENT["openapi"].startswith("3.1")
    for name in re.findall(r"#/components/schemas/(\w+)", text):
        assert name in DOCUMENT["components"]["schemas"]


def test_the_page_names_every_path_and_escapes_what_it_shows() -> None:
    page = render_page(DOCUMENT)
    for endpoint in ENDPOINTS:
        assert endpoint.path in page
    assert "<script" not in page
    changed = {**DOCUMENT, "info": {"title": "<script>", "version": "1", "description": "<b>`x<y`"}}
    assert "&lt;script&gt;" in render_page(changed)
    assert "<code>x&lt;y</code>" in render_page(changed)


def test_what_takes_pictures_counts_among_those_of_a_minute() -> None:
    counted = {each.path for each in ENDPOINTS if each.about_pictures}
    assert counted == {"/predict", "/predict_batch", "/explain", "/similar", "/enrol"}
    refusals = [str(told(each)["responses"]) for each in ENDPOINTS if each.about_pictures]
    assert all("`busy`" in each and "`too-slow`" in each for each in refusals)
