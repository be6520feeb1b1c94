"""uvicorn's httptools protocol with bounds for the head of a request; see `serving.api.heads`."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from serving.api.heads import MAX_HEAD_BYTES, HeadClock
from serving.api.problems import ProblemError


class BoundedHttpTools(HeadClock, HttpToolsProtocol):
    """Counts what the parser swallows without getting on.

    A read that neither begins a request nor completes a head, brings body or ends a request is part of a
    head, of trailers or of what lies between requests: that is what the parser keeps. So what it holds is
    never more than the bound and one read (256 KB). The bound is exact for a head that is whole.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """As uvicorn makes it."""
        super().__init__(*args, **kwargs)
        self._in_head = False
        self._got_on = False
        self._num_held = 0
        self._problem: ProblemError | None = None

    def data_received(self, data: bytes) -> None:
        """Bytes for the parser."""
        self._got_on = False
        super().data_received(data)
        if not self._got_on:
            self._num_held += len(data)
            if self._num_held > MAX_HEAD_BYTES:
                self.refuse_head(_too_large(self._num_held))
        if self._in_head or not self._got_on:
            self.start_clock()
        else:
            self.stop_clock()

    def on_message_begin(self) -> None:
        """A request begins."""
        self._get_on()
        self._in_head = True
        self.stop_clock()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """A head is whole; too large a one goes no further.

        Raises:
            ProblemError: to the parser, which stops and has `send_400_response` called.
        """
        self._get_on()
        self._in_head = False
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if size > MAX_HEAD_BYTES:
            self._problem = _too_large(size)
            raise self._problem
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A piece of a body."""
        self._get_on()
        super().on_body(body)

    def on_message_complete(self) -> None:
        """A request is whole."""
        self._get_on()
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Refuse what the parser stopped at."""
        if self._problem is not None:
            self.refuse_head(self._problem)
        else:
            super().send_400_response(msg)

    def _get_on(self) -> None:
        self._got_on = True
        self._num_held = 0


def _too_large(num_bytes: int) -> ProblemError:
    return ProblemError(
        HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
        "large-head",
        arrived=f"Headers of at least {num_bytes} bytes arrived, the address included",
        expected=f"at most {MAX_HEAD_BYTES}",
        advice="Leave out what this service does not ask for",
    )
