"""What is not asked for by name, with a key and within the limits reaches no endpoint."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
import time
from collections.abc import MutableMapping
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import Response

from serving.api import application
from serving.api.answering.answers import Answerer
from serving.api.answering.state import ServiceState
from serving.api.application import Application
from serving.api.endpoints import ENDPOINTS
from serving.api.keys import parse_keys
from serving.api.metrics import ServiceMetrics
from serving.api.settings import ServiceSettings
from tests.serving.api.client import UNLIMITED, check_problem, load_toy, predict, read_metric, serve
from tests.serving.toy import KEY, KEYS, OTHER_KEY, RED, paint
from tests.vision.training.nets.toy import KERAS_WARNINGS
from vision.base.errors import BundleError

pytestmark = [pytest.mark.slow, KERAS_WARNINGS]

Message = MutableMapping[str, Any]
Headers = list[tuple[bytes, bytes]]
LIMIT = 1000
HOST = (b"host", b"127.0.0.1:3000")
WITH_KEY = [HOST, (b"x-api-key", KEY.encode())]


@dataclass
class Asked:
    """What came of one request: what reached an endpoint, and what was sent."""

    inside: list[Any] = field(default_factory=list)
    sent: list[Message] = field(default_factory=list)
    num_read: int = 0

    @property
    def status(self) -> int:
        return int(self.sent[0]["status"])

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
    """One request to a service of 1,000 bytes whose endpoints read the whole body and answer 200."""
    asked, queue = Asked(), list(chunks)

    async def receive() -> Message:
        asked.num_read += 1
        return {"type": "http.request", "body": queue.pop(0), "more_body": bool(queue)}

    async def send(message: Message) -> None:
        asked.sent.append(message)

    async def handle(_state: ServiceState, request: Request) -> Response:
        asked.inside.append(request.state)
        await request.body()
        return Response()

    scope = {
        "type": kind,
        "path": path,
        "method": method,
        "headers": headers,
        "client": None if client is None else (client, 5),
    }
    state = ServiceState(ServiceSettings(max_body_bytes=LIMIT), metrics or ServiceMetrics(), load_toy)
    endpoints = [replace(each, handler=handle) for each in ENDPOINTS]
    asyncio.run(Application(state, parse_keys(KEYS), UNLIMITED, endpoints)(scope, receive, send))
    return asked


@pytest.mark.parametrize("path", ["/", "/predict/", "/docs.json", "/schema.json", "//livez", "/livez\x00"])
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
    assert 'taxon_requests_total{path="other",status="404"} 50.0' in metrics.render().decode()


@pytest.mark.parametrize(
    ("path", "method", "allowed"),
    [("/predict", "GET", "POST"), ("/livez", "POST", "GET, HEAD"), ("/predict", "OPTIONS", "POST")],
)
def test_another_method_is_405_and_told_the_right_one(path: str, method: str, allowed: str) -> None:
    asked = ask(path, WITH_KEY, method)
    assert (asked.status, asked.inside, asked.headers["allow"]) == (405, [], allowed)


@pytest.mark.parametrize(
    "keys",
    [
        [],
        [b""],
        [b"0123456789abcdef-guess"],
        [KEY[:-1].encode()],
        [KEY.encode(), KEY.encode()],
        [KEY.encode(), OTHER_KEY.encode()],
        ["schlüssel".encode()],
        [b"\xff\xfe\x00" * 8],
        [b"k" * 10_000],
    ],
)
def test_predict_without_exactly_one_right_key_is_401(keys: list[bytes]) -> None:
    asked = ask("/predict", [HOST, *((b"x-api-key", key) for key in keys)], "POST")
    assert (asked.status, asked.inside) == (401, [])
    assert "www-authenticate" in asked.headers
    assert KEY not in json.dumps(asked.body)
    assert "/" not in asked.body["advice"]  # strangers read it: no path


def test_a_right_key_names_its_client_inside() -> None:
    asked = ask("/predict", [HOST, (b"x-api-key", OTHER_KEY.encode())], "POST")
    assert [(each.client, each.local) for each in asked.inside] == [("other", True)]


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
def test_probes_need_no_key_from_anywhere(path: str) -> None:
    asked = ask(path, [(b"host", b"fish.example")], client="192.0.2.7")
    assert [(each.client, each.local) for each in asked.inside] == [(None, False)]


@pytest.mark.parametrize("path", ["/metrics", "/model"])
@pytest.mark.parametrize(
    ("headers", "client", "status"),
    [
        ([HOST], "127.0.0.1", 200),
        ([(b"host", b"LOCALHOST")], "127.0.0.1", 200),
        ([(b"host", b"[::1]:3000")], "::1", 200),
        ([HOST], "192.0.2.7", 401),
        ([HOST], None, 401),
        ([(b"host", b"rebound.example:3000")], "127.0.0.1", 401),
        ([HOST, (b"x-forwarded-for", b"127.0.0.1")], "127.0.0.1", 401),
        ([HOST, (b"via", b"1.1 proxy")], "127.0.0.1", 401),
        ([HOST, (b"forwarded", b"for=127.0.0.1")], "127.0.0.1", 401),
        ([HOST, (b"x-forwarded-host", b"127.0.0.1")], "127.0.0.1", 401),
        ([HOST, (b"x-real-ip", b"127.0.0.1")], "127.0.0.1", 401),
        ([HOST, (b"x-api-key", b"wrong")], "127.0.0.1", 401),
        ([*WITH_KEY, (b"x-forwarded-for", b"192.0.2.7")], "192.0.2.7", 200),
    ],
)
def test_metrics_and_model_are_for_this_machine_or_a_key(
    path: str, headers: Headers, client: str | None, status: int
) -> None:
    asked = ask(path, headers, client=client)
    assert (asked.status, len(asked.inside)) == (status, int(status == 200))


@pytest.mark.parametrize(
    ("extra", "chunks", "status", "num_read"),
    [
        ([(b"content-length", b"1000")], (b"x" * 1000,), 200, 1),
        ([(b"content-length", b"1001")], (b"x" * 1000, b"x"), 413, 2),  # all is read before it is refused
        ([(b"content-length", b"1001"), (b"expect", b"100-continue")], (b"x" * 1001,), 413, 0),
        ([], (b"x" * 400, b"x" * 600, b""), 200, 3),
        ([], (b"x" * 400, b"x" * 601, b"x" * 10**6), 413, 3),
        ([(b"content-length", b"99999")], (b"x" * 1000,) * 99, 413, 2),  # up to DROP_BYTES
        ([], (b"x" * 1001,) * 99, 413, 3),
    ],
)
def test_a_body_over_the_limit_is_413(
    extra: Headers, chunks: tuple[bytes, ...], status: int, num_read: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(application, "DROP_BYTES", 1500)
    asked = ask("/predict", [*WITH_KEY, *extra], "POST", chunks)
    assert (asked.status, asked.num_read) == (status, num_read)


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
        [(b"x-%d" % number, b"x" * 1_000) for number in range(17)],
        [(b"content-type", b"a/b"), (b"content-type", b"multipart/form-data")],
    ],
)
def test_headers_that_two_readers_could_read_differently_are_400(extra: Headers) -> None:
    asked = ask("/predict", [*WITH_KEY, *extra], "POST")
    assert (asked.status, asked.inside) == (400, [])


def test_websockets_are_closed() -> None:
    assert ask("/predict", WITH_KEY, kind="websocket").sent == [{"type": "websocket.close", "code": 1008}]


def test_until_the_model_is_loaded_nothing_but_livez_answers() -> None:
    gate = threading.Event()

    def load(settings: ServiceSettings, metrics: ServiceMetrics) -> Answerer:
        gate.wait(30)
        return load_toy(settings, metrics)

    with serve(load=load, wait=False) as client:
        try:
            assert client.get("/livez").status_code == 200
            response = client.get("/readyz")
            assert "being loaded" in check_problem(response, 503, "loading")["arrived"]
            assert response.headers["retry-after"] == "1"
            assert "taxon_refusals_total{" not in client.get("/metrics").text  # polls are no refusals
            check_problem(predict(client, paint(RED)), 503, "loading")
            check_problem(client.get("/model"), 503, "loading")
            assert read_metric(client, 'taxon_refusals_total{status="503"}') == 2
        finally:
            gate.set()


def test_a_refused_model_is_never_ready_and_the_reason_is_for_this_machine_alone() -> None:
    def load(_settings: ServiceSettings, _metrics: ServiceMetrics) -> Answerer:
        raise BundleError("/secret/place/fp16.tflite has been changed")

    with serve(load=load, wait=False) as client:
        deadline = time.monotonic() + 10
        while client.get("/readyz").json()["type"].endswith("loading") and time.monotonic() < deadline:
            time.sleep(0.01)
        assert "has been changed" in check_problem(client.get("/readyz"), 503, "refused")["arrived"]
        elsewhere = client.get("/readyz", headers={"host": "fish.example"})
        assert "secret" not in check_problem(elsewhere, 503, "refused")["detail"]
        check_problem(predict(client, paint(RED)), 503, "refused")


@pytest.mark.parametrize("error", [KeyError("/secret/place.py"), StopIteration()])
def test_an_unforeseen_fault_is_500_told_in_the_log_alone_and_costs_no_thread(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    faults = [error]

    class Faulty(Answerer):
        def answer(self, question: Any) -> Any:
            if faults:
                raise faults.pop()
            return super().answer(question)

    def load(settings: ServiceSettings, metrics: ServiceMetrics) -> Answerer:
        answerer = load_toy(settings, metrics)
        answerer.__class__ = Faulty
        return answerer

    with serve(ServiceSettings(threads=1), load) as client, caplog.at_level(logging.ERROR):
        assert "secret" not in check_problem(predict(client, paint(RED)), 500, "fault")["detail"]
        assert predict(client, paint(RED)).status_code == HTTPStatus.OK
        assert read_metric(client, 'taxon_refusals_total{status="500"}') == 1
    assert "Traceback" in caplog.text
