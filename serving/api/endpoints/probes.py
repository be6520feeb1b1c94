"""GET /livez: the process runs. GET /readyz: the model is loaded, verified and warmed up."""

from __future__ import annotations

import anyio.to_thread
from starlette.requests import Request

from serving.api.answering.state import ServiceState, is_trusted
from serving.api.endpoint import Endpoint
from serving.api.schemas import Alive, LogState, Ready


async def tell_livez(_state: ServiceState, _request: Request) -> Alive:
    """Always alive."""
    return Alive()


async def tell_readyz(state: ServiceState, request: Request) -> Ready:
    """Ready with the model's digest; why the log fails is told to this machine or a key alone."""
    answerer = state.require_answerer(request)
    log = await anyio.to_thread.run_sync(answerer.describe_log)
    if not is_trusted(request):
        log = LogState(status=log.status)
    settings = state.settings
    return Ready(
        digest=answerer.model.digest, instance=settings.instance, restarts=settings.restarts, log=log
    )


LIVEZ = Endpoint(
    path="/livez",
    summary="Whether the process runs",
    handler=tell_livez,
    answer=Alive,
    example='curl "$URL/livez"',
)
READYZ = Endpoint(
    path="/readyz",
    summary="Whether images are answered, and whether answers are written down",
    handler=tell_readyz,
    answer=Ready,
    problems=("loading", "refused"),
    example='curl "$URL/readyz"',
)
