"""The application: a route for each declared endpoint, and problems in place of faults."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus

import anyio
import anyio.to_thread
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from serving.api.endpoint import Endpoint
from serving.api.endpoints import ENDPOINTS
from serving.api.endpoints.readyz import READYZ
from serving.api.problems import ProblemError
from serving.api.state import ServiceState


def build_application(state: ServiceState) -> Starlette:
    """The endpoints over a state; its lifespan starts the loading of the model."""

    @asynccontextmanager
    async def lifespan(_application: Starlette) -> AsyncIterator[None]:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(anyio.to_thread.run_sync, state.load)
            yield
        state.close()

    async def answer_problem(request: Request, error: Exception) -> Response:
        if not isinstance(error, ProblemError):
            raise error
        if request.scope["path"] != READYZ.path:  # that it is not ready yet is what a probe asks
            state.metrics.count_refusal(error.status)
        return error.to_response()

    async def answer_fault(request: Request, _error: Exception) -> Response:
        """An unforeseen fault: Starlette logs its traceback, the client is told none of it."""
        fault = ProblemError(
            "fault",
            arrived=f"{request.method} {request.url.path} met a fault of this program",
            expected="none",
            advice="The operator finds it in the service's log",
        )
        state.metrics.count_refusal(fault.status)
        return fault.to_response()

    return Starlette(
        routes=[Route(each.path, _bind(each, state), methods=list(each.methods)) for each in ENDPOINTS],
        exception_handlers={
            ProblemError: answer_problem,
            ClientDisconnect: _answer_gone,
            Exception: answer_fault,
        },
        lifespan=lifespan,
    )


def _bind(endpoint: Endpoint, state: ServiceState) -> Callable[[Request], Awaitable[Response]]:
    async def handle(request: Request) -> Response:
        return await endpoint.handler(state, request)

    return handle


async def _answer_gone(_request: Request, _error: Exception) -> Response:
    return Response(status_code=HTTPStatus.BAD_REQUEST.value)  # nobody is there to read it
