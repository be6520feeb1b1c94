"""GET /openapi.json and GET /docs: what can be asked. Open to everybody, as they hold no secret."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from serving.api.answering.state import ServiceState
from serving.api.endpoint import Endpoint
from serving.api.openapi import describe_api
from serving.api.page import render_page


async def tell_openapi(_state: ServiceState, request: Request) -> Response:
    """The OpenAPI 3.1 document."""
    return JSONResponse(_describe(request))


async def tell_docs(_state: ServiceState, request: Request) -> Response:
    """The same as a page, without scripts and without files from elsewhere."""
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    return HTMLResponse(render_page(_describe(request)), headers={"content-security-policy": policy})


def _describe(request: Request) -> dict[str, Any]:
    return describe_api(request.state.endpoints)


OPENAPI = Endpoint(
    path="/openapi.json",
    summary="This description, for programs (OpenAPI 3.1)",
    handler=tell_openapi,
    example='curl "$URL/openapi.json"',
)
DOCS = Endpoint(
    path="/docs",
    summary="This description, for people",
    handler=tell_docs,
    media_type="text/html",
    example='curl "$URL/docs"',
)
