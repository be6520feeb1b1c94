"""GET /metrics: counters for Prometheus."""

from __future__ import annotations

import anyio.to_thread
from starlette.requests import Request
from starlette.responses import Response

from serving.api.answering.state import ServiceState
from serving.api.endpoint import Access, Endpoint
from serving.api.keys import KeyScope
from serving.api.metrics import MEDIA_TYPE


async def tell_metrics(state: ServiceState, _request: Request) -> Response:
    """All series as text."""
    content = await anyio.to_thread.run_sync(state.metrics.render)
    return Response(content, headers={"content-type": MEDIA_TYPE})


METRICS = Endpoint(
    path="/metrics",
    access=Access.LOCAL_OR_KEY,
    scope=KeyScope.METRICS,
    summary="Requests, answers by decision, unknown by kind, seconds by stage, the model, for Prometheus",
    handler=tell_metrics,
    example='curl -H "X-API-Key: $KEY" "$URL/metrics"',
    media_type=MEDIA_TYPE,
)
