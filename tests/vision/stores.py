"""A store of objects on this machine, with one bucket, as `s3://` finds it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import fsspec
import httpx
import pytest


@contextmanager
def open_store(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Fsspec's view of a store with the bucket `fish`, to which `s3://` leads meanwhile."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(port=0)
    server.start()
    host, port = server.get_host_and_port()
    point_to(monkeypatch, f"http://{host}:{port}")
    httpx.post(f"http://{host}:{port}/moto-api/reset")  # its buckets outlive a server
    bucket = fsspec.filesystem("s3")
    bucket.mkdir("fish")
    yield bucket
    server.stop()


def point_to(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """Let `s3://` lead to a store at this address, with a key that is `hidden`."""
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    for name, value in {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": "some",
        "AWS_SECRET_ACCESS_KEY": "hidden",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
