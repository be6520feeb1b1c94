"""GET /openapi.json and GET /docs: what can be asked. Open to everybody, as they hold no secret."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from serving.api.endpoint import Access, Endpoint
from serving.api.state import ServiceState


async def tell_openapi(_state: ServiceState, _request: Request) -> Response:
    """The OpenAPI 3.1 document."""
    from serving.api.endpoints import ENDPOINTS
    from serving.api.openapi import describe_api

    return JSONResponse(describe_api(ENDPOINTS))


async def tell_docs(_state: ServiceState, _request: Request) -> Response:
    """The same as a page, without scripts and without files from elsewhere."""
    from serving.api.endpoints import ENDPOINTS
    from serving.api.openapi import describe_api
    from serving.api.page import render_page

    policy = "default-src 'none'; style-src 'unsafe-inline'"
    return HTMLResponse(render_page(describe_api(ENDPOINTS)), headers={"content-security-policy": policy})


OPENAPI = Endpoint(
    path="/openapi.json",
    method="GET",
    access=Access.OPEN,
    summary="This description, for programs (OpenAPI 3.1)",
    handler=tell_openapi,
    example='curl "$URL/openapi.json"',
)
DOCS = Endpoint(
    path="/docs",
    method="GET",
    access=Access.OPEN,
    summary="This description, for people",
    handler=tell_docs,
    media_type="text/html",
    example='curl "$URL/docs"',
)
