"""A Bento holds the code that the service reaches and the pin of its bundle, and nothing that trains."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import ClassVar

import httpx
import pytest

from serving.api.answering.pinned import PINNED_NAME, PinnedModel, read_pinned
from serving.client import ask_ready, ask_service
from serving.runtime.bento import REQUIREMENTS, is_of_this_code, stage_code
from serving.runtime.launch import make_environment
from serving.runtime.running import BuiltBento, ServiceFolder
from tests.serving.runtime.services import find_port
from tests.serving.toy import KEY, KEYS, RED, paint
from tests.vision.training.nets.toy import KERAS_WARNINGS
from vision.base.closure import ROOT
from vision.base.errors import BundleError, ServiceError

PIN = PinnedModel(name="toy", version="3", digest="a" * 64, tag="toy:aaaa")
ALL_OF_IT = """
import sys
sys.path[0] = sys.argv[1]
import serving.api.application, serving.api.answering.loading, serving.runtime.worker
import serving.service
assert serving.service.__file__.startswith(sys.argv[1]), serving.service.__file__
found = {"tensorflow", "keras", "sklearn", "pandas", "matplotlib", "zenml", "evidently"} & set(sys.modules)
sys.exit(", ".join(sorted(found)) or 0)
"""


def test_the_staged_code_is_whole_and_reaches_no_training_library(tmp_path: Path) -> None:
    stage_code(tmp_path, PIN)
    done = subprocess.run(
        [sys.executable, "-c", ALL_OF_IT, str(tmp_path)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_what_trains_draws_or_builds_stays_out(tmp_path: Path) -> None:
    stage_code(tmp_path, PIN)
    names = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.py")}
    assert {"serving/service.py", "vision/decision/predictor.py", "serving/api/application.py"} <= names
    starts = r"serving/(app/|client|runtime/(agreement|bento|deployment|launch|process|running|supervisor))"
    shapes = r"report/|orchestration/|vision/(training|gate|evaluation|data/sources)/|vision/base/lock"
    assert not [name for name in names if re.match(f"{starts}|{shapes}", name)]


def test_the_digest_of_the_code_follows_code_and_pin_alone(tmp_path: Path) -> None:
    digest = stage_code(tmp_path / "a", PIN)
    assert stage_code(tmp_path / "b", PIN) == digest
    assert stage_code(tmp_path / "c", PIN.model_copy(update={"version": "4"})) != digest
    for code, same in ((digest, True), ("0" * 64, False)):
        assert is_of_this_code(BuiltBento(tag=f"toy:aaaa-{code[:12]}", model=PIN)) is same


def test_the_pin_comes_back_and_a_missing_or_malformed_one_is_refused(tmp_path: Path) -> None:
    stage_code(tmp_path, PIN)
    assert read_pinned(tmp_path / PINNED_NAME) == PIN
    with pytest.raises(BundleError, match="not the checkout"):
        read_pinned(tmp_path / "absent.json")
    (tmp_path / PINNED_NAME).write_text(PIN.model_dump_json().replace("a" * 64, "short"))
    with pytest.raises(BundleError, match="digest"):
        read_pinned(tmp_path / PINNED_NAME)


def test_the_slim_requirements_are_the_main_locks_versions() -> None:
    pattern = re.compile(r"^([a-z0-9-]+==[^ ]+)", re.MULTILINE)
    main = set(pattern.findall((ROOT / "requirements.txt").read_text()))
    slim = set(pattern.findall((ROOT / "serving" / REQUIREMENTS).read_text()))
    assert slim <= main
    assert not {each.partition("==")[0] for each in slim} & {
        "tensorflow-cpu",
        "scikit-learn",
        "pandas",
        "zenml",
    }


def test_a_model_with_an_index_of_known_images_needs_faiss_in_the_main_locks_version(tmp_path: Path) -> None:
    for folder, indexed in (("plain", False), ("indexed", True)):
        stage_code(tmp_path / folder, PIN.model_copy(update={"indexed": indexed}))
        found = re.findall(r"^faiss-cpu==[^ ]+", (tmp_path / folder / REQUIREMENTS).read_text(), re.MULTILINE)
        assert bool(found) == indexed
    assert found[0] in (ROOT / "requirements.txt").read_text()


def test_no_private_module_of_bentoml_is_used() -> None:
    """The service class and middleware are public; what answers under them is asked below."""
    sources = [path for room in ("serving", "orchestration", "steps") for path in (ROOT / room).rglob("*.py")]
    assert not [path for path in sources if re.search(r"_bentoml|bentoml\._", path.read_text("utf-8"))]


class TestOrdinaryBento:
    """What is deployed is a Bento like any other, for BentoML's own commands."""

    pytestmark: ClassVar = [pytest.mark.slow, KERAS_WARNINGS]

    def test_it_is_listed_and_containerized_as_far_as_it_goes_without_an_engine(
        self, built: tuple[ServiceFolder, BuiltBento]
    ) -> None:
        folder, bento = built
        listed = run_bentoml(folder, "list", "-o", "json")
        assert [each["tag"] for each in json.loads(listed.stdout)] == [bento.tag]
        image = run_bentoml(folder, "containerize", bento.tag)
        assert image.returncode == 0 or "Backend docker is not healthy" in image.stdout + image.stderr
        dockerfile = (folder.bento_path(bento) / "env" / "docker" / "Dockerfile").read_text()
        assert "FROM python:3.11" in dockerfile

    def test_it_is_served_with_our_pages_alone(self, built: tuple[ServiceFolder, BuiltBento]) -> None:
        folder, bento = built
        url = f"http://127.0.0.1:{find_port()}"
        command = [sys.executable, "-m", "bentoml", "serve", bento.tag, "--port", url.rpartition(":")[2]]
        environment = make_environment({"BENTOML_HOME": str(folder.bentoml), "TAXON_API_KEYS": KEYS})
        with subprocess.Popen(command, env=environment, cwd=folder.home, start_new_session=True) as process:
            try:
                wait_ready(url)
                answer = ask_service(url, KEY, paint(RED))
                assert (answer.decision, answer.model.version) == ("accept", "3")
                with httpx.Client(trust_env=False, base_url=url, headers={"X-API-Key": KEY}) as client:
                    for path in ("/docs.json", "/schema.json", "/healthz", "/"):
                        assert client.get(path).status_code == 404, path
                    damaged = client.post("/predict", files={"image": paint(RED)[:60]})
                    assert damaged.status_code == 422
                    assert "taxon_" in client.get("/metrics").text
                with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2]))) as slow:
                    slow.sendall(b"GET /livez HTTP/1.1\r\nX: " + b"a" * 600_000)
                    assert slow.recv(100).startswith(b"HTTP/1.1 400")  # h11's bound: our protocol is used
            finally:
                process.terminate()


def run_bentoml(folder: ServiceFolder, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bentoml", *arguments],
        env=make_environment({"BENTOML_HOME": str(folder.bentoml)}),
        capture_output=True,
        text=True,
        check=False,
    )


def wait_ready(url: str) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            ask_ready(url)
        except ServiceError:
            assert time.monotonic() < deadline, "it did not become ready"
            time.sleep(0.1)
        else:
            return
