"""GET /model: what is served and what it promises."""

from __future__ import annotations

import anyio.to_thread
from starlette.requests import Request

from serving.api.answering.state import ServiceState
from serving.api.endpoint import Access, Endpoint
from serving.api.schemas import ModelDescription


async def tell_model(state: ServiceState, request: Request) -> ModelDescription:
    """The description of the loaded model."""
    return await anyio.to_thread.run_sync(state.require_answerer(request).describe)


MODEL = Endpoint(
    path="/model",
    access=Access.LOCAL_OR_KEY,
    summary="Which model answers, its classes, and what its decisions promise",
    handler=tell_model,
    answer=ModelDescription,
    problems=("loading", "refused"),
    example='curl -H "X-API-Key: $KEY" "$URL/model"',
)
