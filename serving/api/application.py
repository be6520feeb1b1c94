"""The service as an ASGI application: what passes its checks reaches an endpoint, all else is a problem.

A request is checked in this order: the exact path (404), before any metric or log line could be named after
it; the method (405); headers that two readers could read differently (400); the key (401) and what it is for
(403); how often it asked (429); the size of the body, as declared and again while it streams in (413). A body
that is too large is read and dropped for a while before that is said: plain clients send all of it before
they listen, and would meet a closed connection instead.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import anyio
import anyio.to_thread
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Router
from starlette.types import Message, Receive, Scope, Send

from serving.api.answering.state import ServiceState
from serving.api.endpoint import Access, Endpoint
from serving.api.endpoints import ENDPOINTS
from serving.api.endpoints.probes import READYZ
from serving.api.keys import ApiKey, KeyScope
from serving.api.problems import GUARDING_HEADERS, ProblemError
from serving.api.refusals import not_logged
from serving.api.requests.rates import RateLimits
from vision.base.errors import LogError

DROP_SECONDS = 5.0
DROP_BYTES = 64_000_000
"""What is read at most of a body that is refused for its size."""

HEAD_BYTES = 16_384
"""Of all headers' names and values."""

Headers = list[tuple[bytes, bytes]]
_CLOSE = {"connection": "close"}
_LOOPBACK = frozenset({"127.0.0.1", "::1"})
_LOOPBACK_NAMES = frozenset({"127.0.0.1", "localhost", "[::1]"})
_FORWARDING = frozenset({b"forwarded", b"x-forwarded-for", b"x-forwarded-host", b"x-real-ip", b"via"})
_SINGLE = (b"content-length", b"content-type", b"host", b"transfer-encoding")
_logger = logging.getLogger("taxon.serving")


@dataclass
class Exchange:
    """What is known of a request once it is admitted: whose key came, and headers of its answer."""

    client: str | None = None
    headers: dict[str, str] = field(default_factory=dict)


class Application:
    """ASGI application over a state; its lifespan loads the model."""

    def __init__(
        self,
        state: ServiceState,
        keys: Mapping[str, ApiKey],
        rates: RateLimits,
        endpoints: Sequence[Endpoint] = ENDPOINTS,
    ) -> None:
        """Answer at `endpoints` who has one of `keys`, by client, and has not asked too often."""
        self._state = state
        self._keys = keys
        self._rates = rates
        self._endpoints = {each.path: each for each in endpoints}
        self._lifespan = Router(lifespan=self._live)

    @asynccontextmanager
    async def _live(self, _router: Router) -> AsyncIterator[None]:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(anyio.to_thread.run_sync, self._state.load)
            yield
        self._state.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; websockets are closed."""
        if scope["type"] == "http":
            exchange = Exchange()
            response = await self._respond(scope, receive, exchange)
            for name, value in (*exchange.headers.items(), *GUARDING_HEADERS.items()):
                response.headers.setdefault(name, value)
            path = scope["path"] if scope["path"] in self._endpoints else "other"
            self._state.metrics.requests.labels(path, str(response.status_code)).inc()
            with suppress(ClientDisconnect):  # nobody is there to read the rest
                await response(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            await self._lifespan(scope, receive, send)

    async def _respond(self, scope: Scope, receive: Receive, exchange: Exchange) -> Response:
        try:
            endpoint = self._find_endpoint(scope["path"], scope["method"])
            known = self._admit(endpoint, scope)
            exchange.client = known["client"]
            if exchange.client is not None and endpoint.scope is not None:
                _check_scope(self._keys[exchange.client], endpoint.scope)
            exchange.headers = await self._rates.count(exchange.client, endpoint)
            most: int = getattr(self._state.settings, endpoint.max_body)
            admitted = {**scope, "state": known}
            await _check_declared_size(scope["headers"], receive, most)
            answer = await endpoint.handler(self._state, Request(admitted, _limit(receive, most)))
        except ProblemError as error:
            return self._refuse(scope, error, exchange.client)
        except LogError:
            refused = not_logged("the prediction log cannot be written or read")
            return self._refuse(scope, refused, exchange.client)
        except ClientDisconnect:
            return Response(status_code=HTTPStatus.BAD_REQUEST.value)  # nobody is there to read it
        except Exception:
            _logger.exception("A fault of this program")
            fault = ProblemError(
                "fault",
                arrived=f"{scope['method']} {scope['path']} met a fault of this program",
                expected="none",
                advice="The operator finds it in the service's log",
            )
            return self._refuse(scope, fault, exchange.client)
        if isinstance(answer, Response):
            return answer
        return Response(answer.model_dump_json(exclude_none=True), media_type=endpoint.media_type)

    def _refuse(self, scope: Scope, error: ProblemError, client: str | None) -> Response:
        if error.code not in ("loading", "refused") or scope["path"] != READYZ.path:  # polls are no refusals
            self._state.metrics.count_refusal(error.status)
            path = scope["path"] if scope["path"] in self._endpoints else "other"
            told = {"code": error.code, "status": error.status.value, "path": path, "client": client}
            _logger.info("refused", extra=told)
        return error.to_response()

    def _find_endpoint(self, path: str, method: str) -> Endpoint:
        endpoint = self._endpoints.get(path)
        if endpoint is None:
            raise ProblemError(
                "no-such-path",
                arrived=f"A request for {path[:100]!r} arrived",
                expected=f"one of {', '.join(self._endpoints)}",
                advice="Correct the path; there is no slash at its end",
                headers=_CLOSE,
            )
        if method not in endpoint.methods:
            raise ProblemError(
                "wrong-method",
                arrived=f"{method[:20]} {path} arrived",
                expected=f"{' or '.join(endpoint.methods)} {path}",
                advice="Ask with that method",
                headers={"allow": ", ".join(endpoint.methods), **_CLOSE},
            )
        return endpoint

    def _admit(self, endpoint: Endpoint, scope: Scope) -> dict[str, Any]:
        """What endpoints find as `request.state`: whose key came, and whether from this machine.

        Raises:
            ProblemError: the headers are ambiguous (400), or a key is missing (401).
        """
        headers: Headers = scope["headers"]
        _check_singles(headers)
        local = _is_local(scope)
        given = [value for name, value in headers if name == b"x-api-key"]
        client = self._find_client(given[0]) if len(given) == 1 else None
        allowed = endpoint.access is Access.OPEN or (
            endpoint.access is Access.LOCAL_OR_KEY and local and not given
        )
        if client is None and not allowed:
            raise _no_key(len(given))
        return {"client": client, "local": local, "endpoints": tuple(self._endpoints.values())}

    def _find_client(self, key: bytes) -> str | None:
        """Whose key this is; every one is compared, each in constant time, whatever the others gave."""
        digest = hashlib.sha256(key).digest()
        found = [client for client, own in self._keys.items() if hmac.compare_digest(own.digest, digest)]
        return found[0] if found else None


async def _check_declared_size(headers: Headers, receive: Receive, most: int) -> None:
    declared = next((value for name, value in headers if name == b"content-length"), b"0")
    if not (declared.isdigit() and len(declared) <= 18):
        raise _malformed(f"A Content-Length of {declared[:40]!r} arrived", "a number of bytes")
    if int(declared) > most:
        if not any(name == b"expect" for name, _ in headers):  # as curl does, which then sends no body
            await _drop_body(receive)
        raise _too_large(f"A body of {int(declared)} bytes was declared", most)


def _limit(receive: Receive, most: int) -> Receive:
    """`receive` that raises once more than `most` bytes have streamed in."""
    num_bytes = 0

    async def limited() -> Message:
        nonlocal num_bytes
        message = await receive()
        num_bytes += len(message.get("body", b""))
        if num_bytes > most:
            if message.get("more_body"):
                await _drop_body(receive)
            raise _too_large(f"A body of at least {num_bytes} bytes arrived", most)
        return message

    return limited


def _too_large(arrived: str, most: int) -> ProblemError:
    return ProblemError(
        "too-large",
        arrived=arrived,
        expected=f"at most {most}",
        advice="Send smaller images: the model looks at a small square of each",
        headers=_CLOSE,
    )


async def _drop_body(receive: Receive) -> None:
    """Read the rest of a body and keep none of it, within DROP_SECONDS and DROP_BYTES."""
    num_bytes, more = 0, True
    with suppress(TimeoutError):  # the client is slow: it is answered now
        async with asyncio.timeout(DROP_SECONDS):
            while more and num_bytes < DROP_BYTES:
                message = await receive()
                num_bytes += len(message.get("body", b""))
                more = message.get("more_body", False)


def _check_singles(headers: Headers) -> None:
    """Refuse headers that are too long, or that a proxy might have read differently."""
    names = [name for name, _ in headers]
    size = sum(len(name) + len(value) for name, value in headers)
    if size > HEAD_BYTES:  # the parser lets more pass where it arrives at once
        raise _malformed(f"Headers of {size} bytes arrived", f"at most {HEAD_BYTES}")
    for name in _SINGLE:
        if names.count(name) > 1:
            raise _malformed(f"{names.count(name)} headers {name.decode()} arrived", "one at most")
    if b"content-length" in names and b"transfer-encoding" in names:
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
        headers={"www-authenticate": 'ApiKey realm="taxon"', **_CLOSE},
    )


def _check_scope(key: ApiKey, scope: KeyScope) -> None:
    if scope not in key.scopes:
        raise ProblemError(
            "scope",
            arrived="A key arrived that is not for this",
            expected=f"a key with the scope {scope}",
            advice="Use another key, or ask the operator for one",
            headers=_CLOSE,
        )


def _malformed(arrived: str, expected: str) -> ProblemError:
    return ProblemError(
        "malformed-request",
        arrived=arrived,
        expected=expected,
        advice="Use an ordinary HTTP client",
        headers=_CLOSE,
    )
