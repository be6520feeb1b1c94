"""What is not asked for by name, with a key and within the limits never reaches the application."""

from __future__ import annotations

import asyncio
import json
from collections.abc import MutableMapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from serving.api import guards
from serving.api.endpoints import ENDPOINTS
from serving.api.guards import CLIENT_KEY, LOCAL_KEY, Guard
from serving.api.keys import parse_keys
from serving.api.metrics import ServiceMetrics
from serving.api.problems import ProblemError
from tests.serving.toy import KEY, KEYS, OTHER_KEY

Message = MutableMapping[str, Any]
Headers = list[tuple[bytes, bytes]]
LIMIT = 1000
BY_PATH = {each.path: each for each in ENDPOINTS}
HOST = (b"host", b"127.0.0.1:3000")
WITH_KEY = [HOST, (b"x-api-key", KEY.encode())]


@dataclass
class Asked:
    """What came of one request: the scopes that got inside, what was sent, and the limit's refusal."""

    inside: list[Message] = field(default_factory=list)
    sent: list[Message] = field(default_factory=list)
    problem: ProblemError | None = None
    num_read: int = 0
    num_read_before_answer: int = 0

    @property
    def status(self) -> int | None:
        return self.sent[0].get("status") if self.sent else None

    @property
    def headers(self) -> dict[str, str]:
        return {name.decode(): value.decode() for name, value in self.sent[0]["headers"]}

    @property
    def body(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads(self.sent[1]["body"])
        return content


def ask(
    path: str,
    headers: Headers,
    method: str = "GET",
    chunks: tuple[bytes, ...] = (b"",),
    client: str | None = "127.0.0.1",
    kind: str = "http",
    metrics: ServiceMetrics | None = None,
) -> Asked:
    """One request through a guard of 1,000 bytes; the application behind it reads the whole body."""
    asked, queue = Asked(), list(chunks)

    async def receive() -> Message:
        asked.num_read += 1
        return {"type": "http.request", "body": queue.pop(0), "more_body": bool(queue)}

    async def send(message: Message) -> None:
        asked.num_read_before_answer = asked.num_read
        asked.sent.append(message)

    async def inside(scope: Message, receive: Any, _send: Any) -> None:
        asked.inside.append(scope)
        try:
            while scope["type"] == "http" and (await receive())["more_body"]:
                pass
        except ProblemError as error:
            asked.problem = error

    scope = {
        "type": kind,
        "path": path,
        "method": method,
        "headers": headers,
        "client": None if client is None else (client, 5),
    }
    guard = Guard(inside, inside, ENDPOINTS, parse_keys(KEYS), LIMIT, metrics or ServiceMetrics())
    asyncio.run(guard(scope, receive, send))
    return asked


@pytest.mark.parametrize(
    "path", ["/", "/predict/", "/docs.json", "/schema.json", "/healthz", "//livez", "/../livez", "/livez\x00"]
)
def test_every_other_path_is_404_with_a_key_or_without(path: str) -> None:
    for headers in ([HOST], WITH_KEY):
        asked = ask(path, headers)
        assert (asked.status, asked.inside) == (404, [])
        assert "/predict" in asked.body["expected"]


def test_many_unknown_paths_make_one_series() -> None:
    metrics = ServiceMetrics()
    for number in range(50):
        ask(f"/nowhere-{number}", [HOST], metrics=metrics)
    lines = [line for line in metrics.render().decode().splitlines() if "refusals_total{" in line]
    assert lines == ['taxon_refusals_total{status="404"} 50.0']


@pytest.mark.parametrize(
    ("path", "method"), [("/predict", "GET"), ("/livez", "POST"), ("/predict", "OPTIONS")]
)
def test_another_method_is_405_and_told_the_right_one(path: str, method: str) -> None:
    asked = ask(path, WITH_KEY, method)
    assert (asked.status, asked.inside) == (405, [])
    assert asked.headers["allow"] == ", ".join(BY_PATH[path].methods)


@pytest.mark.parametrize(
    "headers",
    [
        [HOST],
        [HOST, (b"x-api-key", b"")],
        [HOST, (b"x-api-key", b"0123456789abcdef-guess")],
        [HOST, (b"x-api-key", KEY.encode()), (b"x-api-key", KEY.encode())],
        [HOST, (b"x-api-key", KEY.encode()), (b"x-api-key", OTHER_KEY.encode())],
        [HOST, (b"x-api-key", "schlüssel".encode())],
        [HOST, (b"x-api-key", b"k" * 60_000)],
        [HOST, (b"authorization", b"Bearer " + KEY.encode())],
    ],
)
def test_predict_without_exactly_one_right_key_is_401(headers: Headers) -> None:
    asked = ask("/predict", headers, "POST")
    assert (asked.status, asked.inside) == (401, [])
    assert "www-authenticate" in asked.headers
    assert KEY not in json.dumps(asked.body)


def test_a_right_key_names_its_client_inside() -> None:
    asked = ask("/predict", [HOST, (b"x-api-key", OTHER_KEY.encode())], "POST")
    assert [scope[CLIENT_KEY] for scope in asked.inside] == ["other"]


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
def test_probes_need_no_key_from_anywhere(path: str) -> None:
    asked = ask(path, [(b"host", b"fish.example")], client="192.0.2.7")
    assert [(CLIENT_KEY in scope, scope[LOCAL_KEY]) for scope in asked.inside] == [(False, False)]


@pytest.mark.parametrize("path", ["/metrics", "/model"])
@pytest.mark.parametrize(
    ("headers", "client", "inside"),
    [
        ([HOST], "127.0.0.1", 1),
        ([(b"host", b"LOCALHOST")], "127.0.0.1", 1),
        ([(b"host", b"[::1]:3000")], "::1", 1),
        ([HOST], "192.0.2.7", 0),
        ([HOST], None, 0),
        ([(b"host", b"rebound.example:3000")], "127.0.0.1", 0),
        ([HOST, (b"x-forwarded-for", b"127.0.0.1")], "127.0.0.1", 0),
        ([HOST, (b"via", b"1.1 proxy")], "127.0.0.1", 0),
        ([HOST, (b"forwarded", b"for=127.0.0.1")], "127.0.0.1", 0),
        ([HOST, (b"x-forwarded-host", b"127.0.0.1")], "127.0.0.1", 0),
        ([HOST, (b"x-real-ip", b"127.0.0.1")], "127.0.0.1", 0),
        ([HOST, (b"x-api-key", b"wrong")], "127.0.0.1", 0),
        ([*WITH_KEY, (b"x-forwarded-for", b"192.0.2.7")], "192.0.2.7", 1),
    ],
)
def test_metrics_and_model_are_for_this_machine_or_a_key(
    path: str, headers: Headers, client: str | None, inside: int
) -> None:
    asked = ask(path, headers, client=client)
    assert len(asked.inside) == inside
    assert asked.status == (None if inside else 401)


def test_a_declared_body_of_the_limit_passes_and_one_byte_more_is_413() -> None:
    assert ask("/predict", [*WITH_KEY, (b"content-length", b"1000")], "POST").inside
    asked = ask("/predict", [*WITH_KEY, (b"content-length", b"1001")], "POST")
    assert (asked.status, asked.inside) == (413, [])
    assert "1001 bytes" in asked.body["arrived"]


def test_a_body_that_streams_past_the_limit_is_cut_there() -> None:
    assert ask("/predict", WITH_KEY, "POST", chunks=(b"x" * 400, b"x" * 600, b"")).problem is None
    asked = ask("/predict", WITH_KEY, "POST", chunks=(b"x" * 400, b"x" * 601, b"x" * 10**6))
    assert asked.problem is not None
    assert asked.problem.status == 413


@pytest.mark.parametrize(("extra", "num_read"), [([], 3), ([(b"expect", b"100-continue")], 0)])
def test_a_body_declared_too_large_is_read_before_it_is_refused_unless_the_client_waits(
    extra: Headers, num_read: int
) -> None:
    headers = [*WITH_KEY, (b"content-length", b"3000"), *extra]
    asked = ask("/predict", headers, "POST", chunks=(b"x" * 1000,) * 3)
    assert (asked.status, asked.inside, asked.num_read_before_answer) == (413, [], num_read)


def test_what_is_read_of_a_refused_body_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guards, "DROP_BYTES", 1500)
    headers = [*WITH_KEY, (b"content-length", b"9000")]
    asked = ask("/predict", headers, "POST", chunks=(b"x" * 1000,) * 9)
    assert (asked.status, asked.num_read_before_answer) == (413, 2)
    asked = ask("/predict", WITH_KEY, "POST", chunks=(b"x" * 1001,) * 9)
    assert asked.problem is not None
    assert asked.num_read == 3


@pytest.mark.parametrize(
    "extra",
    [
        [(b"content-length", b"10"), (b"content-length", b"10")],
        [(b"content-length", b"10"), (b"transfer-encoding", b"chunked")],
        [(b"content-length", b"-5")],
        [(b"content-length", b"1e9")],
        [(b"content-length", "١٢".encode())],
        [(b"content-length", b"9" * 5000)],
        [(b"host", b"other.example")],
        [(b"content-type", b"a/b"), (b"content-type", b"multipart/form-data")],
    ],
)
def test_headers_that_two_readers_could_read_differently_are_400(extra: Headers) -> None:
    asked = ask("/predict", [*WITH_KEY, *extra], "POST")
    assert (asked.status, asked.inside) == (400, [])


def test_websockets_are_closed_and_start_up_messages_pass() -> None:
    assert ask("/predict", WITH_KEY, kind="websocket").sent == [{"type": "websocket.close", "code": 1008}]
    assert len(ask("", [], kind="lifespan").inside) == 1
