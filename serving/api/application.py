"""The endpoints: a small Starlette application around an `Answerer` that is loaded in the background.

Nothing heavy is imported here: the supervisor of the workers imports this module and never answers.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from serving.api.guards import CLIENT_KEY, LOCAL_KEY
from serving.api.keys import CHECK_CLIENT
from serving.api.metrics import MEDIA_TYPE, ServiceMetrics
from serving.api.problems import ProblemError
from serving.api.schemas import Alive, LogState, Ready
from serving.api.settings import ServiceSettings
from serving.api.upload import read_explain, read_upload
from vision.base.errors import TaxonError

if TYPE_CHECKING:
    from serving.api.answers import Answerer, Question
    from serving.api.schemas import PredictionAnswer

LOADING, REFUSED = "loading", "refused"
"""Codes of a service that is not ready: not yet, or never, because the model or a setting is refused."""
READY_PATH = "/readyz"

_logger = logging.getLogger("taxon.serving")
LoadAnswerer = Callable[[ServiceSettings, ServiceMetrics], "Answerer"]
"""Loads, verifies and warms up; raises TaxonError where the model is refused."""


class Endpoints:
    """The five endpoints and what they share.

    Attributes:
        application: the Starlette application; its lifespan starts the loading.
    """

    def __init__(self, settings: ServiceSettings, metrics: ServiceMetrics, load: LoadAnswerer) -> None:
        """Serve what `load` gives, once it has."""
        self._settings = settings
        self._metrics = metrics
        self._load = load
        self._answerer: Answerer | None = None
        self._refusal: str | None = None
        self._num_in_flight = 0
        self._turns = asyncio.Semaphore(settings.threads)  # one a thread; waited for with a bound
        self._threads = ThreadPoolExecutor(settings.threads, "answer")
        self.application = Starlette(
            routes=[
                Route("/predict", self.predict, methods=["POST"]),
                Route("/livez", self.tell_alive, methods=["GET"]),
                Route(READY_PATH, self.tell_ready, methods=["GET"]),
                Route("/metrics", self.tell_metrics, methods=["GET"]),
                Route("/model", self.tell_model, methods=["GET"]),
            ],
            exception_handlers={
                ProblemError: self._answer_problem,
                ClientDisconnect: self._answer_gone,
                Exception: self._answer_fault,
            },
            lifespan=self._lifespan,
        )

    async def predict(self, request: Request) -> Response:
        """POST /predict: the answer for one image."""
        arrived = time.perf_counter()
        answerer = self._require_answerer(request)
        from serving.api.answers import (
            Question,  # loaded by now: before, the import would hold up the event loop
        )

        explain = read_explain(request)
        with self._admission():
            upload = await read_upload(request, self._settings)
            question = Question(
                image=upload.image,
                file_name=upload.file_name,
                client=request.scope[CLIENT_KEY],
                group=upload.group,
                explain=explain,
                arrived=arrived,
            )
            async with self._turn():
                loop = asyncio.get_running_loop()
                answer = await loop.run_in_executor(self._threads, _answer, answerer, question)
        if question.client != CHECK_CLIENT:  # as the log: its test images are no traffic
            self._metrics.count_answer(answer.decision, answer.latency_ms / 1000.0)
        return _json(answer)

    async def tell_alive(self, _request: Request) -> Response:
        """GET /livez: the process runs."""
        return _json(Alive())

    async def tell_ready(self, request: Request) -> Response:
        """GET /readyz: the model is loaded, verified and warmed up."""
        answerer = self._require_answerer(request)
        log = await anyio.to_thread.run_sync(answerer.describe_log)
        if not _is_trusted(request):
            log = LogState(status=log.status)
        return _json(Ready(digest=answerer.model.digest, instance=self._settings.instance, log=log))

    async def tell_metrics(self, _request: Request) -> Response:
        """GET /metrics: counters for Prometheus."""
        content = await anyio.to_thread.run_sync(self._metrics.render)
        return Response(content, headers={"content-type": MEDIA_TYPE})

    async def tell_model(self, request: Request) -> Response:
        """GET /model: what is served and what it promises."""
        return _json(self._require_answerer(request).describe())

    @asynccontextmanager
    async def _lifespan(self, _application: Starlette) -> AsyncIterator[None]:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(anyio.to_thread.run_sync, self._load_answerer)
            yield
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _load_answerer(self) -> None:
        try:
            self._answerer = self._load(self._settings, self._metrics)
        except TaxonError as error:
            self._refusal = str(error)
            _logger.error("Not ready, and will not be: %s", error)  # noqa: TRY400  the message says it all
        except Exception:
            self._refusal = "an unforeseen fault; the service's log has it"
            _logger.exception("Not ready, and will not be")

    def _require_answerer(self, request: Request) -> Answerer:
        if self._answerer is not None:
            return self._answerer
        code = LOADING if self._refusal is None else REFUSED
        told = self._refusal or "the model is being loaded"
        reason = told if _is_trusted(request) else "the model is not there"
        raise ProblemError(
            HTTPStatus.SERVICE_UNAVAILABLE,
            code,
            arrived=f"A request arrived while the service is not ready: {reason}",
            expected="to be asked when /readyz answers 200",
            advice="Try again in a few seconds" if code == LOADING else "The operator has to act",
            headers={"retry-after": "1"} if code == LOADING else {},
        )

    @contextmanager
    def _admission(self) -> Iterator[None]:
        """Hold one request of at most `max_in_flight`, so that bodies in memory stay bounded.

        Raises:
            ProblemError: as many are held already (429).
        """
        most = self._settings.max_in_flight
        if self._num_in_flight >= most:
            raise ProblemError(
                HTTPStatus.TOO_MANY_REQUESTS,
                "busy",
                arrived=f"A request arrived while {most} others are being answered",
                expected=f"at most {most} at a time",
                advice="Try again in a second",
                headers={"retry-after": "1", "connection": "close"},
            )
        self._num_in_flight += 1
        try:
            yield
        finally:
            self._num_in_flight -= 1

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """Hold one of the threads, so that what waits too long for one is neither answered nor logged.

        Raises:
            ProblemError: none became free in time (503).
        """
        seconds = self._settings.queue_seconds
        try:
            async with asyncio.timeout(seconds):
                await self._turns.acquire()
        except TimeoutError as error:
            raise ProblemError(
                HTTPStatus.SERVICE_UNAVAILABLE,
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

    async def _answer_problem(self, request: Request, error: Exception) -> Response:
        if not isinstance(error, ProblemError):
            raise error
        if request.scope["path"] != READY_PATH:  # that it is not ready yet is what a probe asks
            self._metrics.count_refusal(error.status)
        return error.to_response()

    async def _answer_gone(self, _request: Request, _error: Exception) -> Response:
        return Response(status_code=HTTPStatus.BAD_REQUEST.value)  # nobody is there to read it

    async def _answer_fault(self, request: Request, _error: Exception) -> Response:
        """An unforeseen fault: Starlette logs its traceback, the client is told none of it."""
        fault = ProblemError(
            HTTPStatus.INTERNAL_SERVER_ERROR,
            "fault",
            arrived=f"{request.method} {request.url.path} met a fault of this program",
            expected="none",
            advice="The operator finds it in the service's log",
        )
        self._metrics.count_refusal(fault.status)
        return fault.to_response()


def _answer(answerer: Answerer, question: Question) -> PredictionAnswer:
    """In a thread; a StopIteration could not be handed over to who waits, and the thread would be lost."""
    try:
        return answerer.answer(question)
    except StopIteration as error:
        raise RuntimeError("an iterator ended where nobody expected it") from error


def _is_trusted(request: Request) -> bool:
    """Whether the client is on this machine or has a key, and may be told paths and reasons."""
    return bool(request.scope.get(LOCAL_KEY)) or CLIENT_KEY in request.scope


def _json(body: BaseModel) -> Response:
    return Response(body.model_dump_json(exclude_none=True), media_type="application/json")
