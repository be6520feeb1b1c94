"""The client counts what it gets from a real server, answers and failures alike."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

from benchmarks.serving.load_client import BROKEN, Target, ask_in_turn, ask_together

IMAGES = [b"first", b"second"]


class Service(BaseHTTPRequestHandler):
    """Names the image that it was sent; its statuses are given beforehand, then 200; 0 breaks off."""

    protocol_version = "HTTP/1.1"
    statuses: ClassVar[list[int]] = []
    connections: ClassVar[set[int]] = set()

    def do_POST(self) -> None:
        self.connections.add(self.client_address[1])
        body = self.rfile.read(int(self.headers["Content-Length"]))
        status = self.statuses.pop(0) if self.statuses else 200
        if status == BROKEN:
            self.close_connection = True
            return
        name = next(each for each in IMAGES if each in body).decode()
        content = f'{{"class_name": "{name}"}}'.encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def service(*statuses: int) -> Iterator[Target]:
    Service.statuses, Service.connections = list(statuses), set()
    with ThreadingHTTPServer(("127.0.0.1", 0), Service) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield Target("toy", server.server_address[1])
        server.shutdown()
        thread.join()


def test_in_turn_a_connection_is_kept_or_made_anew_for_each() -> None:
    with service() as target:
        kept = ask_in_turn(target, IMAGES, 6, keep_alive=True)
        assert len(Service.connections) == 1
        fresh = ask_in_turn(target, IMAGES, 6, keep_alive=False)
        assert len(Service.connections) == 1 + 9
    for block in (kept, fresh):
        assert len(block.latencies_ms) == 6
        assert block.statuses == {200: 9}  # three are not counted
        assert block.classes == {0: {"first"}, 1: {"second"}}
        assert 0 < sum(block.latencies_ms) <= block.seconds * 1000


def test_what_is_refused_or_breaks_off_is_counted_and_has_no_latency() -> None:
    with service(200, 200, 200, 429, BROKEN, 500) as target:
        block = ask_in_turn(target, IMAGES, 5, keep_alive=True)
    assert block.statuses == {200: 5, 429: 1, BROKEN: 1, 500: 1}
    assert len(block.latencies_ms) == 2


def test_clients_at_once_have_connections_of_their_own_and_only_the_window_counts() -> None:
    with service(503) as target:
        block = ask_together(target, IMAGES, 4, 0.3, ignored_seconds=0.2)
        assert len(Service.connections) == 4
    assert block.statuses[503] == 1
    assert 0 < len(block.latencies_ms) < block.statuses[200]
    assert block.rate == len(block.latencies_ms) / 0.3
    assert block.classes == {0: {"first"}, 1: {"second"}}
