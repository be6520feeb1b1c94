"""A request's head (first line and headers) must arrive within seconds.

h11 bounds its bytes while it is not whole (16 KB); `application` bounds one that arrives at once.

What comes of a body after its answer is dropped for as many seconds: plain clients send all before they read.

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
"""After which Linux cuts a connection whose client takes none of the bytes that wait for it.

On other systems the rows of a batch are bounded by TAXON_BATCH_SECONDS alone.
"""


def bound_heads(count: Callable[[HTTPStatus], None]) -> None:
    """Bound heads in every `uvicorn.Config` that is made from now on; `count` is told what is refused."""
    auto.AutoHTTPProtocol = type("BoundedH11", (BoundedH11,), {"count": staticmethod(count)})


class BoundedH11(H11Protocol):
    """uvicorn's protocol on h11, with a clock that runs while a head, or what is left of a body, is awaited.

    It starts with the connection and with the first byte after an answer, until which uvicorn has a clock of
    its own, and stops while a request is answered.
    """

    count: ClassVar[Callable[[HTTPStatus], None]]
    _clock: asyncio.TimerHandle

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the clock, and have the kernel watch whether the client reads."""
        super().connection_made(transport)
        connection: socket.socket = transport.get_extra_info("socket")
        if hasattr(socket, "TCP_USER_TIMEOUT") and connection.family in (socket.AF_INET, socket.AF_INET6):
            milliseconds = round(1000 * STALL_SECONDS)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)
        self._clock = self.loop.call_later(HEAD_SECONDS, self._end_time)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clock."""
        self._clock.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Bytes for the parser; the clock goes on unless they made a head whole."""
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._clock.cancel()
        elif self._clock.cancelled():
            self._clock = self.loop.call_later(HEAD_SECONDS, self._end_time)

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

    def _end_time(self) -> None:
        """Close the connection; say why if a head has begun."""
        if self.conn.their_state is h11.IDLE and self.conn.trailing_data[0]:
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
