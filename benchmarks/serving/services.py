"""The services that are measured: Taxon's and the rival.

Each runs on a free port of this machine and is stopped when its block ends; no other process is touched.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from benchmarks.champion import Champion
from benchmarks.serving.load_client import HOST, Target
from serving.api.keys import read_or_make_key
from serving.api.settings import ServiceSettings
from serving.runtime.process import start_service, stop_service
from serving.runtime.running import BuiltBento, RunningService, ServiceFolder
from vision.bundle.records import ExportedGraphs
from vision.config.serve import ServeSettings

ROOT = Path(__file__).resolve().parents[2]
WAIT_SECONDS = 120.0


@contextmanager
def running_service(folder: ServiceFolder, bento: BuiltBento) -> Iterator[RunningService]:
    """Taxon's service, started as `run.py service start` starts it.

    Raises:
        ServiceError: it does not become ready, or does not end.
    """
    service = start_service(folder, bento, ServeSettings(port=find_port()))
    try:
        yield service
    finally:
        stop_service(folder)


@contextmanager
def running_rival(champion: Champion, folder: Path, *, bare: bool) -> Iterator[tuple[Target, int]]:
    """The rival over the champion's Keras network, or bare over its graph: how to ask it, its process id."""
    target, labels = Target("FastAPI", find_port()), folder / "labels.json"
    labels.write_text(json.dumps(champion.contract.class_names), encoding="utf-8")
    command = [sys.executable, "-m", "benchmarks.serving.rival_service", "--keras", str(champion.keras)]
    if bare:
        graph = ExportedGraphs.file_name(champion.contract.precision)
        command += ["--graph", str(champion.bundle / graph), "--threads", str(ServiceSettings().threads)]
    command += ["--labels", str(labels), "--resize", champion.contract.resize, "--port", str(target.port)]
    with _running(command, folder / "rival_output.txt", target) as pid:
        yield target, pid


def aim(folder: ServiceFolder, service: RunningService) -> Target:
    """How the local client asks a running service."""
    return Target("Taxon", service.serve.port, read_or_make_key(folder.key))


def get(target: Target, path: str) -> tuple[int, str]:
    """Status and text of a page.

    Raises:
        OSError: nobody answers.
    """
    with closing(http.client.HTTPConnection(HOST, target.port, timeout=10)) as connection:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read().decode()


def find_port() -> int:
    """A port of this machine that is free now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def _running(command: Sequence[str], output: Path, target: Target) -> Iterator[int]:
    """A child process that answers /readyz; its id. It is ended with the block.

    Raises:
        SystemExit: it does not become ready; with what it said.
    """
    with output.open("wb") as sink:
        child = subprocess.Popen(
            command,
            cwd=ROOT,
            env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"},
            stdout=sink,
            stderr=sink,
            start_new_session=True,
        )
    try:
        _wait_ready(child, target, output)
        yield child.pid
    finally:
        child.send_signal(signal.SIGTERM)
        child.wait(timeout=30)


def _wait_ready(child: subprocess.Popen[bytes], target: Target, output: Path) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline and child.poll() is None:
        with suppress(OSError):  # it does not listen yet
            if get(target, "/readyz")[0] == http.client.OK:
                return
        time.sleep(0.1)
    raise SystemExit(f"{target.name} did not become ready:\n{output.read_text(errors='replace')[-4000:]}")
