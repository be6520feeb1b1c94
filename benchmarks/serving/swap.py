"""New versions take over under load: how many requests, how many of them failed, how long the longest took.

python -m benchmarks.serving.swap --bundle FOLDER --digest SHA256

The bundle is built as versions 1 and 2, which take turns while sixteen clients ask without a pause; half of
the clients keep their connections. Nothing of the project's own service is touched.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import httpx
import numpy as np

from benchmarks.serving.services import find_port
from serving.runtime.bento import build_in_store
from serving.runtime.process import deploy_service, start_service, stop_service
from serving.runtime.running import ServiceFolder
from vision.config.serve import ServeSettings

CLIENTS = 16


class Asked(NamedTuple):
    """One request: when it was sent, how long it took, and what its answer says of the model."""

    sent: float
    seconds: float
    version: str
    digest: str


@dataclass
class Load:
    """What the clients saw: answers, and requests without one."""

    answers: list[Asked] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def versions_since(self, moment: float) -> set[str]:
        """Who answered what was sent from then on."""
        return {each.version for each in self.answers if each.sent > moment}


@contextmanager
def under_load(url: str, key: str, image: bytes) -> Iterator[Load]:
    """Sixteen clients ask without a pause; every second one keeps its connection."""
    load, ended = Load(), threading.Event()

    def ask_on(number: int) -> None:
        limits = httpx.Limits(max_keepalive_connections=number % 2)
        with httpx.Client(trust_env=False, timeout=30, limits=limits, headers={"X-API-Key": key}) as client:
            while not ended.is_set():
                sent = time.monotonic()
                try:
                    answered = client.post(f"{url}/predict", files={"image": image})
                    model = answered.raise_for_status().json()["model"]
                except (httpx.HTTPError, ValueError, KeyError) as error:
                    load.failures.append(repr(error))
                else:
                    seconds = time.monotonic() - sent
                    load.answers.append(Asked(sent, seconds, model["version"], model["digest"]))

    clients = [threading.Thread(target=ask_on, args=(number,)) for number in range(CLIENTS)]
    for client in clients:
        client.start()
    try:
        yield load
    finally:
        ended.set()
        for client in clients:
            client.join()


def main() -> int:
    """Measure and print; exit code 1 if a request failed."""
    from benchmarks.images import make_images

    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving.swap", description=__doc__)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--digest", required=True)
    parser.add_argument("--swaps", type=int, default=6)
    options = parser.parse_args()
    serve = ServeSettings(port=find_port())
    with tempfile.TemporaryDirectory() as home:
        folder = ServiceFolder(Path(home))
        bentos = [build_in_store(folder, options.bundle, options.digest, version) for version in "12"]
        service = start_service(folder, bentos[0], serve)
        try:
            with under_load(service.url, folder.key.read_text().strip(), make_images()[0]) as load:
                for number in range(1, options.swaps + 1):
                    time.sleep(2)
                    begun = time.monotonic()
                    deploy_service(folder, bentos[number % 2], serve, lambda _: None)
                    sys.stdout.write(f"swap {number}: {time.monotonic() - begun:.1f} s\n")
        finally:
            stop_service(folder)
    middle, high = np.quantile([each.seconds * 1000 for each in load.answers], [0.5, 0.99])
    longest = max(each.seconds for each in load.answers)
    sys.stdout.write(
        f"{len(load.answers)} requests answered, {len(load.failures)} failed, in {options.swaps} swaps; "
        f"p50 {middle:.0f} ms, p99 {high:.0f} ms, longest {longest * 1000:.0f} ms\n"
    )
    return 1 if load.failures else 0


if __name__ == "__main__":
    sys.exit(main())
