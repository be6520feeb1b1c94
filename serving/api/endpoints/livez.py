"""GET /livez: the process runs."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from serving.api.endpoint import Access, Endpoint, to_json
from serving.api.schemas import Alive
from serving.api.state import ServiceState


async def tell_livez(_state: ServiceState, _request: Request) -> Response:
    """Always alive."""
    return to_json(Alive())


LIVEZ = Endpoint(
    path="/livez",
    method="GET",
    access=Access.OPEN,
    summary="Whether the process runs",
    handler=tell_livez,
    answer=Alive,
    example='curl "$URL/livez"',
)
