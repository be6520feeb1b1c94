"""The service as a real process: checked, replaced, stopped; and no foreign process or port touched."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import psutil
import pytest

from orchestration.lock import RunLock
from orchestration.paths import ProjectPaths
from orchestration.service import (
    RunningService,
    ServiceFolder,
    build_bento,
    curl_line,
    deploy_service,
    service_logs,
    service_status,
    start_service,
    stop_service,
)
from serving.bento import BuiltBento
from serving.pinned import PinnedModel
from tests.serving.toy import RED, make_bundle, paint
from tests.vision.nets.toy import KERAS_WARNINGS
from vision.errors import ConfigError, RunLockedError, ServiceError

TRAINING_LIBRARIES = ("tensorflow", "keras", "sklearn", "scipy", "pandas", "matplotlib", "zenml", "evidently")


@pytest.fixture(autouse=True)
def _no_keys_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("TAXON_") and name != "TAXON_SHARED"]:
        monkeypatch.delenv(name)


def find_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def ask(service: RunningService, path: str, image: bytes | None = None, key: str = "") -> tuple[int, Any]:
    """Status and JSON of one request."""
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=20)
    form = b'--b\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n\r\n%b\r\n--b--\r\n'
    headers = {"X-API-Key": key, "Content-Type": "multipart/form-data; boundary=b"} if key else {}
    try:
        body = None if image is None else form % image
        connection.request("GET" if image is None else "POST", path, body, headers)
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def make_bento(tmp_path: Path) -> BuiltBento:
    """A Bento on paper, for what goes wrong before one is needed."""
    pin = PinnedModel(name="toy", version="3", digest="a" * 64, tag="toy:aaaa")
    (tmp_path / "src").mkdir(exist_ok=True)
    return BuiltBento(tag="toy:1", path=tmp_path, model=pin)


class TestRealProcess:
    pytestmark: ClassVar = [pytest.mark.slow, KERAS_WARNINGS]

    @pytest.fixture
    def paths(self, tmp_path: Path) -> Iterator[ProjectPaths]:
        paths = ProjectPaths.of(tmp_path)
        yield paths
        stop_service(paths)

    def test_a_service_is_deployed_asked_kept_restored_and_stopped(self, paths: ProjectPaths) -> None:
        bundle, port, asked = make_bundle(), find_port(), Counter[str]()
        bento = build_bento(paths, bundle.root, bundle.digest, "3")
        assert build_bento(paths, bundle.root, bundle.digest, "3") == bento
        service = deploy_service(paths, bento, lambda each: asked.update([each.instance]), port=port)
        assert sorted(asked.values()) == [1, 1]  # a trial, then the service itself
        assert service.instance in asked
        check_answers(paths, service)
        check_worker_is_slim(service)
        with pytest.raises(ServiceError, match="running already"):
            start_service(paths, bento, port=find_port())

        with pytest.raises(ServiceError, match="the answers are not equal") as caught:
            deploy_service(paths, bento, Disagreement(after=0), port=port)
        assert "started again" not in str(caught.value)
        assert ask(service, "/readyz")[1]["instance"] == service.instance

        with pytest.raises(ServiceError, match=r"the answers are not equal.*\n.*was started again"):
            deploy_service(paths, bento, Disagreement(after=1), port=port)
        assert not psutil.pid_exists(service.pid)
        restored = service_status(paths)
        assert restored.ready
        assert restored.running is not None
        assert (restored.running.port, restored.running.bento) == (port, bento)

        assert stop_service(paths) == restored.running
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", port)) != 0
        assert not list(ServiceFolder.of(paths).homes.iterdir())
        assert stop_service(paths) is None

    def test_a_worker_leaves_with_its_supervisor_and_a_changed_byte_is_refused(
        self, paths: ProjectPaths
    ) -> None:
        bundle = make_bundle()
        bento = build_bento(paths, bundle.root, bundle.digest, "3")
        service = start_service(paths, bento, port=find_port())
        (worker,) = find_workers(service)
        os.kill(service.pid, signal.SIGKILL)
        psutil.wait_procs([worker], timeout=15)
        assert not worker.is_running()
        assert "ended by itself" in service_status(paths).message

        (graph,) = ServiceFolder.of(paths).bentoml.rglob("models/**/fp32.tflite")
        content = bytearray(graph.read_bytes())
        content[len(content) // 2] ^= 1
        graph.write_bytes(content)
        with pytest.raises(ServiceError, match=r"fp32\.tflite has been changed") as refused:
            start_service(paths, bento, port=find_port())
        assert "Not ready, and will not be" in str(refused.value)
        assert service_status(paths).running is None
        assert build_bento(paths, bundle.root, bundle.digest, "3") == bento
        assert graph.read_bytes() == bundle.path("fp32.tflite").read_bytes()


@dataclass
class Disagreement:
    """A check that finds fault with every service but the first `after`."""

    after: int

    def __call__(self, _service: RunningService) -> None:
        if self.after == 0:
            raise ServiceError("the answers are not equal")
        self.after -= 1


def check_answers(paths: ProjectPaths, service: RunningService) -> None:
    """The service answers who has the key, serves the wanted digest, and shows the key to nobody."""
    key = ServiceFolder.of(paths).key.read_text().strip()
    status, answer = ask(service, "/predict", paint(RED), key)
    assert (status, answer["decision"], answer["model"]["version"]) == (200, "accept", "3")
    assert answer["model"]["digest"] == ask(service, "/readyz")[1]["digest"] == make_bundle().digest
    assert ask(service, "/predict", paint(RED), "wrong-wrong-wrong-wrong")[0] == 401
    assert ask(service, "/docs.json")[0] == 404
    assert service_status(paths).ready
    assert "cat" in curl_line(paths, service)
    assert "Starting production" in service_logs(paths)
    assert key not in curl_line(paths, service) + service_logs(paths) + service_status(paths).message


def find_workers(service: RunningService) -> list[psutil.Process]:
    children = psutil.Process(service.pid).children(recursive=True)
    return [child for child in children if "_bentoml_impl.worker.service" in " ".join(child.cmdline())]


def check_worker_is_slim(service: RunningService) -> None:
    """No training library is mapped into the worker, and the process tree stays below 250 MB."""
    (worker,) = find_workers(service)
    mapped = " ".join(each.path for each in worker.memory_maps())
    assert "ai_edge_litert" in mapped
    assert not [name for name in TRAINING_LIBRARIES if f"/site-packages/{name}/" in mapped]
    tree = [psutil.Process(service.pid), *psutil.Process(service.pid).children(recursive=True)]
    assert sum(each.memory_full_info().pss for each in tree) < 250e6


def test_a_bundle_that_is_not_the_pinned_one_is_not_built(tmp_path: Path) -> None:
    with pytest.raises(ServiceError, match="could not be built"):
        build_bento(ProjectPaths.of(tmp_path), tmp_path, "0" * 64, "3")


def test_a_foreign_port_is_refused_before_anything_starts(tmp_path: Path) -> None:
    paths = ProjectPaths.of(tmp_path)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"taken by another program.*--port {port + 1}"):
            start_service(paths, make_bento(tmp_path), port=port)
        with pytest.raises(ConfigError, match="taken by another program"):
            deploy_service(paths, make_bento(tmp_path), port=port)
    assert not ServiceFolder.of(paths).record.exists()
    assert not ServiceFolder.of(paths).logs.exists()


@pytest.mark.parametrize("port", [0, -1, 65536])
def test_a_number_that_is_no_port_is_refused(tmp_path: Path, port: int) -> None:
    with pytest.raises(ConfigError, match="expected 1 to 65535"):
        start_service(ProjectPaths.of(tmp_path), make_bento(tmp_path), port=port)


def test_a_wrong_setting_is_found_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TAXON_MAX_BODY_BYTES", "many")
    paths = ProjectPaths.of(tmp_path)
    with pytest.raises(ConfigError, match="TAXON_MAX_BODY_BYTES"):
        start_service(paths, make_bento(tmp_path), port=find_port())
    assert not ServiceFolder.of(paths).logs.exists()


def test_a_service_that_dies_at_its_start_is_reported_with_its_last_words(tmp_path: Path) -> None:
    paths = ProjectPaths.of(tmp_path)
    with pytest.raises(ServiceError, match="its process ended") as caught:
        start_service(paths, make_bento(tmp_path), port=find_port())
    assert "bento" in str(caught.value).rpartition("The end of its log")[2].lower()
    assert not ServiceFolder.of(paths).record.exists()


def test_two_starts_do_not_race(tmp_path: Path) -> None:
    paths = ProjectPaths.of(tmp_path)
    with RunLock(ServiceFolder.of(paths).lock, "service start"):
        with pytest.raises(RunLockedError):
            start_service(paths, make_bento(tmp_path), port=find_port())
        with pytest.raises(RunLockedError):
            deploy_service(paths, make_bento(tmp_path), port=find_port())
        with pytest.raises(RunLockedError):
            stop_service(paths)


def test_a_process_that_got_the_id_of_a_dead_service_is_left_alone(tmp_path: Path) -> None:
    paths = ProjectPaths.of(tmp_path)
    folder = ServiceFolder.of(paths)
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as stranger:
        created = psutil.Process(stranger.pid).create_time()
        record = RunningService(
            pid=stranger.pid,
            created=created - 100.0,
            instance="x",
            host="127.0.0.1",
            port=find_port(),
            bento=make_bento(tmp_path),
            log=tmp_path / "log",
            since="2026-01-01T00:00:00+00:00",
        )
        folder.root.mkdir(parents=True)
        folder.record.write_text(record.model_dump_json())
        assert "ended by itself" in service_status(paths).message
        assert stop_service(paths) is None
        time.sleep(0.05)
        assert stranger.poll() is None
        assert not folder.record.exists()
        stranger.kill()


def test_without_a_service_status_and_logs_say_so(tmp_path: Path) -> None:
    paths = ProjectPaths.of(tmp_path)
    assert "No service is running" in service_status(paths).message
    assert service_logs(paths) == ""
