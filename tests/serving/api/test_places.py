"""Where all places for requests are taken, a slow upload gives its own away, and a fresh one does not."""

from __future__ import annotations

import asyncio

import pytest

from serving.api.metrics import ServiceMetrics
from serving.api.problems import ProblemError
from serving.api.settings import ServiceSettings
from serving.api.state import ServiceState


async def send_slowly(state: ServiceState, client: str) -> None:
    with state.admission(client):
        async with state.receiving(client, 15.0):
            await asyncio.sleep(60)


async def compete(state: ServiceState) -> str:
    """What becomes of an upload when another client wants its place: the code of its refusal."""
    upload = asyncio.create_task(send_slowly(state, "slow"))
    await asyncio.sleep(0)
    try:
        with state.admission("other"), pytest.raises(ProblemError) as caught:
            await upload
        return caught.value.code
    finally:
        upload.cancel()


@pytest.fixture
def state() -> ServiceState:
    def load(*_: object) -> None:
        raise AssertionError("no model is needed")

    return ServiceState(ServiceSettings(max_in_flight=1), ServiceMetrics(), load)  # type: ignore[arg-type]


def test_a_slow_upload_gives_its_place_away(state: ServiceState, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serving.api.state.SLOW_SECONDS", 0.0)
    assert asyncio.run(compete(state)) == "too-slow"


def test_an_upload_that_has_just_begun_keeps_its_place(state: ServiceState) -> None:
    with pytest.raises(ProblemError) as caught:
        asyncio.run(compete(state))
    assert caught.value.code == "busy"
