"""A service stays ours when the clock is set, and a record that cannot be read is not thrown away."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import psutil
import pytest
from pydantic import ValidationError

from serving.client import describe_model
from serving.runtime.bento import BuiltBento
from serving.runtime.identity import has_mark, mark_by_clock, read_mark
from serving.runtime.launch import launch_service, refuse_taken_port
from serving.runtime.pinned import PinnedModel
from serving.runtime.process import find_service, service_status, start_service, stop_service
from serving.runtime.running import (
    DeployedService,
    RunningService,
    ServiceFolder,
    read_deployed,
    write_record,
)
from vision.base.errors import ConfigError, ServiceError, StorageError
from vision.config.serve import ServeSettings

INSTANCE = "0123456789abcdef"


@pytest.fixture
def folder(tmp_path: Path) -> ServiceFolder:
    return ServiceFolder(tmp_path)


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as process:
        yield process
        process.kill()


def make_record(folder: ServiceFolder, pid: int, mark: str, port: int = 1) -> RunningService:
    """A record as a start writes it, of a process that is none of BentoML's."""
    service = RunningService(
        pid=pid,
        mark=mark,
        instance=INSTANCE,
        serve=ServeSettings(port=port),
        bento=write_bento(folder),
        output=folder.logs / "log",
        key_file=None,
        since="2026-01-01T00:00:00+00:00",
    )
    write_record(folder.record, service)
    return service


def write_bento(folder: ServiceFolder) -> BuiltBento:
    """A folder for a Bento that BentoML refuses, so that its process ends by itself."""
    (folder.home / "src").mkdir(exist_ok=True)
    pin = PinnedModel(name="toy", version="3", digest="a" * 64, tag="toy:aaaa")
    return BuiltBento(tag="toy:1", path=folder.home, model=pin)


def find_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def step_the_clock(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """What psutil tells after the clock was set: it adds the ticks since the boot to the time of the boot."""
    before = psutil.Process.create_time
    monkeypatch.setattr(psutil.Process, "create_time", lambda self: before(self) + seconds)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a start without its clock")
def test_a_clock_that_is_set_leaves_the_service_ours(
    folder: ServiceFolder, child: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    service = make_record(folder, child.pid, read_mark(child.pid))
    step_the_clock(monkeypatch, -7.0)
    assert find_service(folder) == service
    assert "ended by itself" not in service_status(folder).message
    with pytest.raises(ServiceError, match="running already"):
        start_service(folder, service.bento, service.serve)
    assert stop_service(folder) == service
    assert not psutil.pid_exists(child.pid)
    assert not folder.record.exists()


def test_marks_of_two_processes_and_of_one_that_is_gone(child: subprocess.Popen[bytes]) -> None:
    assert has_mark(child.pid, read_mark(child.pid))
    assert not has_mark(child.pid, read_mark(os.getpid()))
    child.kill()
    child.wait()
    with pytest.raises(psutil.NoSuchProcess):
        read_mark(child.pid)


@pytest.fixture
def port_of_the_instance() -> Iterator[int]:
    """A port whose /readyz repeats the word of the record."""

    class Ready(BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # the name that http.server looks for
            body = json.dumps({"instance": INSTANCE, "digest": "a" * 64}).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Ready)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_service_known_by_a_time_is_ours_after_a_step_if_it_repeats_its_word(
    folder: ServiceFolder,
    child: subprocess.Popen[bytes],
    monkeypatch: pytest.MonkeyPatch,
    port_of_the_instance: int,
) -> None:
    mark = mark_by_clock(psutil.Process(child.pid).create_time())
    service = make_record(folder, child.pid, mark, port_of_the_instance)
    assert find_service(folder) == service
    step_the_clock(monkeypatch, 3600.0)
    assert find_service(folder) == service
    make_record(folder, child.pid, mark)  # nobody answers on port 1
    assert find_service(folder) is None


def test_a_record_of_before_there_were_marks_is_read(
    folder: ServiceFolder, child: subprocess.Popen[bytes]
) -> None:
    service = make_record(folder, child.pid, "none")
    old = json.loads(folder.record.read_text())
    del old["mark"]
    old["created"] = psutil.Process(child.pid).create_time()
    folder.record.write_text(json.dumps(old))
    found = find_service(folder)
    assert found is not None
    assert (found.pid, found.instance) == (child.pid, service.instance)


@pytest.mark.parametrize("text", ['{"pid": PID, "of": "a later version"}', '{"pid": "no number"}', "{half"])
def test_a_record_that_cannot_be_read_is_kept_and_told_of(
    folder: ServiceFolder, child: subprocess.Popen[bytes], text: str
) -> None:
    service = make_record(folder, child.pid, read_mark(child.pid))
    folder.record.write_text(text.replace("PID", str(child.pid)))
    told = rf"{folder.record} was written by another version.*ps "
    with pytest.raises(ServiceError, match=told):
        start_service(folder, service.bento, service.serve)
    with pytest.raises(ServiceError, match=told):
        stop_service(folder)
    assert folder.record.exists()
    assert "another version" in service_status(folder).message
    assert child.poll() is None


def test_a_record_that_cannot_be_read_of_a_process_that_is_gone_is_nothing(
    folder: ServiceFolder, child: subprocess.Popen[bytes]
) -> None:
    child.kill()
    child.wait()
    folder.root.mkdir(parents=True)
    folder.record.write_text(json.dumps({"pid": child.pid}))
    assert "No service is running" in service_status(folder).message
    assert stop_service(folder) is None
    assert not folder.record.exists()


# --- a record that cannot be written --------------------------------------------------------------------


def test_a_service_whose_record_cannot_be_written_is_ended(folder: ServiceFolder) -> None:
    folder.record.mkdir(parents=True)  # a file cannot take the place of a folder
    bento = write_bento(folder)
    with pytest.raises(StorageError, match=r"service\.json"):
        launch_service(folder, folder.record, bento, ServeSettings(port=find_port()))
    assert not [each for each in psutil.Process().children() if "bentoml" in " ".join(each.cmdline())]


# --- keys -----------------------------------------------------------------------------------------------


def deploy_on_paper(folder: ServiceFolder, keys_from_environment: bool | None) -> DeployedService:
    serve = ServeSettings(port=find_port())
    deployed = DeployedService(
        bento=write_bento(folder), serve=serve, keys_from_environment=keys_from_environment
    )
    write_record(folder.deployed, deployed)
    return deployed


LOCKED_OUT = "TAXON_API_KEYS, which is not set here.*deploy again without it"


def test_clients_whose_keys_were_in_the_environment_are_not_locked_out(
    folder: ServiceFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TAXON_API_KEYS", raising=False)
    deployed = deploy_on_paper(folder, keys_from_environment=True)
    with pytest.raises(ConfigError, match=LOCKED_OUT):
        start_service(folder, deployed.bento, deployed.serve)
    assert not folder.logs.exists()
    monkeypatch.setenv("TAXON_API_KEYS", f"clinic:{'k' * 20}")
    with pytest.raises(ServiceError, match="its process ended"):  # it was started: there is no real Bento
        start_service(folder, deployed.bento, deployed.serve)


def test_a_deployment_of_before_keys_were_written_down_is_read_by_its_last_start(
    folder: ServiceFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TAXON_API_KEYS", raising=False)
    deployed = deploy_on_paper(folder, keys_from_environment=None)
    old = json.loads(folder.deployed.read_text())
    del old["keys_from_environment"]
    folder.deployed.write_text(json.dumps(old))
    make_record(folder, 2**22 + 1, "gone")  # no such process; its keys came from the environment
    with pytest.raises(ConfigError, match=LOCKED_OUT):
        start_service(folder, deployed.bento, deployed.serve)
    folder.record.unlink()
    with pytest.raises(ServiceError, match="its process ended"):
        start_service(folder, deployed.bento, deployed.serve)


# --- addresses ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:1"),
        ("0.0.0.0", "http://127.0.0.1:1"),
        ("reef.example", "http://reef.example:1"),
        ("::1", "http://[::1]:1"),
        ("::", "http://[::1]:1"),
        ("2001:db8::7", "http://[2001:db8::7]:1"),
    ],
)
def test_the_url_of_every_kind_of_address(folder: ServiceFolder, host: str, url: str) -> None:
    service = make_record(folder, 1, "none")
    assert service.model_copy(update={"serve": ServeSettings(host=host, port=1)}).url == url


@pytest.mark.parametrize(
    "host", ["", " ", "[::1]", "http://a", "a:80", "256.1.1.1", "-a", "a b", "fe80::1%eth0", "a/b"]
)
def test_what_is_no_address_is_refused(host: str) -> None:
    with pytest.raises(ValidationError, match="no address to listen on"):
        ServeSettings(host=host)


@pytest.mark.parametrize("url", ["http://::1:3000", "http://a:b", "nothing"])
def test_a_url_that_is_none_is_a_service_error(url: str) -> None:
    with pytest.raises(ServiceError, match=r"no URL of a service|did not answer"):
        describe_model(url, "k")


@pytest.mark.parametrize("host", ["192.0.2.1", "nowhere.invalid"])
def test_an_address_of_another_machine_is_not_called_taken(folder: ServiceFolder, host: str) -> None:
    with pytest.raises(ConfigError, match="no address of this machine"):
        refuse_taken_port(folder, ServeSettings(host=host, port=find_port()))


def test_a_copied_project_neither_sees_nor_stops_the_originals_service(
    folder: ServiceFolder, child: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    make_record(folder, child.pid, read_mark(child.pid))
    copy = ServiceFolder(tmp_path / "copy")
    shutil.copytree(folder.root, copy.root)
    assert find_service(copy) is None
    assert stop_service(copy) is None
    assert find_service(folder) is not None
    assert child.poll() is None


def test_what_a_moved_project_deployed_is_served_from_its_own_store(
    folder: ServiceFolder, tmp_path: Path
) -> None:
    bento = write_bento(folder)
    write_record(folder.deployed, DeployedService(bento=bento, serve=ServeSettings(port=1)))
    assert read_deployed(folder) is None  # the Bento lies where the record says, but not in this store
    (folder.bentoml / "bentos" / "toy" / "1").mkdir(parents=True)
    moved = ServiceFolder(tmp_path / "moved")
    moved.root.parent.mkdir(parents=True)
    folder.root.rename(moved.root)
    deployed = read_deployed(moved)
    assert deployed is not None
    assert deployed.bento.path == moved.bentoml / "bentos" / "toy" / "1"
