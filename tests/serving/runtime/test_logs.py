"""A line for every start, stop and refusal, in words or in JSON, and nothing secret in it."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest

from serving.api.keys import KeyScope
from serving.runtime.logs import LOGS_VARIABLE, set_up_logs
from tests.serving.api.client import SCOPED_KEYS, predict, serve
from tests.serving.toy import KEY, RED, paint
from tests.vision.training.nets.toy import KERAS_WARNINGS

pytestmark = [pytest.mark.slow, KERAS_WARNINGS]


@pytest.fixture(autouse=True)
def _put_back() -> Iterator[None]:
    logger = logging.getLogger("taxon")
    before = logger.handlers, logger.propagate, logger.level
    yield
    logger.handlers, logger.propagate, logger.level = before


def visit() -> None:
    """Start, be refused in three ways, stop."""
    with serve() as client:
        predict(client, b"no picture")
        client.get("/somewhere/secret%0Arefused", headers={"X-API-Key": KEY})
        client.post("/predict", headers={"X-API-Key": "guessed-guessed-guessed"})
        client.get("/metrics", headers={"X-API-Key": SCOPED_KEYS[KeyScope.PREDICT]})
        predict(client, paint(RED))


def test_as_json_each_line_is_an_object_with_who_was_refused_what(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(LOGS_VARIABLE, "json")
    set_up_logs("taxon")
    visit()
    try:
        raise KeyError("x")  # noqa: TRY301
    except KeyError:
        logging.getLogger("taxon.serving").exception("A fault")
    said = capsys.readouterr().err
    lines = [json.loads(line) for line in said.splitlines()]
    assert [each["event"] for each in lines] == ["ready", *["refused"] * 4, "stopped", "A fault"]
    assert (lines[0]["model_name"], lines[0]["model_version"]) == ("toy", "3")
    told = [tuple(each[name] for name in ("code", "status", "path", "client")) for each in lines[1:5]]
    assert told == [
        ("image-format", 415, "/predict", "team"),
        ("no-such-path", 404, "other", None),
        ("no-key", 401, "/predict", None),
        ("scope", 403, "/metrics", "only-predict"),
    ]
    assert "KeyError" in lines[6]["exception"]
    assert all(each["timestamp"].endswith("Z") and each["level"] for each in lines)
    for secret in (KEY, "guessed", "secret"):
        assert secret not in said


def test_in_words_each_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logs("taxon")
    visit()
    lines = capsys.readouterr().err.splitlines()
    assert [("refused" in each, "415" in each) for each in lines[:2]] == [(False, False), (True, True)]
    assert len(lines) == 6
