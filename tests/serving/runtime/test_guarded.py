"""What the environment lacks or has wrong leaves a service that is never ready and says why."""

from __future__ import annotations

from pathlib import Path

import pytest
from starlette.testclient import TestClient

from serving.runtime.guarded import guard_endpoints
from tests.serving.runtime.services import forget_keys
from tests.serving.toy import KEY, KEYS


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({}, "nobody could ask"),
        ({"TAXON_API_KEYS": "team:short"}, "key of team"),
        ({"TAXON_API_KEYS_FILE": "/no/keys"}, "/no/keys cannot be read"),
        ({"TAXON_API_KEYS": KEYS, "TAXON_THREADS": "many"}, "TAXON_THREADS"),
        ({"TAXON_API_KEYS": KEYS}, "not the checkout"),
    ],
)
def test_a_wrong_environment_is_never_ready_and_says_why(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, variables: dict[str, str], words: str
) -> None:
    forget_keys(monkeypatch)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    application, _ = guard_endpoints(lambda _: Path("nowhere"))
    with TestClient(application) as client:
        for _ in range(200):
            answer = client.get("/readyz", headers={"X-API-Key": KEY})
            if answer.json()["type"].endswith(":refused"):
                break
        assert (answer.status_code, answer.json()["type"].rpartition(":")[2]) == (503, "refused")
    assert words in caplog.text
