"""Bentos of the toy, and its services as real processes."""

from __future__ import annotations

import os
import socket

import psutil
import pytest

from serving.api.answering.pinned import PinnedModel
from serving.runtime.launch import Launched
from serving.runtime.running import BuiltBento, RunningService, ServiceFolder, write_record
from vision.config.serve import ServeSettings

ON_PAPER = BuiltBento(
    tag="toy:1", model=PinnedModel(name="toy", version="3", digest="a" * 64, tag="toy:aaaa")
)
"""A Bento for what goes wrong before one is needed."""


def forget_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of the user's own reaches a service."""
    for name in [name for name in os.environ if name.startswith("TAXON_") and name != "TAXON_SHARED"]:
        monkeypatch.delenv(name)


def find_port() -> int:
    """A port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def serve_at(port: int) -> ServeSettings:
    """Settings with that port."""
    return ServeSettings(port=port)


def accept_all(_launched: Launched) -> None:
    """A check that finds nothing."""


def find_workers(service: RunningService) -> list[psutil.Process]:
    """The worker of a service, in a list."""
    children = psutil.Process(service.pid).children(recursive=True)
    return [child for child in children if "serving.runtime.worker" in child.cmdline()]


def put_on_record(
    folder: ServiceFolder, pid: int, *, instance: str = "word", keys_from_environment: bool = False
) -> RunningService:
    """A record as a start writes it, of whatever process."""
    service = RunningService(
        pid=pid,
        instance=instance,
        serve=serve_at(find_port()),
        bento=ON_PAPER,
        output="log",
        keys_from_environment=keys_from_environment,
        since="2026-01-01T00:00:00+00:00",
    )
    write_record(folder.record, service)
    return service
