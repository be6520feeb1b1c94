"""Where all places for requests are taken, a slow upload gives its own away, and a fresh one does not."""

from __future__ import annotations

import asyncio
import socket
import time
from urllib.parse import urlsplit

import pytest

from serving.api.answering.state import ServiceState
from serving.api.metrics import ServiceMetrics
from serving.api.problems import ProblemError
from serving.api.settings import ServiceSettings
from tests.serving.live import serving_toy
from tests.serving.toy import KEY


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
    monkeypatch.setattr("serving.api.answering.state.SLOW_SECONDS", 0.0)
    assert asyncio.run(compete(state)) == "too-slow"


def test_an_upload_that_has_just_begun_keeps_its_place(state: ServiceState) -> None:
    with pytest.raises(ProblemError) as caught:
        asyncio.run(compete(state))
    assert caught.value.code == "busy"


def test_who_sends_all_before_reading_is_told_of_its_time_too() -> None:
    start = '--x\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n\r\n'
    head = (
        f"POST /predict HTTP/1.1\r\nHost: localhost\r\nX-API-Key: {KEY}\r\n"
        f"Content-Length: {len(start) + 30}\r\nContent-Type: multipart/form-data; boundary=x\r\n\r\n"
    )
    with serving_toy(settings=ServiceSettings(body_seconds=1.0)) as service:
        url = urlsplit(service.url)
        with socket.create_connection((url.hostname, url.port), timeout=20) as connection:
            connection.sendall((head + start).encode())
            for _ in range(30):
                connection.sendall(b"-")
                time.sleep(0.06)
            assert connection.recv(65_536).startswith(b"HTTP/1.1 408")
