"""Whose service it is: told by word and folder, whatever is moved, copied, set or written by others."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import ValidationError

from serving.client import describe_model
from serving.runtime.launch import open_socket
from serving.runtime.process import (
    curl_line,
    deploy_service,
    service_status,
    start_service,
    stop_service,
)
from serving.runtime.running import DeployedService, ServiceFolder, find_service, read_deployed, write_record
from tests.serving.runtime.services import (
    ON_PAPER,
    accept_all,
    find_port,
    forget_keys,
    put_on_record,
    serve_at,
)
from vision.base.errors import ConfigError, ServiceError
from vision.config.serve import ServeSettings

WORD = "0123456789abcdef"


@pytest.fixture(autouse=True)
def _no_keys_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    forget_keys(monkeypatch)


@pytest.fixture
def folder(tmp_path: Path) -> ServiceFolder:
    folder = ServiceFolder(tmp_path / "project")
    folder.root.mkdir(parents=True)
    return folder


@pytest.fixture
def child(folder: ServiceFolder) -> Iterator[subprocess.Popen[bytes]]:
    """A process that passes for a service: its word and its folder."""
    command = [sys.executable, "-c", "import time; time.sleep(60)", "--instance", WORD]
    with subprocess.Popen(command, cwd=folder.root) as process:
        yield process
        process.kill()


def test_a_moved_project_knows_and_stops_its_service(
    folder: ServiceFolder, child: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    service = put_on_record(folder, child.pid, instance=WORD)
    assert find_service(folder) == service
    folder.home.rename(tmp_path / "moved")
    moved = ServiceFolder(tmp_path / "moved")
    assert find_service(moved) == service
    with pytest.raises(ServiceError, match="running already"):
        start_service(moved, service.bento, service.serve)
    assert stop_service(moved) == service
    child.wait(5)
    assert not moved.record.exists()


def test_a_copied_project_neither_sees_nor_stops_the_originals_service(
    folder: ServiceFolder, child: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    put_on_record(folder, child.pid, instance=WORD)
    copy = ServiceFolder(tmp_path / "copy")
    shutil.copytree(folder.root, copy.root)
    assert find_service(copy) is None
    assert not service_status(copy).ready
    assert stop_service(copy) is None
    assert find_service(folder) is not None
    assert child.poll() is None


def test_a_process_that_got_the_id_of_a_dead_service_is_left_alone(folder: ServiceFolder) -> None:
    command = [sys.executable, "-c", "import time; time.sleep(60)", WORD]
    with subprocess.Popen(command, cwd=folder.root) as other:
        put_on_record(folder, other.pid, instance=WORD)
        assert "ended by itself" in service_status(folder).message
        assert stop_service(folder) is None
        assert other.poll() is None
        other.kill()
    assert not folder.record.exists()


@pytest.mark.parametrize("text", ['{"pid": 1, "mark": "boot 123"}', "{half"])
def test_a_record_that_cannot_be_read_is_told_of_and_its_service_can_be_stopped(
    folder: ServiceFolder, child: subprocess.Popen[bytes], text: str
) -> None:
    folder.record.write_text(text)
    told = rf"{folder.record} was written by another version.*service stop"
    with pytest.raises(ServiceError, match=told):
        start_service(folder, ON_PAPER, serve_at(find_port()))
    with pytest.raises(ServiceError, match=told):
        deploy_service(folder, ON_PAPER, serve_at(find_port()), accept_all)
    assert "service stop" in service_status(folder).message
    assert child.poll() is None
    assert stop_service(folder) is None
    child.wait(5)
    assert not folder.record.exists()


def test_a_record_that_cannot_be_read_is_nothing_where_no_service_lives(folder: ServiceFolder) -> None:
    folder.record.write_text("{half")
    assert "No service is running" in service_status(folder).message
    assert find_service(folder) is None


def test_no_record_says_where_the_project_lies_and_what_was_deployed_moves_with_it(
    folder: ServiceFolder, tmp_path: Path
) -> None:
    put_on_record(folder, 1)
    write_record(folder.deployed, DeployedService(bento=ON_PAPER, serve=serve_at(1), example=Path("data/a")))
    assert str(tmp_path) not in folder.record.read_text() + folder.deployed.read_text()
    assert read_deployed(folder) is None  # its Bento is not in the store
    folder.bento_path(ON_PAPER).mkdir(parents=True)
    folder.home.rename(tmp_path / "moved")
    moved = read_deployed(ServiceFolder(tmp_path / "moved"))
    assert moved is not None
    assert moved.example == tmp_path / "moved" / "data" / "a"


def test_a_deployment_written_down_with_a_path_is_read(folder: ServiceFolder) -> None:
    folder.bento_path(ON_PAPER).mkdir(parents=True)
    old = DeployedService(bento=ON_PAPER, serve=serve_at(1)).model_dump(mode="json")
    old["bento"]["path"] = "/elsewhere"
    folder.deployed.write_text(json.dumps(old))
    deployed = read_deployed(folder)
    assert deployed is not None
    assert deployed.bento == ON_PAPER


# --- keys and addresses ---------------------------------------------------------------------------------


def test_clients_whose_keys_were_in_the_environment_are_not_locked_out(
    folder: ServiceFolder, child: subprocess.Popen[bytes]
) -> None:
    deployed = DeployedService(bento=ON_PAPER, serve=serve_at(find_port()), keys_from_environment=True)
    write_record(folder.deployed, deployed)
    with pytest.raises(ConfigError, match=r"TAXON_API_KEYS, which is not set here.*deploy again"):
        start_service(folder, ON_PAPER, deployed.serve)
    running = put_on_record(folder, child.pid, instance=WORD, keys_from_environment=True)
    with pytest.raises(ConfigError, match="TAXON_API_KEYS, which is not set here"):
        deploy_service(folder, ON_PAPER, running.serve, accept_all)
    assert find_service(folder) == running
    assert not folder.logs.exists()


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("0.0.0.0", "http://127.0.0.1:1"),
        ("reef.example", "http://reef.example:1"),
        ("::", "http://[::1]:1"),
        ("2001:db8::7", "http://[2001:db8::7]:1"),
    ],
)
def test_the_url_of_every_kind_of_address(folder: ServiceFolder, host: str, url: str) -> None:
    service = put_on_record(folder, 1)
    assert service.model_copy(update={"serve": ServeSettings(host=host, port=1)}).url == url


@pytest.mark.parametrize(
    "host", ["", " ", "[::1]", "http://a", "a:80", "256.1.1.1", "-a", "a b", "fe80::1%eth0", "a/b"]
)
def test_what_is_no_address_is_refused(host: str) -> None:
    with pytest.raises(ValidationError, match="no address to listen on"):
        ServeSettings(host=host)


@pytest.mark.parametrize("url", ["http://::1:3000", "http://a:b", "nothing"])
def test_a_url_that_is_none_is_a_service_error(url: str) -> None:
    with pytest.raises(
        ServiceError, match=r"no URL of a service|did not answer .*See: \S+ run.py service logs$"
    ):
        describe_model(url, "k")


@pytest.mark.parametrize("host", ["192.0.2.1", "nowhere.invalid"])
def test_an_address_of_another_machine_is_not_called_taken(folder: ServiceFolder, host: str) -> None:
    with pytest.raises(ConfigError, match="no address of this machine"):
        open_socket(folder, ServeSettings(host=host, port=find_port()))


def test_a_curl_line_quotes_what_shells_and_curl_would_take_apart(tmp_path: Path) -> None:
    folder = ServiceFolder(tmp_path / "a b")
    service = put_on_record(folder, 1)
    line = f"""-H "X-API-Key: $(cat '{folder.key}')" {service.url}/predict"""
    assert curl_line(folder, service) == f"curl -F image=@photo.jpg {line}"
    assert """-F 'image=@"/x/a;b, c.png"' """ in curl_line(folder, service, Path("/x/a;b, c.png"))
