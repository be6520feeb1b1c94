"""The service as a real process: started, refused, ended; and no foreign process or port touched."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import ClassVar

import httpx
import psutil
import pytest

from orchestration.session.stopping import stop_on_signals
from serving.api.schemas import LogState, Ready
from serving.client import ask_service
from serving.log.prediction_log import PredictionLog
from serving.log.url import resolve_log_url
from serving.runtime import process
from serving.runtime.bento import build_in_store, prune_bentos
from serving.runtime.launch import Launched, launch_service, open_socket, take_over
from serving.runtime.process import (
    deploy_service,
    service_logs,
    service_status,
    start_service,
    stop_service,
)
from serving.runtime.running import (
    BuiltBento,
    DeployedService,
    RunningService,
    ServiceFolder,
    find_service,
    list_services,
    write_record,
)
from tests.serving.runtime.services import (
    ON_PAPER,
    accept_all,
    find_port,
    find_workers,
    forget_keys,
    serve_at,
)
from tests.serving.toy import RED, make_bundle, nobody_connects, paint
from tests.signals import heeding_signals
from tests.vision.training.nets.toy import KERAS_WARNINGS
from vision.base.errors import ConfigError, RunLockedError, ServiceError, StorageError
from vision.base.lock import RunLock
from vision.config.serve import ServeSettings

TRAINING_LIBRARIES = ("tensorflow", "keras", "sklearn", "scipy", "pandas", "matplotlib", "zenml", "bentoml")

Shared = tuple[ServiceFolder, BuiltBento]


@pytest.fixture(autouse=True)
def _no_keys_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    forget_keys(monkeypatch)


def has_ipv6() -> bool:
    with suppress(OSError), socket.socket(socket.AF_INET6) as probe:
        probe.bind(("::1", 0))
        return True
    return False


def wait_for(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.05)


@pytest.mark.parametrize(("digest", "is_ready"), [("a" * 64, True), ("b" * 64, False), (None, True)])
def test_a_service_that_serves_another_digest_is_not_ready(
    digest: str | None, is_ready: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready = Ready(digest="a" * 64, instance="word", log=LogState(status="off"))
    monkeypatch.setattr(process, "ask_ready", lambda _url: ready)
    status = process.ask_status("http://there:1", digest)
    assert status.ready == is_ready
    assert ("serves digest aaaaaaaaaaaaaaaa" in status.message) != is_ready


class TestRealProcess:
    pytestmark: ClassVar = [pytest.mark.slow, KERAS_WARNINGS]

    @pytest.fixture
    def shared(self, built: Shared) -> Iterator[Shared]:
        yield built
        stop_service(built[0])
        assert not [each for each in built[0].root.iterdir() if each.suffix == ".sock"]

    def test_a_service_is_deployed_asked_and_stopped(self, shared: Shared) -> None:
        folder, bento = shared
        launched: list[Launched] = []
        service = deploy_service(folder, bento, serve_at(find_port()), launched.append)
        check_answers(folder, service, launched[0].key)
        check_worker_is_slim(service)
        with pytest.raises(ServiceError, match="running already"):
            start_service(folder, bento, serve_at(find_port()))
        assert stop_service(folder) == service
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", service.serve.port)) != 0
        assert stop_service(folder) is None

    def test_a_deployment_that_is_refused_or_told_to_end_leaves_the_old_service(self, shared: Shared) -> None:
        folder, bento = shared
        old = deploy_service(folder, bento, serve_at(find_port()), accept_all)

        def disagree(_launched: Launched) -> None:
            raise ServiceError("the answers are not equal")

        def end(_launched: Launched) -> None:
            try:
                os.kill(os.getpid(), signal.SIGHUP)
            finally:
                os.kill(os.getpid(), signal.SIGHUP)

        with pytest.raises(ServiceError, match="the answers are not equal"):
            deploy_service(folder, bento, old.serve, disagree)
        with heeding_signals(), stop_on_signals() as stopped, pytest.raises(KeyboardInterrupt):
            deploy_service(folder, bento, old.serve, end)
        assert stopped.exit_code == 129
        assert find_service(folder) == old
        assert service_status(folder).ready
        assert list(list_services(folder)) == [old.instance]

    def test_what_a_killed_deployment_started_ends_by_itself_or_with_the_next(self, shared: Shared) -> None:
        folder, bento = shared
        service = start_service(folder, bento, serve_at(find_port()))
        for told in (False, True):
            with open_socket(folder, service.serve) as public:
                left = launch_service(folder, bento, service.serve, public)
            assert len(list_services(folder)) == 2
            if told:
                take_over(left)
            else:
                assert left.process.stdin is not None
                left.process.stdin.close()  # as where its starter was killed
                psutil.wait_procs([psutil.Process(left.service.pid)], timeout=15)
                assert list(list_services(folder)) == [service.instance]
        service = deploy_service(folder, bento, service.serve, accept_all)
        assert list(list_services(folder)) == [service.instance]
        assert service_status(folder).ready

    def test_a_killed_worker_comes_back_and_one_without_supervisor_leaves(self, shared: Shared) -> None:
        folder, bento = shared
        service = start_service(folder, bento, serve_at(find_port()))
        assert "started again" not in service_status(folder).message
        (worker,) = find_workers(service)
        worker.kill()
        psutil.wait_procs([worker], timeout=5)
        key = folder.key.read_text().strip()
        wait_for(lambda: service_status(folder).ready)
        assert ask_service(service.url, key, paint(RED)).decision == "accept"
        assert "ended with code -9" in service_logs(folder)
        assert "started again once" in service_status(folder).message
        assert "taxon_worker_restarts 1.0" in httpx.get(f"{service.url}/metrics").text
        (worker,) = find_workers(service)
        os.kill(service.pid, signal.SIGKILL)
        psutil.wait_procs([worker], timeout=15)
        assert not worker.is_running()
        assert "ended by itself" in service_status(folder).message

    def test_a_service_goes_on_where_its_project_is_moved_to(self, shared: Shared) -> None:
        folder, bento = shared
        service = start_service(folder, bento, serve_at(find_port()))
        key, (worker,) = folder.key.read_text().strip(), find_workers(service)
        moved = ServiceFolder(folder.home.rename(folder.home.with_name("moved")))
        try:
            wait_for(lambda: not worker.is_running() and service_status(moved).ready)
            assert ask_service(service.url, key, paint(RED)).decision == "accept"
            assert service_status(moved).log == "writable"
            assert (moved.home / "state" / "predictions.sqlite").is_file()
            assert not folder.home.exists()
            assert stop_service(moved) == service
        finally:
            moved.home.rename(folder.home)

    def test_a_changed_byte_or_no_model_is_refused_and_mended_by_a_build(self, shared: Shared) -> None:
        (folder, bento), bundle = shared, make_bundle()
        (graph,) = folder.bentoml.rglob("models/**/fp32.tflite")
        content = bytearray(graph.read_bytes())
        content[len(content) // 2] ^= 1
        graph.write_bytes(content)
        with pytest.raises(ServiceError, match=r"Not ready, and will not be.*fp32\.tflite has been changed"):
            start_service(folder, bento, serve_at(find_port()))
        assert service_status(folder).running is None
        assert build_in_store(folder, bundle.root, bundle.digest, "3") == bento
        assert graph.read_bytes() == bundle.path("fp32.tflite").read_bytes()
        shutil.rmtree(folder.bentoml / "models")
        with pytest.raises(ServiceError, match=r"Model .* is not in BentoML's store"):
            start_service(folder, bento, serve_at(find_port()))
        assert build_in_store(folder, bundle.root, bundle.digest, "3") == bento

    def test_a_service_whose_record_cannot_be_written_is_ended(self, shared: Shared) -> None:
        folder, bento = shared
        folder.record.mkdir()  # a file cannot take the place of a folder
        try:
            with pytest.raises(StorageError, match=r"service\.json"):
                deploy_service(folder, bento, serve_at(find_port()), accept_all)
            assert not list_services(folder)
        finally:
            folder.record.rmdir()

    @pytest.mark.skipif(not has_ipv6(), reason="this machine has no ::1")
    def test_a_service_listens_on_an_ipv6_address(self, shared: Shared) -> None:
        folder, bento = shared
        serve = ServeSettings(host="::1", port=find_port())
        service = start_service(folder, bento, serve)
        assert ask_service(service.url, folder.key.read_text().strip(), paint(RED)).decision == "accept"
        assert service_status(folder).ready
        with pytest.raises(ConfigError, match="taken by this project's service"):
            open_socket(folder, ServeSettings(host="::", port=serve.port))

    def test_old_bentos_go_and_those_deployed_or_new_stay(self, tmp_path: Path) -> None:
        bundle, folder = make_bundle(), ServiceFolder(tmp_path)
        first = build_in_store(folder, bundle.root, bundle.digest, "1")
        old = folder.bento_path(first)
        half, third = (Path(shutil.copytree(old, old.with_name(name))) for name in ("half", "third"))
        (third / "bento.yaml").touch()
        last = build_in_store(folder, bundle.root, bundle.digest, "4")
        newest = folder.bento_path(last)
        (half / "bento.yaml").unlink()  # as a killed deletion leaves it
        (newest / "src" / "pinned.json").unlink()
        stale = folder.bentoml / "models" / "toy" / "stale"
        stale.mkdir()
        write_record(folder.deployed, DeployedService(bento=first, serve=serve_at(1)))
        prune_bentos(folder, newest=2)
        assert {path for path in folder.bentoml.glob("bentos/toy/*") if path.is_dir()} == {old, third, newest}
        assert not stale.exists()
        assert list(folder.bentoml.rglob("models/**/fp32.tflite"))
        assert build_in_store(folder, bundle.root, bundle.digest, "4") == last
        assert (newest / "src" / "pinned.json").is_file()
        folder.deployed.unlink()
        prune_bentos(folder, newest=1)
        assert {path for path in folder.bentoml.glob("bentos/toy/*") if path.is_dir()} == {newest}


def check_answers(folder: ServiceFolder, service: RunningService, check_key: str) -> None:
    """The service answers who has the key, serves the wanted digest, and shows the key to nobody."""
    key = folder.key.read_text().strip()
    output = folder.logs / service.output
    for path in (folder.record, folder.deployed, folder.key, output):
        assert path.stat().st_mode & 0o777 == 0o600
        assert check_key not in path.read_text()
    assert ask_service(service.url, check_key, paint(RED)).decision == "accept"
    answer = ask_service(service.url, key, paint(RED))
    assert (answer.decision, answer.model.version, answer.model.digest) == (
        "accept",
        "3",
        make_bundle().digest,
    )
    with httpx.Client(trust_env=False, base_url=service.url) as client, nobody_connects() as url:
        assert client.get("/docs.json").status_code == 404
        for given, status in (("wrong-wrong-wrong-wrong", 401), (key, 415)):
            answered = client.post("/predict", files={"image": url.encode()}, headers={"X-API-Key": given})
            assert answered.status_code == status
        text = {"image": (None, url)}
        assert client.post("/predict", files=text, headers={"X-API-Key": key}).status_code == 422
        with suppress(httpx.TransportError):  # our protocol is the one that uvicorn was given
            assert client.get("/livez", headers={"X": "a" * 700_000}).status_code == 400
    log = PredictionLog(resolve_log_url(service.serve.log.url, folder.home), create=False)
    try:
        (logged,) = log.read_newest(service.bento.model.digest, 100)
    finally:
        log.close()
    assert (logged.prediction_id, logged.client) == (answer.prediction_id, "local")
    told, said = service_status(folder), service_logs(folder)
    assert (told.ready, told.log) == (True, "writable")
    assert not [word for word in ("Traceback", "POST", url, "127.0.0.1", key) if word in said]


def check_worker_is_slim(service: RunningService) -> None:
    """No training library is mapped into the worker, and the process tree stays below 150 MB."""
    (worker,) = find_workers(service)
    mapped = " ".join(each.path for each in worker.memory_maps())
    assert "ai_edge_litert" in mapped
    assert not [name for name in TRAINING_LIBRARIES if f"/site-packages/{name}/" in mapped]
    assert sum(each.memory_full_info().pss for each in (psutil.Process(service.pid), worker)) < 150e6


# --- refused before a process is started ----------------------------------------------------------------


def test_a_bundle_that_is_not_the_pinned_one_is_not_built(tmp_path: Path) -> None:
    with pytest.raises(ServiceError, match="could not be built"):
        build_in_store(ServiceFolder(tmp_path), tmp_path, "0" * 64, "3")


def test_a_foreign_port_is_refused_before_anything_starts(tmp_path: Path) -> None:
    folder = ServiceFolder(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        words = f"taken by another program.*--config NAME.yaml --set serve.port={port + 1}"
        with pytest.raises(ConfigError, match=words):
            start_service(folder, ON_PAPER, serve_at(port))
        with pytest.raises(ConfigError, match=words):
            deploy_service(folder, ON_PAPER, serve_at(port), accept_all)
    assert not folder.record.exists()
    assert not folder.logs.exists()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("TAXON_LOG_URL", r"is set.*serve\.log\.url"),
        ("TAXON_KEEP_IMAGES", r"is set.*serve\.log\.keep_images"),
        ("TAXON_LOG_WAIT_S", r"is set.*serve\.log\.wait_s"),
        ("TAXON_MAX_BODY_BYTES", "TAXON_MAX_BODY_BYTES"),
    ],
)
def test_a_wrong_variable_is_found_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, words: str
) -> None:
    monkeypatch.setenv(name, "many")
    folder = ServiceFolder(tmp_path)
    with pytest.raises(ConfigError, match=words):
        start_service(folder, ON_PAPER, serve_at(find_port()))
    assert not folder.logs.exists()


def test_a_service_that_dies_at_its_start_is_reported_with_its_last_words(tmp_path: Path) -> None:
    folder = ServiceFolder(tmp_path)
    (folder.bento_path(ON_PAPER) / "src").mkdir(parents=True)
    with pytest.raises(ServiceError, match="its process ended") as caught:
        start_service(folder, ON_PAPER, serve_at(find_port()))
    assert "serving" in str(caught.value).rpartition("The end of its log")[2]
    assert not folder.record.exists()


def test_two_starts_do_not_race(tmp_path: Path) -> None:
    folder = ServiceFolder(tmp_path)
    with RunLock(folder.lock, "service start"):
        with pytest.raises(RunLockedError):
            start_service(folder, ON_PAPER, serve_at(find_port()))
        with pytest.raises(RunLockedError):
            deploy_service(folder, ON_PAPER, serve_at(find_port()), accept_all)
        with pytest.raises(RunLockedError):
            stop_service(folder)


def test_without_a_service_status_and_logs_say_so(tmp_path: Path) -> None:
    folder = ServiceFolder(tmp_path)
    assert "No service is running" in service_status(folder).message
    assert service_logs(folder) == ""


def test_the_last_lines_of_a_long_output_are_read_from_its_end(tmp_path: Path) -> None:
    folder = ServiceFolder(tmp_path)
    folder.logs.mkdir(parents=True)
    lines = [f"{number} {'é' * 500}" for number in range(2000)]
    (folder.logs / "1.log").write_text("\n".join(lines), encoding="utf-8")
    for tail in (1, 50, 1999, 5000):
        assert service_logs(folder, tail) == "\n".join(lines[-tail:])
    with (folder.logs / "2.log").open("wb") as file:
        file.truncate(50_000_000_000)  # more than fits in memory; sparse
        file.seek(0, os.SEEK_END)
        file.write(b"\nthe end")
    tracemalloc.start()
    try:
        assert service_logs(folder, 5).splitlines()[-1] == "the end"
        assert tracemalloc.get_traced_memory()[1] < 200_000_000
    finally:
        tracemalloc.stop()
