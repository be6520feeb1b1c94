"""GET /model: what is served and what it promises."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from serving.api.endpoint import Access, Endpoint, to_json
from serving.api.schemas import ModelDescription
from serving.api.state import ServiceState


async def tell_model(state: ServiceState, request: Request) -> Response:
    """The description of the loaded model."""
    return to_json(state.require_answerer(request).describe())


MODEL = Endpoint(
    path="/model",
    method="GET",
    access=Access.LOCAL_OR_KEY,
    summary="Which model answers, its classes, and what its decisions promise",
    handler=tell_model,
    answer=ModelDescription,
    problems=("loading", "refused"),
    example='curl -H "X-API-Key: $KEY" "$URL/model"',
)
