"""A client of the service over the toy, in process: all that is ours, without a server."""

from __future__ import annotations

import io
import time
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from starlette.testclient import TestClient

from serving.api.answering.answers import Answerer
from serving.api.answering.state import LoadAnswerer, ServiceState
from serving.api.application import Application
from serving.api.keys import CHECK_CLIENT, KeyScope, parse_keys
from serving.api.metrics import ServiceMetrics
from serving.api.problems import MEDIA_TYPE
from serving.api.requests.rates import RateLimits
from serving.api.settings import ServiceSettings
from tests.serving.toy import KEY, KEYS, make_answerer

WITH_KEY = {"X-API-Key": KEY}
CHECK_KEY = "c" * 24
SCOPED_KEYS = {scope: scope.ljust(16, "-") for scope in KeyScope}
"""A key for one thing alone, each."""
UNLIMITED = RateLimits(ServiceSettings(rate_limit="none", predict_rate_limit="none"))
Response = Any


def logged_toy(path: Path) -> LoadAnswerer:
    """What loads the toy with a log in the file `path`."""
    url = SecretStr(f"sqlite:///{path}")
    return lambda settings, metrics: make_answerer(settings.model_copy(update={"log_url": url}), metrics)


def load_toy(settings: ServiceSettings, metrics: ServiceMetrics) -> Answerer:
    """The toy without a log."""
    return make_answerer(settings, metrics)


@contextmanager
def serve(
    settings: ServiceSettings | None = None,
    load: LoadAnswerer = load_toy,
    *,
    wait: bool = True,
    rates: RateLimits = UNLIMITED,
) -> Iterator[TestClient]:
    """A client on this machine; with `wait`, once the model is loaded."""
    state = ServiceState(settings or ServiceSettings(), ServiceMetrics(), load)
    scoped = ",".join(f"only-{scope}@{scope}:{key}" for scope, key in SCOPED_KEYS.items())
    application = Application(state, parse_keys(f"{KEYS},{scoped},{CHECK_CLIENT}:{CHECK_KEY}"), rates)
    with TestClient(application, "http://127.0.0.1:3000", client=("127.0.0.1", 5)) as client:
        deadline = time.monotonic() + 120
        while wait and client.get("/readyz").status_code == 503 and time.monotonic() < deadline:
            time.sleep(0.01)
        yield client


def predict(client: TestClient, image: bytes, query: str = "", **fields: str) -> Response:
    """The answer to one upload."""
    files = {"image": ("fish.png", image, "image/png")}
    return client.post(f"/predict{query}", files=files, data=fields, headers=WITH_KEY)


def pack(members: Mapping[str, bytes]) -> bytes:
    """A ZIP archive of these files, in this order."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in members.items():
            packed.writestr(name, content)
    return buffer.getvalue()


def check_problem(response: Response, status: int, code: str) -> dict[str, Any]:
    """The body of a refusal, after checking its form."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == MEDIA_TYPE
    body: dict[str, Any] = response.json()
    assert (body["status"], body["type"]) == (status, f"urn:taxon:problem:{code}")
    assert all(body[name] for name in ("title", "detail", "arrived", "expected", "advice"))
    assert ".py" not in response.text.replace("python run.py service status", "")
    return body


def read_metric(client: TestClient, name: str) -> float:
    """One series of /metrics."""
    lines = [line for line in client.get("/metrics").text.splitlines() if line.startswith(name + " ")]
    return float(lines[0].split()[-1])
