"""What the endpoints share: the model once it is loaded, the places for requests, and the threads."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from typing import TypeVar

import anyio
from starlette.requests import Request

from serving.api.answering.answers import Answerer, Question
from serving.api.metrics import ServiceMetrics, Stage
from serving.api.problems import ProblemError
from serving.api.schemas import PredictionAnswer
from serving.api.settings import ServiceSettings
from vision.base.errors import TaxonError

LoadAnswerer = Callable[[ServiceSettings, ServiceMetrics], Answerer]
"""Loads, verifies and warms up; raises TaxonError where the model is refused."""

Asked = TypeVar("Asked")
Made = TypeVar("Made")

SLOW_SECONDS = 3.0
"""How long an upload keeps its place when others want it."""

_logger = logging.getLogger("taxon.serving")


class ServiceState:
    """The model, its settings and counters, and the bounds on what is answered at a time."""

    def __init__(self, settings: ServiceSettings, metrics: ServiceMetrics, load: LoadAnswerer) -> None:
        """Serve what `load` gives, once it has."""
        self.settings = settings
        self.metrics = metrics
        self._load = load
        self._answerer: Answerer | None = None
        self._refusal: str | None = None
        self._num_in_flight: Counter[str] = Counter()  # by client
        self._uploads: dict[asyncio.Timeout, tuple[str, float]] = {}  # its client, and when it began
        self._places_per_key = settings.places_per_key
        self._turns = asyncio.Semaphore(settings.threads)  # one a thread; waited for with a bound
        self._threads = ThreadPoolExecutor(settings.threads, "answer")
        self.counting = anyio.CapacityLimiter(2)  # threads that read the log for GET /traffic

    def load(self) -> None:
        """Load the model; where it is refused, say why to who asks later."""
        began = time.monotonic()
        try:
            self._answerer = self._load(self.settings, self.metrics)
            told = {f"model_{name}": value for name, value in self._answerer.model.model_dump().items()}
            _logger.info("ready", extra=told | {"seconds": round(time.monotonic() - began, 2)})
        except TaxonError as error:
            self._refusal = str(error)
            _logger.error("Not ready, and will not be: %s", error)  # noqa: TRY400  the message says it all
        except Exception:
            self._refusal = "an unforeseen fault; the service's log has it"
            _logger.exception("Not ready, and will not be")

    def close(self) -> None:
        """Take no further image."""
        _logger.info("stopped")
        self._threads.shutdown(wait=False, cancel_futures=True)

    def require_answerer(self, request: Request) -> Answerer:
        """The loaded model.

        Raises:
            ProblemError: it is not loaded yet, or refused (503).
        """
        if self._answerer is not None:
            return self._answerer
        loading = self._refusal is None
        reason = self._refusal or "the model is being loaded"
        raise ProblemError(
            "loading" if loading else "refused",
            arrived="A request arrived while the service is not ready: "
            + (reason if is_trusted(request) else "the model is not there"),
            expected="to be asked when /readyz answers 200",
            advice="Try again in a few seconds" if loading else "The operator has to act",
            headers={"retry-after": "1"} if loading else {},
        )

    @contextmanager
    def admission(self, client: str) -> Iterator[None]:
        """Hold one request of at most `max_in_flight`, so that bodies in memory stay bounded.

        One client may hold `places_per_key` of them. Where none is left, the oldest upload that has taken
        SLOW_SECONDS gives its place away: slow uploads shut nobody out.

        Raises:
            ProblemError: as many are held already (429).
        """
        held, most = self._num_in_flight, self.settings.max_in_flight
        own = held[client] >= self._places_per_key
        if (own or held.total() >= most) and not self._end_slow_upload(client if own else None):
            raise ProblemError(
                "busy",
                arrived=f"A request arrived while {held.total()} others are held, {held[client]} of this key",
                expected=f"at most {most} at a time, {self._places_per_key} of one key",
                advice="Try again in a second",
                headers={"retry-after": "1", "connection": "close"},
            )
        held[client] += 1
        try:
            yield
        finally:
            held[client] -= 1

    @asynccontextmanager
    async def receiving(self, client: str, seconds: float) -> AsyncIterator[None]:
        """Bound the time in which a client sends a body to so many seconds.

        Raises:
            ProblemError: it has not arrived in time, or gave its place away (408).
        """
        try:
            async with asyncio.timeout(seconds) as limit:
                self._uploads[limit] = client, asyncio.get_running_loop().time()
                try:
                    yield
                finally:
                    self._uploads.pop(limit, None)
        except TimeoutError as error:
            raise ProblemError(
                "too-slow",
                arrived=f"The body took over {seconds:g} seconds, or {SLOW_SECONDS:g} while others waited",
                expected="the whole body by then",
                advice="Send a smaller image, or try again on a better line",
            ) from error  # the connection is closed a while later: plain clients send all before they read

    def _end_slow_upload(self, client: str | None) -> bool:
        """End the oldest upload, of one client or any, that has taken SLOW_SECONDS; whether there was one."""
        now = asyncio.get_running_loop().time()
        for limit, (sender, began) in self._uploads.items():  # oldest first
            if client in (None, sender) and now - began >= SLOW_SECONDS:
                del self._uploads[limit]
                limit.reschedule(now)
                return True
        return False

    async def answer(self, answerer: Answerer, question: Question) -> PredictionAnswer:
        """The answer, as `run` makes it."""
        return await self.run(answerer.answer, question)

    async def run(self, work: Callable[[Asked], Made], asked: Asked) -> Made:
        """What `work` makes of what is asked, in one of the threads.

        Raises:
            ProblemError: no thread became free in time (503), or the image is refused.
        """
        async with self._turn():
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._threads, _run, work, asked)

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """Hold one of the threads; an image that waits too long for one is neither answered nor logged."""
        seconds = self.settings.queue_seconds
        try:
            async with asyncio.timeout(seconds):
                with self.metrics.time_stage(Stage.WAIT):
                    await self._turns.acquire()
        except TimeoutError as error:
            raise ProblemError(
                "overloaded",
                arrived=f"A request waited {seconds:g} seconds behind others; its image was not looked at",
                expected="a turn by then",
                advice="Try again later, with fewer requests at a time",
                headers={"retry-after": "10"},
            ) from error
        try:
            yield
        finally:
            self._turns.release()


def _run(work: Callable[[Asked], Made], asked: Asked) -> Made:
    """In a thread: a StopIteration would never reach the coroutine that awaits the future."""
    try:
        return work(asked)
    except StopIteration as error:
        raise RuntimeError("an iterator ended where nobody expected it") from error


def is_trusted(request: Request) -> bool:
    """Whether the client is on this machine or has a key, and may be told paths and reasons."""
    return bool(request.state.local) or request.state.client is not None
