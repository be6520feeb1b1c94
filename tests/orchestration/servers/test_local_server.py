"""The guard before a local web server, and the port's errors."""

import asyncio
import socket
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import pytest

from orchestration.servers.local_server import LocalOnly, refuse_taken_port
from vision.base.errors import ConfigError
from vision.base.lock import RunLock

Message = MutableMapping[str, Any]


def answer(headers: list[tuple[bytes, bytes]], kind: str = "http") -> list[Message]:
    """What the guard on port 8237 sends; the application behind it sends `inside`."""
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {}

    async def inside(_scope: Message, _receive: Any, send: Any) -> None:
        await send({"type": "inside"})

    asyncio.run(LocalOnly(inside, 8237)({"type": kind, "headers": headers}, receive, send))
    return sent


@pytest.mark.parametrize(
    "headers",
    [
        [(b"host", b"127.0.0.1:8237")],
        [(b"host", b"LOCALHOST:8237")],
        [(b"host", b"localhost:8237"), (b"origin", b"http://127.0.0.1:8237")],
    ],
)
def test_own_requests_pass(headers: list[tuple[bytes, bytes]]) -> None:
    assert answer(headers) == [{"type": "inside"}]


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [(b"host", b"evil.example:8237")],
        [(b"host", b"127.0.0.1:8238")],
        [(b"host", b"127.0.0.1:8237"), (b"host", b"evil.example")],
        [(b"host", b"127.0.0.1:8237"), (b"origin", b"https://127.0.0.1:8237")],
        [(b"host", b"127.0.0.1:8237"), (b"origin", b"http://127.0.0.1:8237.evil.example")],
        [(b"host", b"127.0.0.1:8237"), (b"origin", b"null")],
    ],
)
def test_foreign_requests_are_forbidden(headers: list[tuple[bytes, bytes]]) -> None:
    assert [message.get("status") for message in answer(headers)] == [403, None]
    assert answer(headers, "websocket") == [{"type": "websocket.close", "code": 1008}]


def test_start_up_messages_pass() -> None:
    assert answer([], "lifespan") == [{"type": "inside"}]


def test_port_of_another_program_is_refused_with_another_to_choose(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"taken by another program.*--port {port + 1}"):
            refuse_taken_port("dashboard", port, tmp_path / "lock", 8501)
        with (
            RunLock(tmp_path / "lock", "dashboard"),
            pytest.raises(ConfigError, match="this project's dashboard"),
        ):
            refuse_taken_port("dashboard", port, tmp_path / "lock", 8501)


@pytest.mark.parametrize("port", [0, -1, 65536])
def test_number_that_is_no_port_is_refused(tmp_path: Path, port: int) -> None:
    with pytest.raises(ConfigError, match="expected 1 to 65535"):
        refuse_taken_port("dashboard", port, tmp_path / "lock", 8501)


def test_who_has_no_right_to_a_port_is_told_the_usual_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fault is painted: whoever runs the tests as root, or in a container, may listen on any port."""

    def refuse(_address: tuple[str, int]) -> socket.socket:
        raise PermissionError

    monkeypatch.setattr(socket, "create_server", refuse)
    with pytest.raises(ConfigError, match=r"Port 80 needs more rights.*--port 8501"):
        refuse_taken_port("page", 80, tmp_path / "lock", 8501)
