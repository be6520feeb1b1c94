"""GET /traffic: what was answered in the last hours, and the last verdicts of monitoring."""

from __future__ import annotations

import anyio.to_thread
from starlette.requests import Request

from serving.api.answering.state import ServiceState
from serving.api.endpoint import Access, Endpoint
from serving.api.keys import KeyScope
from serving.api.requests.queries import read_query
from serving.api.traffic import tell_traffic
from serving.api.traffic_bodies import Traffic, TrafficQuery


async def tell_traffic_of(state: ServiceState, request: Request) -> Traffic:
    """Count in one of few threads, while others are answered."""
    answerer = state.require_answerer(request)
    hours = read_query(TrafficQuery, request).hours
    log = answerer.kept

    def count() -> Traffic:
        return tell_traffic(log, answerer.describe_log(), answerer.model, state.metrics.count_lost(), hours)

    with state.admission(request.state.client or ""):  # on this machine it may come without a key
        return await anyio.to_thread.run_sync(count, limiter=state.counting)


TRAFFIC = Endpoint(
    path="/traffic",
    access=Access.LOCAL_OR_KEY,
    scope=KeyScope.METRICS,
    summary="Answers of the last hours by decision, hour and class, latency, and monitoring's last verdicts",
    handler=tell_traffic_of,
    answer=Traffic,
    problems=("busy", "loading", "refused", "not-logged"),
    query=TrafficQuery,
    example='curl -H "X-API-Key: $KEY" "$URL/traffic?hours=24"',
)
