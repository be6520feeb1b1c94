"""The head of a request (its first line and headers) is bounded in bytes and in seconds, inside uvicorn.

No application sees a head before it is whole, and uvicorn waits for one without end. With httptools it also
keeps all that comes, in time that grows with the square of the length: one client without a key could hold up
everybody. Without httptools uvicorn takes h11, which bounds the bytes (16 KB, answered 400) but not the time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from importlib.util import find_spec
from typing import Any, ClassVar

import h11
from uvicorn.protocols.http import auto
from uvicorn.protocols.http.h11_impl import H11Protocol

from serving.api.problems import ProblemError

MAX_HEAD_BYTES = 65_536
HEAD_SECONDS = 20.0

Count = Callable[[HTTPStatus], None]
_ANY_PROTOCOL: Any = asyncio.Protocol


def bound_heads(count: Count) -> None:
    """Let uvicorn's default protocol bound heads, in every `uvicorn.Config` that is made from now on.

    BentoML makes that configuration itself and takes no protocol from us.
    """
    auto.AutoHTTPProtocol = bounded_protocol(count)


def bounded_protocol(count: Count) -> type[asyncio.Protocol]:
    """A protocol of uvicorn with bounds, on httptools where that is installed, as uvicorn chooses.

    Args:
        count: is told the status of every head that is refused.
    """
    base: type[asyncio.Protocol] = BoundedH11
    if find_spec("httptools") is not None:
        from serving.api.heads_httptools import BoundedHttpTools

        base = BoundedHttpTools
    return type(base.__name__, (base,), {"count": staticmethod(count)})


class HeadClock(_ANY_PROTOCOL):  # type: ignore[misc]  # stands before one of uvicorn's two protocols
    """What both protocols share: a clock for a head that is not whole, and how it is refused."""

    count: ClassVar[Count]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """As uvicorn makes its protocols."""
        super().__init__(*args, **kwargs)
        self._clock: asyncio.TimerHandle | None = None
        self._any_bytes = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A connection without a byte is closed in the end as well."""
        super().connection_made(transport)
        self.start_clock()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is waited for any longer."""
        self.stop_clock()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Bytes for the parser; none once the connection is being closed."""
        self._any_bytes = True
        if not self.transport.is_closing():
            super().data_received(data)

    def start_clock(self) -> None:
        """Give the head its time from now on, if that is not running already."""
        if self._clock is None and not self.transport.is_closing():
            self._clock = self.loop.call_later(HEAD_SECONDS, self._end_time)

    def stop_clock(self) -> None:
        """The head is whole."""
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None

    def refuse_head(self, problem: ProblemError) -> None:
        """Answer with a problem, unless an earlier request is waiting for its own answer, and close."""
        self.stop_clock()
        if self.transport.is_closing():
            return
        type(self).count(problem.status)
        if not self._is_busy():
            self.transport.write(_to_bytes(problem))
        self.transport.close()

    def _end_time(self) -> None:
        self._clock = None
        if self._is_busy():
            self.cycle.keep_alive = False  # the answer that is being made is still given
        elif self._any_bytes:
            self.refuse_head(
                ProblemError(
                    HTTPStatus.REQUEST_TIMEOUT,
                    "slow-head",
                    arrived=f"The headers did not arrive within {HEAD_SECONDS:g} seconds",
                    expected="all of them by then",
                    advice="Try again on a better line",
                )
            )
        else:
            self.transport.close()

    def _is_busy(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete


class BoundedH11(HeadClock, H11Protocol):
    """h11, which bounds the bytes itself."""

    def data_received(self, data: bytes) -> None:
        """Bytes for the parser, and the clock while they are no whole head."""
        super().data_received(data)
        if self.conn.their_state is h11.IDLE and self.conn.trailing_data[0]:
            self.start_clock()
        else:
            self.stop_clock()


def _to_bytes(problem: ProblemError) -> bytes:
    response = problem.to_response()
    lines = [f"HTTP/1.1 {problem.status.value} {problem.status.phrase}".encode()]
    lines += [name + b": " + value for name, value in response.raw_headers]
    return b"\r\n".join([*lines, b"connection: close", b"", bytes(response.body)])
