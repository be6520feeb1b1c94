"""The toy's service in a thread of this process, asked over real HTTP."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn

from serving.api.answering.state import ServiceState
from serving.api.application import Application
from serving.api.keys import parse_keys
from serving.api.metrics import ServiceMetrics
from serving.api.requests.heads import BoundedH11
from serving.api.settings import ServiceSettings
from serving.client import ask_service
from serving.runtime.running import BuiltBento, RunningService
from tests.serving.api.client import UNLIMITED, load_toy, logged_toy
from tests.serving.toy import KEY, KEYS, RED, make_bundle, make_pin, paint
from vision.base.errors import ServiceError
from vision.config.serve import ServeSettings

SETTINGS = ServiceSettings()


@contextmanager
def serving_toy(log: Path | None = None, settings: ServiceSettings = SETTINGS) -> Iterator[RunningService]:
    """The toy's service in a thread of this process, on a port of its own, with a log in the file `log`."""
    metrics = ServiceMetrics()
    load = load_toy if log is None else logged_toy(log)
    state = ServiceState(settings, metrics, load)
    protocol = type("Counted", (BoundedH11,), {"count": staticmethod(metrics.count_refusal)})
    server = uvicorn.Server(
        uvicorn.Config(
            Application(state, parse_keys(KEYS), UNLIMITED), port=0, http=protocol, log_level="error"
        )
    )
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        deadline = time.monotonic() + 120
        while not server.started and time.monotonic() < deadline:
            time.sleep(0.01)
        service = describe(server.servers[0].sockets[0].getsockname()[1])
        while time.monotonic() < deadline:
            try:
                ask_service(service.url, KEY, paint(RED))
                break
            except ServiceError:
                time.sleep(0.05)
        yield service
    finally:
        server.should_exit = True
        thread.join()


def describe(port: int) -> RunningService:
    """The record of a service that is this process."""
    pin = make_pin(make_bundle())
    return RunningService(
        pid=os.getpid(),
        instance=SETTINGS.instance,
        serve=ServeSettings(port=port),
        bento=BuiltBento(tag=pin.tag, model=pin),
        output="log",
        keys_from_environment=True,
        since="2026-01-01T00:00:00+00:00",
    )
