"""Under a load of sixteen clients a new version takes over, and none of their requests fails."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

from serving.runtime.agreement import TestImage, compare_service
from serving.runtime.bento import build_in_store
from serving.runtime.launch import Launched
from serving.runtime.process import deploy_service, find_service, start_service, stop_service
from serving.runtime.running import RunningService, ServiceFolder
from tests.serving.runtime.services import find_port, find_workers, forget_keys, serve_at
from tests.serving.toy import RED, make_bundle, paint
from tests.vision.training.nets.toy import KERAS_WARNINGS
from vision.base.errors import ServiceError
from vision.bundle.assembly import load_bundle

pytestmark = [pytest.mark.slow, KERAS_WARNINGS]

CLIENTS = 16


class Asked(NamedTuple):
    """One request: when it was sent, how long it took, and what its answer says of the model."""

    sent: float
    seconds: float
    version: str
    digest: str


@dataclass
class Load:
    """What the clients saw: answers, and requests without one."""

    answers: list[Asked] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def versions_since(self, moment: float) -> set[str]:
        """Who answered what was sent from then on."""
        return {each.version for each in self.answers if each.sent > moment}


@contextmanager
def under_load(service: RunningService, key: str) -> Iterator[Load]:
    """Sixteen clients, every second of which keeps its connection, ask without a pause."""
    load, ended, image = Load(), threading.Event(), paint(RED)

    def ask_on(number: int) -> None:
        limits = httpx.Limits(max_keepalive_connections=number % 2)
        with httpx.Client(trust_env=False, timeout=30, limits=limits, headers={"X-API-Key": key}) as client:
            while not ended.is_set():
                sent = time.monotonic()
                try:
                    answered = client.post(f"{service.url}/predict", files={"image": image})
                    model = answered.raise_for_status().json()["model"]
                except (httpx.HTTPError, ValueError, KeyError) as error:
                    load.failures.append(repr(error))
                else:
                    seconds = time.monotonic() - sent
                    load.answers.append(Asked(sent, seconds, model["version"], model["digest"]))

    clients = [threading.Thread(target=ask_on, args=(number,)) for number in range(CLIENTS)]
    for client in clients:
        client.start()
    try:
        yield load
    finally:
        ended.set()
        for client in clients:
            client.join()


def test_no_request_fails_in_a_promotion_a_rollback_and_a_refused_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forget_keys(monkeypatch)
    folder, bundle, image = ServiceFolder(tmp_path), make_bundle(), tmp_path / "red.png"
    image.write_bytes(paint(RED))
    first = build_in_store(folder, bundle.root, bundle.digest, "1")
    second = build_in_store(folder, bundle.root, bundle.digest, "2")
    service = start_service(folder, first, serve_at(find_port()))

    def check(launched: Launched) -> None:
        loaded = load_bundle(bundle.root, bundle.digest)
        compare_service(launched.url, launched.key, loaded, [TestImage(image, is_unknown=False)], 0.0)

    try:
        with under_load(service, folder.key.read_text().strip()) as load:
            time.sleep(0.5)
            for bento in (second, first):
                deploy_service(folder, bento, service.serve, check)
                swapped = time.monotonic()
                time.sleep(0.5)
                assert load.versions_since(swapped) == {bento.model.version}
            (graph,) = folder.bentoml.rglob("models/**/fp32.tflite")
            graph.write_bytes(graph.read_bytes()[:-1])
            kept, began = find_service(folder), time.monotonic()
            with pytest.raises(ServiceError, match=r"fp32\.tflite"):
                deploy_service(folder, second, service.serve, check)
            assert find_service(folder) == kept
            assert load.versions_since(began) == {"1"}
        assert not load.failures
        assert len(load.answers) > 10 * CLIENTS
        assert {each.digest for each in load.answers} == {bundle.digest}
        assert max(each.seconds for each in load.answers) < 10
        assert kept is not None
        assert len(find_workers(kept)) == 1
    finally:
        stop_service(folder)
