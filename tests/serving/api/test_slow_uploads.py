"""Slow uploads over real sockets: as many as there are places shut nobody out."""

from __future__ import annotations

import socket
import time

import pytest

from serving.api.settings import ServiceSettings
from serving.client import RefusedError, ask_service
from tests.serving.live import serving_toy
from tests.serving.toy import KEY, RED, paint
from tests.vision.training.nets.toy import KERAS_WARNINGS

pytestmark = [pytest.mark.slow, KERAS_WARNINGS]

HEAD = (
    "POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nX-API-Key: {key}\r\nContent-Length: 4000000\r\n"
    "Content-Type: multipart/form-data; boundary=b\r\n\r\n--b\r\n"
)


def is_busy(url: str) -> bool:
    """Whether a request is refused for want of a place."""
    try:
        ask_service(url, KEY, paint(RED))
    except RefusedError as error:
        return error.code == "busy"
    return False


def test_slow_uploads_give_their_places_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serving.api.state.SLOW_SECONDS", 60.0)
    settings = ServiceSettings(max_in_flight=3, body_seconds=120)
    with serving_toy(settings=settings) as service:
        assert ask_service(service.url, KEY, paint(RED)).class_name == "red"
        slow = [socket.create_connection(("127.0.0.1", service.serve.port)) for _ in range(3)]
        for each in slow:
            each.sendall(HEAD.format(key=KEY).encode())
        deadline = time.monotonic() + 60
        while not is_busy(service.url):
            assert time.monotonic() < deadline, "the uploads took no place"
        monkeypatch.setattr("serving.api.state.SLOW_SECONDS", 0.1)
        for _ in range(4):
            assert ask_service(service.url, KEY, paint(RED)).class_name == "red"
        slow[0].settimeout(10)
        assert b" 408 " in slow[0].recv(100)
        for each in slow:
            each.close()
