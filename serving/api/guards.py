"""The outermost gate: what is not asked for by name, with a key and within the limits never gets further in.

In this order: the exact path (404), before any metric or log line could be named after it; the method (405);
headers that two readers could read differently (400); the key (401); the size of the body, as declared and
again while it streams in (413). A body that is too large is read and dropped for a while before that is said:
plain clients send all of it before they listen, and would meet a closed connection instead.
"""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping, Sequence
from contextlib import suppress
from http import HTTPStatus
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.api.endpoint import Access, Endpoint
from serving.api.keys import ApiKeys
from serving.api.metrics import ServiceMetrics
from serving.api.problems import ProblemError

CLIENT_KEY = "taxon.client"
"""Where the scope of a request holds the name of the client whose key it carries; absent without a key."""
LOCAL_KEY = "taxon.local"
"""Where the scope says whether the request came from this machine."""
KEY_HEADER = b"x-api-key"
DROP_SECONDS = 5.0
DROP_BYTES = 64_000_000
"""What is read at most of a body that is refused for its size."""

_LOOPBACK = frozenset({"127.0.0.1", "::1"})
_LOOPBACK_NAMES = frozenset({"127.0.0.1", "localhost", "[::1]"})
_FORWARDING = frozenset({b"forwarded", b"x-forwarded-for", b"x-forwarded-host", b"x-real-ip", b"via"})
_SINGLE = frozenset({b"content-length", b"transfer-encoding", b"content-type", b"host"})


class Guard:
    """ASGI application that lets through to another one only what the endpoints, keys and limits allow."""

    def __init__(
        self,
        application: ASGIApp,
        lifespan: ASGIApp,
        endpoints: Sequence[Endpoint],
        keys: ApiKeys,
        max_body_bytes: int,
        metrics: ServiceMetrics,
    ) -> None:
        """Guard `application`.

        Args:
            application: answers requests; is called with CLIENT_KEY and LOCAL_KEY in the scope.
            lifespan: is told of the worker's start and end instead.
            endpoints: every path there is.
            keys: of all clients.
            max_body_bytes: of a request.
            metrics: counts what is refused here.
        """
        self._application = application
        self._lifespan = lifespan
        self._endpoints = {each.path: each for each in endpoints}
        self._keys = keys
        self._max_body_bytes = max_body_bytes
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self._lifespan(scope, receive, send)
            return
        try:
            admitted = self._admit(scope)
        except ProblemError as error:
            self._metrics.count_refusal(error.status)
            if error.status is HTTPStatus.REQUEST_ENTITY_TOO_LARGE and not _awaits_continue(scope):
                await _drop_body(receive)
            await error.to_response()(scope, receive, send)
            return
        await self._application(admitted, self._limit(receive), send)

    def _admit(self, scope: Scope) -> MutableMapping[str, Any]:
        """The scope that goes on inside.

        Raises:
            ProblemError: the request stays outside.
        """
        endpoint = self._find_endpoint(scope["path"], scope["method"])
        headers: list[tuple[bytes, bytes]] = scope["headers"]
        _check_singles(headers)
        local = _is_local(scope)
        given = [value for name, value in headers if name == KEY_HEADER]
        client = self._keys.find_client(given[0]) if len(given) == 1 else None
        allowed = endpoint.access is Access.OPEN or (endpoint.access is Access.LOCAL_OR_KEY and local)
        if client is None and (not allowed or (given and endpoint.access is not Access.OPEN)):
            raise _no_key(len(given))
        self._check_declared_size(headers)
        state = {LOCAL_KEY: local} | ({CLIENT_KEY: client} if client is not None else {})
        return {**scope, **state}

    def _find_endpoint(self, path: str, method: str) -> Endpoint:
        endpoint = self._endpoints.get(path)
        if endpoint is None:
            raise ProblemError(
                "no-such-path",
                arrived=f"A request for {path[:100]!r} arrived",
                expected=f"one of {', '.join(self._endpoints)}",
                advice="Correct the path; there is no slash at its end",
                headers={"connection": "close"},
            )
        if method not in endpoint.methods:
            raise ProblemError(
                "wrong-method",
                arrived=f"{method[:20]} {path} arrived",
                expected=f"{' or '.join(endpoint.methods)} {path}",
                advice="Ask with that method",
                headers={"allow": ", ".join(endpoint.methods), "connection": "close"},
            )
        return endpoint

    def _check_declared_size(self, headers: list[tuple[bytes, bytes]]) -> None:
        for name, value in headers:
            if name != b"content-length":
                continue
            if not (value.isdigit() and len(value) <= 18):
                raise _malformed(f"A Content-Length of {value[:40]!r} arrived", "a number of bytes")
            if int(value) > self._max_body_bytes:
                raise _too_large(f"A body of {int(value)} bytes was declared", self._max_body_bytes)

    def _limit(self, receive: Receive) -> Receive:
        """`receive` that raises once more than the allowed bytes have streamed in."""
        num_bytes = 0

        async def limited() -> Message:
            nonlocal num_bytes
            message = await receive()
            if message["type"] == "http.request":
                num_bytes += len(message.get("body", b""))
                if num_bytes > self._max_body_bytes:
                    if message.get("more_body"):
                        await _drop_body(receive)
                    raise _too_large(f"A body of at least {num_bytes} bytes arrived", self._max_body_bytes)
            return message

        return limited


async def _drop_body(receive: Receive) -> None:
    """Read the rest of a body and keep none of it, within DROP_SECONDS and DROP_BYTES."""
    num_bytes, more = 0, True
    with suppress(TimeoutError):  # the client is slow: it is answered now
        async with asyncio.timeout(DROP_SECONDS):
            while more and num_bytes < DROP_BYTES:
                message = await receive()
                num_bytes += len(message.get("body", b""))
                more = message.get("more_body", False)


def _awaits_continue(scope: Scope) -> bool:
    """Whether the client sends its body only once it was told to go on, as curl does with a large one."""
    return any(name == b"expect" for name, _ in scope["headers"])


def _check_singles(headers: list[tuple[bytes, bytes]]) -> None:
    """Refuse headers that a proxy before this service might have read differently."""
    for name in sorted(_SINGLE):
        number = sum(each == name for each, _ in headers)
        if number > 1:
            raise _malformed(f"{number} headers {name.decode()} arrived", "one at most")
    names = {name for name, _ in headers}
    if {b"content-length", b"transfer-encoding"} <= names:
        raise _malformed("Both content-length and transfer-encoding arrived", "one of them")


def _is_local(scope: Scope) -> bool:
    """Whether the request came straight from this machine, under a name of this machine.

    A request that a proxy passed on is not local, nor is one of a web page that got here under another
    name (DNS rebinding).
    """
    client = scope.get("client")
    hosts = [value.decode("latin-1").lower() for name, value in scope["headers"] if name == b"host"]
    passed_on = any(name in _FORWARDING for name, _ in scope["headers"])
    names = {host.rpartition(":")[0] if not host.endswith("]") and ":" in host else host for host in hosts}
    return client is not None and client[0] in _LOOPBACK and not passed_on and names <= _LOOPBACK_NAMES


def _no_key(number: int) -> ProblemError:
    arrived = {0: "No X-API-Key arrived", 1: "An X-API-Key that is none of this service's arrived"}
    return ProblemError(
        "no-key",
        arrived=arrived.get(number, f"{number} headers X-API-Key arrived"),
        expected="one header X-API-Key with a key of this service",
        advice="Ask the operator for a key; on the service's own machine, python run.py service status "
        "says where one lies",
        headers={"www-authenticate": 'ApiKey realm="taxon"', "connection": "close"},
    )


def _too_large(arrived: str, most: int) -> ProblemError:
    return ProblemError(
        "too-large",
        arrived=arrived,
        expected=f"at most {most}",
        advice="Send a smaller image: the model looks at a small square of it",
        headers={"connection": "close"},
    )


def _malformed(arrived: str, expected: str) -> ProblemError:
    return ProblemError(
        "malformed-request",
        arrived=arrived,
        expected=expected,
        advice="Use an ordinary HTTP client",
        headers={"connection": "close"},
    )
