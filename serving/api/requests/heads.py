"""A request's head (first line and headers) must arrive within seconds.

h11 bounds its bytes while it is not whole (16 KB); `application` bounds one that arrives at once.

What comes of a body after its answer is dropped, for seconds: plain clients send all before they read.

No application sees a head before it is whole, and uvicorn waits for one without end. BentoML makes uvicorn's
configuration itself and takes no protocol from us, so the one that uvicorn chooses by default is replaced.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from http import HTTPStatus
from typing import ClassVar

import h11
from uvicorn.protocols.http import auto
from uvicorn.protocols.http.h11_impl import H11Protocol

from serving.api.problems import ProblemError

HEAD_SECONDS = 20.0
_logger = logging.getLogger("taxon.serving")

STALL_SECONDS = 30.0
"""After which a connection is cut whose client takes none of the bytes that wait for it."""

REST_SECONDS = 10.0
"""In which a connection is closed whose request was answered before all of its body came."""


def bound_heads(count: Callable[[HTTPStatus], None]) -> None:
    """Bound heads in every `uvicorn.Config` that is made from now on; `count` is told what is refused."""
    auto.AutoHTTPProtocol = type("BoundedH11", (BoundedH11,), {"count": staticmethod(count)})


def _bound_reading(connection: socket.socket) -> None:
    """Have the kernel (Linux) end a connection whose client acknowledges nothing, or takes nothing, so long.

    On other systems the rows of a batch are bounded by TAXON_BATCH_SECONDS alone.
    """
    if hasattr(socket, "TCP_USER_TIMEOUT") and connection.family in (socket.AF_INET, socket.AF_INET6):
        milliseconds = round(STALL_SECONDS * 1000)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)


class BoundedH11(H11Protocol):
    """uvicorn's protocol on h11, with a clock while a head is not whole."""

    count: ClassVar[Callable[[HTTPStatus], None]]
    _clock: asyncio.TimerHandle | None = None
    _rest: asyncio.TimerHandle | None = None
    _any_bytes = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A connection without a byte is closed in the end as well."""
        super().connection_made(transport)
        _bound_reading(transport.get_extra_info("socket"))
        self._clock = self.loop.call_later(HEAD_SECONDS, self._end_time)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clocks."""
        self._stop_clock()
        if self._rest is not None:
            self._rest.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Bytes for the parser; the clock goes on while they are no whole head."""
        self._any_bytes = True
        if self.transport.is_closing():
            return
        super().data_received(data)
        if self.conn.their_state is h11.IDLE and self.conn.trailing_data[0]:
            self._clock = self._clock or self.loop.call_later(HEAD_SECONDS, self._end_time)
        else:
            self._stop_clock()

    def send_400_response(self, msg: str) -> None:
        """Count what h11 refuses, too many bytes among it; nothing is said after an answer."""
        if self.conn.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            self.transport.close()
            return
        self._tell("malformed-request", HTTPStatus.BAD_REQUEST)
        super().send_400_response(msg)

    def _tell(self, code: str, status: HTTPStatus) -> None:
        type(self).count(status)
        _logger.info("refused", extra={"code": code, "status": status.value})

    def on_response_complete(self) -> None:
        """Bound the time in which the rest of an answered body is dropped."""
        super().on_response_complete()
        if self.conn.their_state is h11.SEND_BODY and self._rest is None:
            self._rest = self.loop.call_later(REST_SECONDS, self._end_rest)

    def _end_rest(self) -> None:
        if self.cycle.response_complete:
            self.transport.close()
        else:  # the next request on this connection is still being answered
            self.cycle.keep_alive = False

    def _stop_clock(self) -> None:
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None

    def _end_time(self) -> None:
        """Refuse the head, unless an earlier request on this connection is still being answered."""
        self._clock = None
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.keep_alive = False
            return
        if self._any_bytes and not self.transport.is_closing():
            refused = ProblemError(
                "slow-head",
                arrived=f"The headers did not arrive within {HEAD_SECONDS:g} seconds",
                expected="all of them by then",
                advice="Try again on a better line",
                headers={"connection": "close"},
            )
            self._tell(refused.code, refused.status)
            response = refused.to_response()
            lines = [f"HTTP/1.1 {refused.status.value} {refused.status.phrase}".encode()]
            lines += [name + b": " + value for name, value in response.raw_headers]
            self.transport.write(b"\r\n".join([*lines, b"", bytes(response.body)]))
        self.transport.close()
