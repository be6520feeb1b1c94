"""An HTTP client that asks little at a time, and waits with all requests after a refusal."""

from __future__ import annotations

import email.utils
import logging
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self

import httpx

from vision.base.errors import SourceError

logger = logging.getLogger(__name__)

_ATTEMPTS = 6
_LONGEST_WAIT = 120.0
_TRY_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})
_TIMEOUT = httpx.Timeout(60.0, connect=15.0)
_CROWDED = 429


class FetchError(Exception):
    """A request was given up: the reason, in words for a person."""


class Client:
    """Requests that are repeated with growing pauses, as long as the server asks for.

    A server's 429 or `Retry-After` holds back all threads, not just the one that was refused.
    """

    def __init__(self, workers: int = 1, first_wait: float = 1.0) -> None:
        limits = httpx.Limits(max_connections=workers, max_keepalive_connections=workers)
        headers = {"User-Agent": "taxon-image-classifier (python-httpx)"}
        self._http = httpx.Client(limits=limits, timeout=_TIMEOUT, headers=headers, follow_redirects=True)
        self._first_wait = first_wait
        self._lock = threading.Lock()
        self._open_at = 0.0
        self._stopped = threading.Event()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._http.close()

    def stop(self) -> None:
        """End every pause, and repeat nothing more."""
        self._stopped.set()

    def fetch(self, url: str, check: Callable[[bytes], str | None] = lambda _: None, **options: Any) -> bytes:
        """The body of an answer, asked for up to six times.

        It is a POST if `options`, which are for httpx, have `json`. `check` tells the fault of a body, None
        if it has none; a faulty one is asked for again.

        Raises:
            FetchError: none of the attempts had an answer without a fault.
        """
        method = "POST" if "json" in options else "GET"
        reason = ""
        for attempt in range(_ATTEMPTS):
            self._wait()
            if self._stopped.is_set():
                raise FetchError("stopped")
            pause = min(_LONGEST_WAIT, self._first_wait * 2**attempt)
            try:
                answer = self._http.request(method, url, **options)
            except (httpx.TransportError, httpx.DecodingError) as error:
                reason = f"no whole answer: {type(error).__name__}: {error}"
                self._stopped.wait(pause)
                continue
            except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
                raise FetchError(f"{type(error).__name__}: {error}") from error
            fault = check(answer.content) if answer.is_success else f"HTTP {answer.status_code}"
            if fault is None:
                return answer.content
            reason = fault
            if not answer.is_success and answer.status_code not in _TRY_AGAIN:
                break
            self._hold(answer, pause)
        raise FetchError(reason)

    def _wait(self) -> None:
        while (rest := self._open_at - time.monotonic()) > 0.0:
            if self._stopped.wait(rest):
                return

    def _hold(self, answer: httpx.Response, pause: float) -> None:
        """Pause this thread; all of them where the server is crowded or says for how long."""
        asked = _retry_after(answer)
        if asked is None and answer.status_code != _CROWDED:
            self._stopped.wait(pause)
            return
        seconds = pause if asked is None else min(_LONGEST_WAIT, asked)
        logger.info("%s asks to wait: %.0f s", answer.url.host, seconds)
        with self._lock:
            self._open_at = max(self._open_at, time.monotonic() + seconds)


def _retry_after(answer: httpx.Response) -> float | None:
    """Seconds that the server asks for, in its header as seconds or as a date."""
    text = answer.headers.get("Retry-After", "").strip()
    if not text:
        return None
    if text.isdigit():
        return float(text)
    try:
        until = email.utils.parsedate_to_datetime(text)
    except ValueError:
        return None
    return max(0.0, (until.astimezone(UTC) - datetime.now(UTC)).total_seconds())


def refuse(api: str, error: FetchError) -> SourceError:
    """The error for a person when FathomNet itself does not answer."""
    return SourceError(
        f"{api}: {error}. Expected an answer of FathomNet. Look at the network and type the same command "
        "again: what has been fetched is kept."
    )
