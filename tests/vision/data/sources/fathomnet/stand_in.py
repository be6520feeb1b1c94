"""A server that answers as FathomNet and its image servers do, faults on demand."""

from __future__ import annotations

import hashlib
import io
import json
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
from PIL import Image

from tests.shared_data import shared_data


def real_answer() -> list[dict[str, Any]]:
    """The photographs of a real answer to `POST /images/query`."""
    path = shared_data("fathomnet_json") / "api_images_query.json"
    content: list[dict[str, Any]] = json.loads(path.read_text())
    return content


def picture(seed: int) -> bytes:
    """A noisy JPEG of 64 by 48 pixels."""
    pixels = np.random.default_rng(seed).integers(0, 255, (48, 64, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG")
    return file.getvalue()


@dataclass
class StandIn:
    """What is served, what goes wrong, and what was asked.

    Attributes:
        photographs: answers of the API; their `url` has `{server}` where the address belongs.
        pictures: path -> bytes.
        faults: path -> faults of its next answers: a status, `cut`, `half`, or (429, seconds to wait).
        asked: path -> number of requests.
        times: (path, time) of each request.
    """

    photographs: list[dict[str, Any]] = field(default_factory=list)
    pictures: dict[str, bytes] = field(default_factory=dict)
    faults: dict[str, list[Any]] = field(default_factory=lambda: defaultdict(list))
    asked: Counter[str] = field(default_factory=Counter)
    times: list[tuple[str, float]] = field(default_factory=list)
    most_at_once: int = 0
    url: str = ""
    _now: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, concept: str, number: int, dive: str = "dive", **more: Any) -> dict[str, Any]:
        """A photograph of one concept with its picture."""
        uuid = f"{concept.replace(' ', '-')}-{number}"
        path = f"/files/{dive}/{uuid}.jpg"
        self.pictures[path] = picture(len(self.pictures))
        box = {"concept": concept, "x": 8, "y": 12, "width": 16, "height": 24, "groupOf": False}
        photograph = {"uuid": uuid, "url": f"{{server}}{path}", "width": 64, "height": 48, "valid": True}
        self.photographs.append({**photograph, "boundingBoxes": [box], **more})
        return self.photographs[-1]

    def counts(self) -> list[dict[str, Any]]:
        found = Counter(box["concept"] for each in self.photographs for box in each["boundingBoxes"])
        return [{"concept": concept, "count": count} for concept, count in found.items()]

    def query(self, asked: dict[str, Any]) -> list[dict[str, Any]]:
        found = [
            each | {"url": each["url"].replace("{server}", self.url)}
            for each in self.photographs
            if any(box["concept"] == asked["concept"] for box in each["boundingBoxes"])
        ]
        return found[asked["offset"] : asked["offset"] + asked["limit"]]


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@contextmanager
def serving(stand_in: StandIn) -> Iterator[StandIn]:
    """The stand-in at a free port of this machine."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer(None)

        def do_POST(self) -> None:
            self._answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

        def _answer(self, asked: Any) -> None:
            with stand_in._lock:
                stand_in.asked[self.path] += 1
                stand_in.times.append((self.path, time.monotonic()))
                stand_in._now += 1
                stand_in.most_at_once = max(stand_in.most_at_once, stand_in._now)
                faults = stand_in.faults.get(self.path)
                fault = faults.pop(0) if faults else None
            try:
                self._send(fault, self._body(asked))
            finally:
                with stand_in._lock:
                    stand_in._now -= 1

        def _body(self, asked: Any) -> bytes | None:
            if self.path == "/api/boundingboxes/list/counts":
                return json.dumps(stand_in.counts()).encode()
            if self.path == "/api/images/query":
                return json.dumps(stand_in.query(asked)).encode()
            time.sleep(0.005)
            return stand_in.pictures.get(self.path)

        def _send(self, fault: Any, body: bytes | None) -> None:
            status, wait = fault if isinstance(fault, tuple) else (fault, None)
            status = status if isinstance(status, int) else 404 if body is None else 200
            content = body or b""
            self.send_response(status)
            if wait is not None:
                self.send_header("Retry-After", str(wait))
            self.send_header("Content-Length", str(len(content) // 2 if fault == "half" else len(content)))
            self.end_headers()
            self.wfile.write(content[: len(content) // 2] if fault in ("cut", "half") else content)
            self.close_connection = fault == "cut"

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    stand_in.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield stand_in
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
