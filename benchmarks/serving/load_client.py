"""The client that puts load on a service: one image a request, in turn or from several clients at once.

It runs in a process of its own and competes for the cores with whatever it asks, equally with each. The
client is the standard library's, which costs 0.4 ms of CPU a request (aiohttp: 0.6 ms) and knows no proxies.
Every answer is read, and its class compared with the other answers to the same image.
"""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from http import HTTPStatus

HOST = "127.0.0.1"
BROKEN = 0
"""In the place of a status: the connection failed before there was one."""

_BOUNDARY = "benchmark-7f3a"
_HEADERS = {"Content-Type": f"multipart/form-data; boundary={_BOUNDARY}"}
_HEAD = f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="image"; filename="image.jpg"\r\n'
_TIMEOUT_SECONDS = 30.0


@dataclass(frozen=True)
class Target:
    """A service on this machine that answers POST to `path`."""

    name: str
    port: int
    key: str = ""
    path: str = "/predict"


@dataclass
class Block:
    """What one block of requests gave.

    Attributes:
        seconds: wall time of what is counted.
        cpu_seconds: of the client's process, over the whole block.
        served_cpu: CPU seconds of who answered, over the whole block; 0 where that was not looked at.
        latencies_ms: of every answer counted, from before the request is sent until the answer is read.
        statuses: how many requests ended with which HTTP status, all of the block.
        classes: the classes that were answered, for each number of an image.
    """

    seconds: float = 0.0
    cpu_seconds: float = 0.0
    latencies_ms: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    classes: dict[int, set[str]] = field(default_factory=lambda: defaultdict(set))
    served_cpu: float = 0.0

    @property
    def rate(self) -> float:
        """Answers a second."""
        return len(self.latencies_ms) / self.seconds

    @property
    def served_ms(self) -> float:
        """CPU milliseconds that an answer cost who gave it."""
        return 1000.0 * self.served_cpu / max(1, self.statuses[HTTPStatus.OK])

    def join(self, other: Block) -> None:
        """Add what another client of the same block saw."""
        self.latencies_ms += other.latencies_ms
        self.statuses += other.statuses
        for number, names in other.classes.items():
            self.classes[number] |= names


def ask_in_turn(
    target: Target, images: Sequence[bytes], count: int, *, keep_alive: bool, num_ignored: int = 3
) -> Block:
    """One request after the other.

    Args:
        target: whom to ask.
        images: JPEG files, asked in rotation.
        count: requests that are counted.
        keep_alive: over one connection; else each over a new one, the making of which is counted.
        num_ignored: requests beforehand that are not counted.
    """
    bodies = [_encode(image) for image in images]
    block, connection = Block(), _Connection(target)
    begun, cpu = time.perf_counter(), time.process_time()
    for i in range(num_ignored + count):
        if not keep_alive:
            connection.close()
        if i == num_ignored:
            begun = time.perf_counter()
        latency = connection.ask(block, i % len(bodies), bodies[i % len(bodies)])
        if i >= num_ignored and latency is not None:
            block.latencies_ms.append(latency)
    block.seconds = time.perf_counter() - begun
    block.cpu_seconds = time.process_time() - cpu
    connection.close()
    return block


def ask_together(
    target: Target, images: Sequence[bytes], num_clients: int, seconds: float, ignored_seconds: float = 1.0
) -> Block:
    """Several clients at once, each over its own kept connection and without a pause.

    Args:
        target: whom to ask.
        images: JPEG files, asked in rotation; client j begins with image j.
        num_clients: threads.
        seconds: answers that arrive in this time are counted.
        ignored_seconds: time beforehand, whose answers are not.
    """
    bodies = [_encode(image) for image in images]
    total, joining = Block(seconds=seconds), threading.Lock()
    counted_from = time.perf_counter() + ignored_seconds
    end, cpu = counted_from + seconds, time.process_time()

    def ask_on(first: int) -> None:
        block, connection, i = Block(), _Connection(target), first
        while time.perf_counter() < end:
            latency = connection.ask(block, i % len(bodies), bodies[i % len(bodies)])
            if latency is None:
                time.sleep(0.01)  # a service that refuses is not asked ever faster
            elif counted_from < time.perf_counter() <= end:
                block.latencies_ms.append(latency)
            i += 1
        connection.close()
        with joining:
            total.join(block)

    _run_clients(ask_on, num_clients)
    total.cpu_seconds = time.process_time() - cpu
    return total


def ask_paced(
    target: Target, images: Sequence[bytes], num_clients: int, seconds: float, rate: float
) -> Block:
    """Clients that ask so often a second together, whether or not answers come in time; all are counted."""
    bodies = [_encode(image) for image in images]
    total, joining, begun = Block(seconds=seconds), threading.Lock(), time.perf_counter()

    def ask_on(first: int) -> None:
        block, connection, i = Block(), _Connection(target), first
        while (due := i / rate) < seconds:
            time.sleep(max(0.0, begun + due - time.perf_counter()))
            latency = connection.ask(block, i % len(bodies), bodies[i % len(bodies)])
            if latency is not None:
                block.latencies_ms.append(latency)
            i += num_clients
        connection.close()
        with joining:
            total.join(block)

    _run_clients(ask_on, num_clients)
    return replace(total, seconds=time.perf_counter() - begun)


class _Connection:
    """A connection that is made when it is needed."""

    def __init__(self, target: Target) -> None:
        self._connection = http.client.HTTPConnection(HOST, target.port, timeout=_TIMEOUT_SECONDS)
        self._path = target.path
        self._headers = _HEADERS | ({"X-API-Key": target.key} if target.key else {})

    def ask(self, block: Block, number: int, body: bytes) -> float | None:
        """Milliseconds until the answer was read; None, and its status counted, where there was none."""
        begun = time.perf_counter()
        try:
            self._connection.request("POST", self._path, body, self._headers)
            response = self._connection.getresponse()
            status, content = response.status, response.read()
        except (OSError, http.client.HTTPException):
            self.close()
            block.statuses[BROKEN] += 1
            return None
        latency = (time.perf_counter() - begun) * 1000.0
        block.statuses[status] += 1
        if status != HTTPStatus.OK:
            return None
        block.classes[number].add(str(json.loads(content)["class_name"]))
        return latency

    def close(self) -> None:
        self._connection.close()


def _encode(image: bytes) -> bytes:
    """The form that `curl -F image=@image.jpg` sends."""
    return f"{_HEAD}Content-Type: image/jpeg\r\n\r\n".encode() + image + f"\r\n--{_BOUNDARY}--\r\n".encode()


def _run_clients(ask_on: Callable[[int], None], num_clients: int) -> None:
    """Each client in a thread of its own, told its number; until all have ended."""
    threads = [threading.Thread(target=ask_on, args=(j,)) for j in range(num_clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
