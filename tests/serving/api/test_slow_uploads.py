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


def test_slow_uploads_give_their_places_away(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = ServiceSettings(max_in_flight=3)
    with serving_toy(settings=settings) as service:
        slow = [socket.create_connection(("127.0.0.1", service.serve.port)) for _ in range(3)]
        for each in slow:
            each.sendall(HEAD.format(key=KEY).encode())
        time.sleep(0.3)
        with pytest.raises(RefusedError) as caught:  # they have only just begun
            ask_service(service.url, KEY, paint(RED))
        assert caught.value.code == "busy"
        monkeypatch.setattr("serving.api.state.SLOW_SECONDS", 0.1)
        for _ in range(4):
            assert ask_service(service.url, KEY, paint(RED)).class_name == "red"
        slow[0].settimeout(10)
        assert b" 408 " in slow[0].recv(100)
        for each in slow:
            each.close()
