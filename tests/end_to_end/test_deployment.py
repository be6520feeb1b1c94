"""From images to answers over HTTP and back, by the command line alone; one service, always stopped."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from serving.client import ask_service
from serving.log_url import resolve_log_url
from serving.prediction_log import PredictionLog
from serving.running import RunningService, ServiceFolder
from tests.end_to_end.project import Finished, Project, make_project
from vision.config import load_config

pytestmark = [pytest.mark.end_to_end, pytest.mark.slow]


@dataclass(frozen=True)
class Served:
    """A project whose champion is served, and how its training ended."""

    project: Project
    folder: ServiceFolder
    trained: Finished

    def running(self) -> RunningService:
        """The service as it is written down."""
        return RunningService.model_validate_json(self.folder.record.read_bytes())

    def command(self, *arguments: str) -> Finished:
        """A command with the project's config."""
        return self.project.run(*arguments, "--config", str(self.project.config))


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    project = make_project(tmp_path_factory.mktemp("project"), candidates=("cnn",))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    try:
        trained = project.train("deploy=true", f"serve.port={port}", "serve.check_images=16")
        yield Served(project, ServiceFolder(project.state), trained)
    finally:
        project.run("service", "stop")


def test_a_training_that_promotes_deploys_when_told_to(served: Served) -> None:
    assert served.trained.code == 0, served.trained.output[-4000:]
    assert "promoted: " in served.trained.output
    told = " ".join(served.trained.output.split())
    assert "of 16 test images over HTTP 16 got the pipeline's own decision" in told
    assert served.running().bento.model.digest == served.project.summary()["gate"]["bundle_digest"]


def test_known_and_unknown_images_are_answered_and_logged_and_the_deployments_own_are_not(
    served: Served,
) -> None:
    service, key = served.running(), served.folder.key.read_text().strip()
    photos = served.project.photos
    known = ask_service(service.url, key, sorted((photos / "moss").iterdir())[0].read_bytes(), "known.png")
    unknown = ask_service(service.url, key, sorted((photos / "slate").iterdir())[0].read_bytes(), "slate.png")
    assert known.class_name == "moss"
    assert known.unknown.score < unknown.unknown.score
    settings = load_config(served.project.config).serve.log
    log = PredictionLog(resolve_log_url(settings.url, served.project.state), create=False)
    logged = log.read_newest(service.bento.model.digest, 100)
    log.close()
    assert [each.prediction_id for each in logged] == [known.prediction_id, unknown.prediction_id]
    assert [each.file_name for each in logged] == ["known.png", "slate.png"]
    assert {each.client for each in logged} == {"local"}


@pytest.mark.skipif(shutil.which("curl") is None or shutil.which("sh") is None, reason="needs curl and sh")
def test_status_tells_what_runs_and_a_line_that_works_as_printed(served: Served) -> None:
    told = served.project.run("service", "status")
    assert told.code == 0
    for words in (served.running().bento.model.digest, str(served.folder.key), "(writable)"):
        assert words in told.output
    (line,) = re.findall(r"^ask it  (curl .*)$", told.output, re.MULTILINE)
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=True, timeout=60)
    answer = json.loads(done.stdout)
    assert answer["model"]["digest"] == served.running().bento.model.digest
    assert served.folder.key.read_text().strip() not in told.output


def test_a_taken_port_and_a_rollback_to_nothing_are_refused_and_the_service_is_kept(served: Served) -> None:
    before = served.running()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = f"serve.port={taken.getsockname()[1]}"
        refused = served.command("--pipeline", "deployment", "--set", port)
    assert refused.code == 2, refused.output[-2000:]
    assert "is taken by another program" in refused.output
    refused = served.command("rollback")
    assert refused.code == 2, refused.output[-2000:]
    assert "no earlier champion of toy" in refused.output
    assert served.running() == before


def test_a_stopped_service_is_started_again_without_training_or_config(served: Served) -> None:
    before = served.running()
    assert "Stopped: " in served.project.run("service", "stop").output
    told = served.project.run("service", "status")
    assert (told.code, "No service is running" in told.output) == (1, True)
    started = served.project.run("service", "start")
    assert started.code == 0, started.output
    after = served.running()
    assert (after.bento, after.serve) == (before.bento, before.serve)
    assert after.pid != before.pid
    again = served.command("service", "start")
    assert (again.code, served.running()) == (0, after)
    assert "Not served yet" not in again.output
    assert "Starting production" in served.project.run("service", "logs", "--tail", "30").output


def test_before_anything_is_deployed_there_is_nothing_to_start(served: Served, tmp_path: Path) -> None:
    empty = Project(served.project.folder, home=str(tmp_path))
    refused = empty.run("service", "start")
    assert (refused.code, "No model was deployed yet" in refused.output) == (2, True), refused.output
    assert "No service was running" in empty.run("service", "stop").output
    assert "no service was started yet" in empty.run("service", "logs").output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["service"], "expected one of start, status, logs, stop after service"),
        (["runs", "start"], "after nothing else"),
        (["rollback"], "rollback needs --config"),
        (["--pipeline", "deployment"], "--pipeline deployment needs --config"),
        (["service", "logs", "--tail", "0"], "expected 1 or more lines"),
    ],
)
def test_a_command_line_that_says_too_little_or_too_much_is_refused(
    served: Served, arguments: list[str], words: str
) -> None:
    refused = served.project.run(*arguments)
    assert (refused.code, words in refused.output) == (2, True), refused.output
