"""GET /readyz: the model is loaded, verified and warmed up."""

from __future__ import annotations

import anyio.to_thread
from starlette.requests import Request
from starlette.responses import Response

from serving.api.endpoint import Access, Endpoint, to_json
from serving.api.schemas import LogState, Ready
from serving.api.state import ServiceState, is_trusted


async def tell_readyz(state: ServiceState, request: Request) -> Response:
    """Ready with the model's digest; why the log fails is told to this machine or a key alone."""
    answerer = state.require_answerer(request)
    log = await anyio.to_thread.run_sync(answerer.describe_log)
    if not is_trusted(request):
        log = LogState(status=log.status)
    return to_json(Ready(digest=answerer.model.digest, instance=state.settings.instance, log=log))


READYZ = Endpoint(
    path="/readyz",
    method="GET",
    access=Access.OPEN,
    summary="Whether images are answered, and whether answers are written down",
    handler=tell_readyz,
    answer=Ready,
    problems=("loading", "refused"),
    example='curl "$URL/readyz"',
)
