"""Heads that are too long or too slow, over real connections; and everything else as uvicorn answers it."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus

import pytest
import uvicorn
from starlette.requests import Request
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http import auto

from serving.api.requests import heads
from serving.api.requests.heads import BoundedH11, bound_heads

START = b"GET /some/where HTTP/1.1\r\nHost: localhost\r\n"
POST = b"POST / HTTP/1.1\r\nHost: localhost\r\n"


class Server:
    """uvicorn in a thread, with an application that tells the length of what it was sent."""

    def __init__(self, protocol: type[asyncio.Protocol], refused: list[int]) -> None:
        self.refused = refused
        self.entered = threading.Event()
        self.gate = threading.Event()
        config = uvicorn.Config(
            self._answer,
            port=0,
            http=protocol,
            interface="asgi3",
            lifespan="off",
            log_level="critical",
            timeout_keep_alive=1,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/early":
            await PlainTextResponse("no", 422)(scope, receive, send)
            return
        body = await Request(scope, receive).body()
        if scope["path"] == "/rows":
            await StreamingResponse(self._many_rows())(scope, receive, send)
            return
        if scope["path"] == "/slow":
            self.entered.set()
            await asyncio.to_thread(self.gate.wait, 30)
        await PlainTextResponse(f"{len(body)} bytes")(scope, receive, send)

    async def _many_rows(self) -> AsyncGenerator[bytes]:
        try:
            for _ in range(2_000):  # more than any buffer holds
                yield bytes(100_000)
                await asyncio.sleep(0)
        finally:
            self.gate.set()

    def connect(self) -> socket.socket:
        """A new connection."""
        return socket.create_connection(self._server.servers[0].sockets[0].getsockname(), timeout=10)

    @contextmanager
    def running(self) -> Iterator[Server]:
        """Start, and stop at the end."""
        self._thread.start()
        try:
            deadline = time.monotonic() + 30
            while not self._server.started and time.monotonic() < deadline:
                time.sleep(0.01)
            yield self
        finally:
            self.gate.set()
            self._server.should_exit = True
            self._thread.join()


@pytest.fixture
def server() -> Iterator[Server]:
    refused: list[int] = []
    count = staticmethod(lambda status: refused.append(status.value))
    with Server(type("Counted", (BoundedH11,), {"count": count}), refused).running() as running:
        yield running


def read_all(connection: socket.socket) -> bytes:
    """What arrives until the server closes the connection; a TimeoutError if it does not."""
    said = b""
    with suppress(ConnectionResetError):
        while block := connection.recv(65_536):
            said += block
    return said


def exchange(server: Server, *pieces: bytes) -> bytes:
    """What the server says to pieces that are sent one after the other."""
    with server.connect() as connection:
        for piece in pieces:
            connection.sendall(piece)
            time.sleep(0.03)
        return read_all(connection)


def flood(connection: socket.socket, block: bytes, most: int = 200) -> int:
    """Bytes that were sent before the server closed the connection."""
    sent = 0
    with suppress(ConnectionError):
        for _ in range(most):
            connection.sendall(block)
            sent += len(block)
    return sent


@pytest.mark.parametrize(
    ("begin", "block"),
    [
        (START + b"X: ", b"a" * 100_000),
        (START, b"".join(b"X-%d: a\r\n" % each for each in range(10_000))),
        (START + b"X", b"a" * 100_000),
        (b"GET /", b"a" * 100_000),
        (b"", b"\r\n" * 50_000),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX: ", b"a" * 100_000),
    ],
    ids=["value", "headers", "name", "address", "blank lines", "trailer"],
)
def test_a_head_without_end_is_cut_off(server: Server, begin: bytes, block: bytes) -> None:
    with server.connect() as connection:
        connection.sendall(begin)
        sent = flood(connection, block)
    assert sent < 150 * len(block)
    assert server.refused == [400]
    assert b"200 OK" in exchange(server, START + b"Connection: close\r\n\r\n")


def test_a_head_that_is_not_whole_in_time_is_408_and_a_silent_connection_is_closed(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heads, "HEAD_SECONDS", 0.3)
    began = time.monotonic()
    assert exchange(server) == b""
    assert server.refused == []
    assert b"408 Request Timeout" in exchange(server, START)
    with server.connect() as connection:  # a byte now and then buys no time
        connection.sendall(START)
        for _ in range(100):
            with suppress(ConnectionError):
                connection.sendall(b"X")
            time.sleep(0.02)
        read_all(connection)
    assert server.refused == [408, 408]
    with server.connect() as connection:  # nor does an answer before
        connection.sendall(START + b"\r\n" + START)
        said = read_all(connection)
    assert said.startswith(b"HTTP/1.1 200 OK")
    assert time.monotonic() - began < 20


def test_a_slow_body_and_a_slow_answer_are_not_a_slow_head(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heads, "HEAD_SECONDS", 0.3)
    with server.connect() as connection:
        connection.sendall(POST + b"Content-Length: 10\r\nConnection: close\r\n\r\n")
        for _ in range(10):
            time.sleep(0.08)
            connection.sendall(b"a")
        assert b"10 bytes" in read_all(connection)
    with server.connect() as connection:
        connection.sendall(POST + b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n")
        for piece in (b"5", b"\r\n", b"aa", b"aaa", b"\r\n", b"1\r", b"\na\r", b"\n0\r\n", b"\r\n"):
            connection.sendall(piece)
            time.sleep(0.08)
        assert b"6 bytes" in read_all(connection)
    with server.connect() as connection:
        connection.sendall(b"GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n" + START)
        assert server.entered.wait(10)
        time.sleep(0.6)  # the next head's time is over, and the answer is still given
        server.gate.set()
        assert b"200 OK" in read_all(connection)
    assert server.refused == []


def test_a_body_that_goes_on_after_its_answer_is_dropped_for_seconds_and_a_malformed_one_ends_at_once(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    early = b"POST /early HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n"
    with server.connect() as connection:  # well within the seconds
        connection.sendall(early + b"no chunk\r\n")
        assert read_all(connection).startswith(b"HTTP/1.1 4")
    with server.connect() as connection:
        connection.sendall(early)
        assert connection.recv(65_536).startswith(b"HTTP/1.1 422")
        connection.sendall(b"no chunk\r\n")
        assert read_all(connection) == b""
    monkeypatch.setattr(heads, "HEAD_SECONDS", 0.5)
    began = time.monotonic()
    with server.connect() as connection:
        connection.sendall(early)
        assert connection.recv(65_536).startswith(b"HTTP/1.1 422")
        with suppress(ConnectionError):
            while time.monotonic() < began + 8:
                connection.sendall(b"1\r\na\r\n")
                time.sleep(0.02)
        assert time.monotonic() < began + 6
    with server.connect() as connection:  # whose rest comes in time is answered again
        connection.sendall(early)
        assert connection.recv(65_536).startswith(b"HTTP/1.1 422")
        connection.sendall(b"0\r\n\r\n" + START + b"\r\n")
        assert b"200 OK" in read_all(connection)
    assert server.refused in ([], [400])


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="Linux bounds it")
def test_who_takes_nothing_of_an_answer_is_cut_off_and_who_takes_little_is_not(
    monkeypatch: pytest.MonkeyPatch, server: Server
) -> None:
    monkeypatch.setattr(heads, "STALL_SECONDS", 1.0)
    with server.connect() as slow:
        slow.sendall(POST.replace(b"/", b"/rows", 1) + b"Content-Length: 0\r\n\r\n")
        for _ in range(20):
            time.sleep(0.1)
            slow.recv(2_000_000)
        assert not server.gate.is_set()
        assert server.gate.wait(10)


def test_requests_one_after_the_other_and_at_once_are_answered(server: Server) -> None:
    body = b"a" * 3_000_000
    request = POST + b"Content-Length: %d\r\n\r\n" % len(body) + body
    said = exchange(server, request + request, START + b"\r\n", START + b"Connection: close\r\n\r\n")
    assert (said.count(b"200 OK"), said.count(b"3000000 bytes")) == (4, 2)
    assert b"400 Bad Request" in exchange(server, b"What is this?\r\n\r\n")
    assert server.refused == [400]


def test_what_uvicorn_chooses_by_itself_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auto, "AutoHTTPProtocol", auto.AutoHTTPProtocol)
    refused: list[HTTPStatus] = []
    bound_heads(refused.append)
    config = uvicorn.Config("tests.serving.api.requests.test_heads:Server")
    config.load()
    assert issubclass(config.http_protocol_class, BoundedH11)
