"""The service as a real process: checked, replaced, stopped; and no foreign process or port touched."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import httpx
import psutil
import pytest

from orchestration.session.stopping import stop_on_signals
from serving.client import ask_service
from serving.log.entries import LogEntry
from serving.log.prediction_log import PredictionLog
from serving.log.url import resolve_log_url
from serving.runtime.bento import BuiltBento
from serving.runtime.bento_store import build_bento, prune_bentos
from serving.runtime.identity import read_mark
from serving.runtime.launch import launch_service, refuse_taken_port
from serving.runtime.pinned import PinnedModel
from serving.runtime.process import (
    curl_line,
    deploy_service,
    end_leftover,
    find_leftover,
    find_service,
    service_logs,
    service_status,
    start_service,
    stop_service,
)
from serving.runtime.running import (
    DeployedService,
    RunningService,
    ServiceFolder,
    read_deployed,
    write_record,
)
from tests.serving.toy import RED, make_bundle, nobody_connects, paint
from tests.signals import heeding_signals
from tests.vision.training.nets.toy import KERAS_WARNINGS
from vision.base.errors import ConfigError, RunLockedError, ServiceError
from vision.base.lock import RunLock
from vision.config.serve import ServeSettings

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


def has_ipv6() -> bool:
    with suppress(OSError), socket.socket(socket.AF_INET6) as probe:
        probe.bind(("::1", 0))
        return True
    return False


def accept_all(_service: RunningService) -> None:
    """A check that finds nothing."""


def serve_at(port: int) -> ServeSettings:
    return ServeSettings(port=port)


def ask(
    service: RunningService, path: str, image: bytes | None = None, key: str = "", **more: str
) -> tuple[int, Any]:
    """Status and JSON of one request, with `more` headers."""
    connection = http.client.HTTPConnection("127.0.0.1", service.serve.port, timeout=20)
    form = b'--b\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n\r\n%b\r\n--b--\r\n'
    headers = {"X-API-Key": key, "Content-Type": "multipart/form-data; boundary=b"} if key else {}
    headers |= more
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


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[ServiceFolder, BuiltBento]:
    """The toy's Bento, in a folder that the tests of real processes share."""
    folder, bundle = ServiceFolder(tmp_path_factory.mktemp("home")), make_bundle()
    return folder, build_bento(folder, bundle.root, bundle.digest, "3")


class TestRealProcess:
    pytestmark: ClassVar = [pytest.mark.slow, KERAS_WARNINGS]

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Iterator[ServiceFolder]:
        folder = ServiceFolder(tmp_path)
        yield folder
        stop_service(folder)

    @pytest.fixture
    def shared(self, built: tuple[ServiceFolder, BuiltBento]) -> Iterator[tuple[ServiceFolder, BuiltBento]]:
        yield built
        stop_service(built[0])

    def test_a_service_is_deployed_asked_kept_restored_and_stopped(
        self, shared: tuple[ServiceFolder, BuiltBento]
    ) -> None:
        folder, bento = shared
        bundle, port, asked = make_bundle(), find_port(), Counter[str]()
        assert build_bento(folder, bundle.root, bundle.digest, "3") == bento
        service = deploy_service(folder, bento, serve_at(port), lambda each: asked.update([each.instance]))
        assert sorted(asked.values()) == [1, 1]  # a trial, then the service itself
        deployed = read_deployed(folder)
        assert deployed is not None
        assert (deployed.bento, deployed.serve) == (bento, serve_at(port))
        assert service.instance in asked
        check_answers(folder, service)
        check_worker_is_slim(service)
        with pytest.raises(ServiceError, match="running already"):
            start_service(folder, bento, serve_at(find_port()))

        with pytest.raises(ServiceError, match="the answers are not equal") as caught:
            deploy_service(folder, bento, serve_at(port), Disagreement(after=0))
        assert "started again" not in str(caught.value)
        assert ask(service, "/readyz")[1]["instance"] == service.instance

        with pytest.raises(ServiceError, match=r"the answers are not equal.*\n.*was started again"):
            deploy_service(folder, bento, serve_at(port), Disagreement(after=1))
        assert not psutil.pid_exists(service.pid)
        restored = service_status(folder)
        assert restored.ready
        assert restored.running is not None
        assert (restored.running.serve.port, restored.running.bento) == (port, bento)

        assert stop_service(folder) == restored.running
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", port)) != 0
        assert not list(folder.homes.iterdir())
        assert stop_service(folder) is None

    def test_a_deployment_that_is_told_to_end_takes_its_trial_along_and_puts_the_old_service_back(
        self, shared: tuple[ServiceFolder, BuiltBento]
    ) -> None:
        folder, bento = shared
        serve = serve_at(find_port())
        old = deploy_service(folder, bento, serve, accept_all)
        with heeding_signals(), stop_on_signals() as stopped, pytest.raises(KeyboardInterrupt):
            deploy_service(folder, bento, serve, Farewell(after=0, number=signal.SIGHUP))
        assert stopped.exit_code == 129
        kept = find_service(folder)
        assert (kept and kept.instance) == old.instance
        assert not folder.trial.exists()

        with heeding_signals(), stop_on_signals() as stopped, pytest.raises(KeyboardInterrupt):
            deploy_service(folder, bento, serve, Farewell(after=1, number=signal.SIGTERM))
        assert stopped.exit_code == 143
        assert not psutil.pid_exists(old.pid)
        restored = service_status(folder)
        assert restored.ready
        assert restored.running is not None
        assert restored.running.url == old.url

        trial = launch_service(folder, folder.trial, bento, serve_at(find_port()))  # as kill -9 leaves it
        leftover = find_leftover(folder)
        assert (leftover and leftover.pid) == trial.pid
        with RunLock(folder.lock, "service deployment"):
            assert find_leftover(folder) is None  # it may be that of the deployment that is going
        end_leftover(folder)
        assert not psutil.pid_exists(trial.pid)
        assert find_leftover(folder) is None
        assert service_status(folder).ready

    def test_a_worker_leaves_with_its_supervisor_and_a_changed_byte_or_no_model_is_refused(
        self, shared: tuple[ServiceFolder, BuiltBento]
    ) -> None:
        (folder, bento), bundle = shared, make_bundle()
        service = start_service(folder, bento, serve_at(find_port()))
        (worker,) = find_workers(service)
        os.kill(service.pid, signal.SIGKILL)
        psutil.wait_procs([worker], timeout=15)
        assert not worker.is_running()
        assert "ended by itself" in service_status(folder).message

        (graph,) = folder.bentoml.rglob("models/**/fp32.tflite")
        content = bytearray(graph.read_bytes())
        content[len(content) // 2] ^= 1
        graph.write_bytes(content)
        with pytest.raises(ServiceError, match=r"fp32\.tflite has been changed") as refused:
            start_service(folder, bento, serve_at(find_port()))
        assert "Not ready, and will not be" in str(refused.value)
        assert service_status(folder).running is None
        assert build_bento(folder, bundle.root, bundle.digest, "3") == bento
        assert graph.read_bytes() == bundle.path("fp32.tflite").read_bytes()

        shutil.rmtree(folder.bentoml / "models")
        with pytest.raises(ServiceError, match=r"Model .* could not be found locally"):
            start_service(folder, bento, serve_at(find_port()))
        assert service_status(folder).running is None

    @pytest.mark.skipif(not has_ipv6(), reason="this machine has no ::1")
    def test_a_service_listens_on_an_ipv6_address(self, folder: ServiceFolder) -> None:
        bundle = make_bundle()
        bento = build_bento(folder, bundle.root, bundle.digest, "3")
        serve = ServeSettings(host="::1", port=find_port())
        service = start_service(folder, bento, serve)
        key = folder.key.read_text().strip()
        assert ask_service(service.url, key, paint(RED)).decision == "accept"
        assert service_status(folder).ready
        with pytest.raises(ConfigError, match="taken by this project's service"):
            refuse_taken_port(folder, serve)

    def test_old_bentos_go_and_those_deployed_or_new_stay_and_can_be_served(
        self, folder: ServiceFolder
    ) -> None:
        bundle = make_bundle()
        old, half, third, fourth, newest = (
            build_bento(folder, bundle.root, bundle.digest, version) for version in "12345"
        )
        (half.path / "bento.yaml").unlink()  # as a killed deletion leaves it
        (fourth.path / "src" / "pinned.json").unlink()
        stale = folder.bentoml / "models" / "toy" / "stale"
        stale.mkdir()
        write_record(folder.deployed, DeployedService(bento=old, serve=serve_at(find_port())))
        prune_bentos(folder)
        left = {path for path in folder.bentoml.glob("bentos/toy/*") if path.is_dir()}
        assert left == {old.path, third.path, fourth.path, newest.path}
        assert not stale.exists()
        deployed = read_deployed(folder)
        assert deployed is not None
        start_service(folder, deployed.bento, deployed.serve)
        folder.deployed.unlink()
        prune_bentos(folder)
        assert old.path.is_dir()  # it runs
        assert build_bento(folder, bundle.root, bundle.digest, "2") == half
        assert build_bento(folder, bundle.root, bundle.digest, "4") == fourth
        assert (fourth.path / "src" / "pinned.json").is_file()
        stop_service(folder)
        prune_bentos(folder)
        left = {path for path in folder.bentoml.glob("bentos/toy/*") if path.is_dir()}
        assert left == {newest.path, half.path, fourth.path}


@dataclass
class Disagreement:
    """A check that finds fault with every service but the first `after`."""

    after: int

    def __call__(self, _service: RunningService) -> None:
        if self.after == 0:
            raise ServiceError("the answers are not equal")
        self.after -= 1


@dataclass
class Farewell:
    """A check in which this process is told to end, twice, once `after` services were asked."""

    after: int
    number: signal.Signals

    def __call__(self, _service: RunningService) -> None:
        if self.after == 0:
            try:
                os.kill(os.getpid(), self.number)
            finally:
                os.kill(os.getpid(), self.number)
        self.after -= 1


def check_answers(folder: ServiceFolder, service: RunningService) -> None:
    """The service answers who has the key, serves the wanted digest, and shows the key to nobody."""
    check_key = service.check_key.get_secret_value()
    assert check_key not in folder.record.read_text()
    assert {each.stat().st_mode & 0o777 for each in (folder.record, folder.deployed, folder.key)} == {0o600}
    assert ask_service(service.url, check_key, paint(RED)).decision == "accept"
    key = folder.key.read_text().strip()
    status, answer = ask(service, "/predict", paint(RED), key)
    assert (status, answer["decision"], answer["model"]["version"]) == (200, "accept", "3")
    assert answer["model"]["digest"] == ask(service, "/readyz")[1]["digest"] == make_bundle().digest
    assert ask(service, "/predict", paint(RED), "wrong-wrong-wrong-wrong")[0] == 401
    assert ask(service, "/predict", paint(RED))[0] == 401
    assert ask(service, "/docs.json")[0] == 404
    with suppress(ConnectionResetError):  # our protocol is the one that BentoML starts
        assert ask(service, "/livez", X="a" * 700_000)[0] == 400
    with nobody_connects() as url:
        assert ask(service, "/predict", url.encode(), key)[0] == 415
        text = {"image": (None, url)}
        with httpx.Client(trust_env=False, headers={"X-API-Key": key}) as client:
            assert client.post(f"{service.url}/predict", files=text).status_code == 422
    foreign = {"Content-Type": "multipart/form-data; boundary=b; x=\xe9"}
    assert ask(service, "/predict", paint(RED), check_key, **foreign)[1]["decision"] == "accept"
    (logged,) = read_log(folder, service)
    assert (logged.prediction_id, logged.client) == (answer["prediction_id"], "local")
    told = service_status(folder)
    assert (told.ready, told.log) == (True, "writable")
    assert f"cat {folder.key}" in curl_line(service)
    said = service_logs(folder)
    assert "Starting production" in said
    assert "Traceback" not in said
    assert "/predict" not in said  # no access log: it would write down who asked
    assert "trace=" not in said  # no span is made for a request: it would cost more than the guard
    assert service.output.stat().st_mode & 0o777 == 0o600
    assert key not in curl_line(service) + service_logs(folder) + service_status(folder).message


def read_log(folder: ServiceFolder, service: RunningService) -> list[LogEntry]:
    """What the service wrote down, read as monitoring reads it."""
    log = PredictionLog(resolve_log_url(service.serve.log.url, folder.home), create=False)
    try:
        return log.read_newest(service.bento.model.digest, 100)
    finally:
        log.close()


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
        build_bento(ServiceFolder(tmp_path), tmp_path, "0" * 64, "3")


def test_a_foreign_port_is_refused_before_anything_starts(tmp_path: Path) -> None:
    folder = ServiceFolder(tmp_path)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(
            ConfigError, match=f"taken by another program.*--config NAME.yaml --set serve.port={port + 1}"
        ):
            start_service(folder, make_bento(tmp_path), serve_at(port))
        with pytest.raises(ConfigError, match="taken by another program"):
            deploy_service(folder, make_bento(tmp_path), serve_at(port), accept_all)
    assert not folder.record.exists()
    assert not folder.logs.exists()


@pytest.mark.parametrize("name", ["TAXON_LOG_URL", "TAXON_KEEP_IMAGES", "TAXON_LOG_WAIT_S"])
def test_a_log_that_monitoring_would_not_read_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "1")
    folder = ServiceFolder(tmp_path)
    with pytest.raises(ConfigError, match=rf"{name} is set.*serve\.log\."):
        start_service(folder, make_bento(tmp_path), serve_at(find_port()))
    assert not folder.logs.exists()


def test_a_wrong_setting_is_found_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TAXON_MAX_BODY_BYTES", "many")
    folder = ServiceFolder(tmp_path)
    with pytest.raises(ConfigError, match="TAXON_MAX_BODY_BYTES"):
        start_service(folder, make_bento(tmp_path), serve_at(find_port()))
    assert not folder.logs.exists()


def test_a_service_that_dies_at_its_start_is_reported_with_its_last_words(tmp_path: Path) -> None:
    folder = ServiceFolder(tmp_path)
    with pytest.raises(ServiceError, match="its process ended") as caught:
        start_service(folder, make_bento(tmp_path), serve_at(find_port()))
    assert "bento" in str(caught.value).rpartition("The end of its log")[2].lower()
    assert not folder.record.exists()


def test_two_starts_do_not_race(tmp_path: Path) -> None:
    folder = ServiceFolder(tmp_path)
    with RunLock(folder.lock, "service start"):
        with pytest.raises(RunLockedError):
            start_service(folder, make_bento(tmp_path), serve_at(find_port()))
        with pytest.raises(RunLockedError):
            deploy_service(folder, make_bento(tmp_path), serve_at(find_port()), accept_all)
        with pytest.raises(RunLockedError):
            stop_service(folder)


def test_a_process_that_got_the_id_of_a_dead_service_is_left_alone(tmp_path: Path) -> None:
    folder = ServiceFolder(tmp_path)
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as stranger:
        boot, _, ticks = read_mark(stranger.pid).rpartition(" ")
        record = RunningService(
            pid=stranger.pid,
            mark=f"{boot} {float(ticks) - 100:g}",
            instance="x",
            serve=serve_at(find_port()),
            bento=make_bento(tmp_path),
            output=folder.logs / "log",
            key_file=None,
            since="2026-01-01T00:00:00+00:00",
        )
        folder.root.mkdir(parents=True)
        folder.record.write_text(record.model_dump_json())
        assert "ended by itself" in service_status(folder).message
        assert stop_service(folder) is None
        time.sleep(0.05)
        assert stranger.poll() is None
        assert not folder.record.exists()
        stranger.kill()


def test_a_curl_line_quotes_what_shells_and_curl_would_take_apart(tmp_path: Path) -> None:
    service = RunningService(
        pid=1,
        mark="none",
        instance="x",
        serve=ServeSettings(host="0.0.0.0"),
        bento=make_bento(tmp_path),
        output=tmp_path / "log",
        key_file=Path("/home/a b/api_key"),
        since="2026-01-01T00:00:00+00:00",
    )
    assert curl_line(service) == (
        """curl -F image=@photo.jpg -H "X-API-Key: $(cat '/home/a b/api_key')" http://127.0.0.1:3000/predict"""
    )
    assert """-F 'image=@"/x/a;b, c.png"' """ in curl_line(service, Path("/x/a;b, c.png"))


def test_a_deployment_that_would_lock_out_the_clients_is_refused(tmp_path: Path) -> None:
    folder = ServiceFolder(tmp_path)
    me = psutil.Process()
    running = RunningService(
        pid=me.pid,
        mark=read_mark(me.pid),
        instance="x",
        serve=serve_at(find_port()),
        bento=make_bento(tmp_path),
        output=folder.logs / "log",
        key_file=None,
        since="2026-01-01T00:00:00+00:00",
    )
    folder.root.mkdir(parents=True)
    folder.record.write_text(running.model_dump_json())
    with pytest.raises(ConfigError, match="TAXON_API_KEYS, which is not set here"):
        deploy_service(folder, make_bento(tmp_path), running.serve, accept_all)
    assert find_service(folder) == running


def test_without_a_service_status_and_logs_say_so(tmp_path: Path) -> None:
    folder = ServiceFolder(tmp_path)
    assert "No service is running" in service_status(folder).message
    assert service_logs(folder) == ""


@pytest.mark.parametrize("end", ["\n", ""])
def test_the_last_lines_of_a_long_output_are_read_from_its_end(tmp_path: Path, end: str) -> None:
    folder = ServiceFolder(tmp_path)
    folder.logs.mkdir(parents=True)
    lines = [f"{number} {'é' * 500}" for number in range(2000)]
    (folder.logs / "1.log").write_text("\n".join(lines) + end, encoding="utf-8")
    for tail in (1, 50, 1999, 5000):
        assert service_logs(folder, tail) == "\n".join(lines[-tail:])
    with (folder.logs / "2.log").open("wb") as file:
        file.truncate(50_000_000_000)  # more than fits in memory; sparse, without one line's end
        file.seek(0, os.SEEK_END)
        file.write(f"\nthe end{end}".encode())
    tracemalloc.start()
    try:
        assert service_logs(folder, 5).splitlines()[-1] == "the end"
        assert tracemalloc.get_traced_memory()[1] < 200_000_000
    finally:
        tracemalloc.stop()
