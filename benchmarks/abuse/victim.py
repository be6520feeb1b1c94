"""A running service as `benchmarks.abuse` asks it: every outcome is a status, or what came in its place."""

from __future__ import annotations

import http.client
import re
import socket
import threading
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.abuse.hostile import FORM
from benchmarks.serving.load_client import HOST
from serving.log.prediction_log import PredictionLog
from serving.log.url import resolve_log_url
from serving.runtime.running import RunningService, ServiceFolder

HANGS, CLOSED = "no answer", "closed"
WAIT_SECONDS = 60.0


@dataclass
class Victim:
    """A running service, and what came of asking it.

    Attributes:
        folder, service: of the project, and its record.
        images: JPEGs that it answers.
        scale: share of what is sent.
        key, friend: who abuses it, and who asks it meanwhile.
    """

    folder: ServiceFolder
    service: RunningService
    images: list[bytes]
    scale: float
    key: str
    friend: str
    _local: threading.local = field(default_factory=threading.local)
    _lines: list[http.client.HTTPConnection] = field(default_factory=list)

    @property
    def port(self) -> int:
        """Where it answers on this machine."""
        return self.service.serve.port

    @property
    def log(self) -> Path:
        """The file of the prediction log."""
        url = resolve_log_url(self.service.serve.log.url, self.folder.home)
        return Path(url.removeprefix("sqlite:///"))

    def post(self, body: bytes, path: str = "/predict", media_type: str = FORM, key: str = "") -> str:
        """The status of an answer that was read, over a kept connection; or what came in its place."""
        if not hasattr(self._local, "line"):
            self._local.line = http.client.HTTPConnection(HOST, self.port, timeout=WAIT_SECONDS)
            self._lines.append(self._local.line)
        line: http.client.HTTPConnection = self._local.line
        for _ in range(2):  # a kept connection may have been closed meanwhile
            fresh = line.sock is None
            try:
                line.request("POST", path, body, {"Content-Type": media_type, "X-API-Key": key or self.key})
                answer = line.getresponse()
                answer.read()
            except TimeoutError:
                line.close()
                return HANGS
            except (OSError, http.client.HTTPException):
                line.close()
                if fresh:
                    return CLOSED
            else:
                return str(answer.status)
        return CLOSED

    def close(self) -> None:
        """Close every kept connection."""
        for line in self._lines:
            line.close()

    def raw(self, request: bytes) -> str:
        """The statuses of all answers to raw bytes on a connection of their own."""
        with closing(socket.create_connection((HOST, self.port), WAIT_SECONDS)) as line:
            said = b""
            with suppress(ConnectionError):
                line.sendall(request)
            try:
                with suppress(ConnectionError):  # a reset ends the answers as a close does
                    while block := line.recv(65_536):
                        said += block
            except TimeoutError:
                return HANGS
        return "+".join(each.decode() for each in re.findall(rb"HTTP/1\.1 (\d+)", said)) or CLOSED

    def metric(self, name: str) -> int:
        """One series of /metrics."""
        with closing(http.client.HTTPConnection(HOST, self.port, timeout=WAIT_SECONDS)) as line:
            line.request("GET", "/metrics", headers={"X-API-Key": self.friend})
            found = re.search(rf"^{name} (\S+)$", line.getresponse().read().decode(), re.MULTILINE)
        return round(float(found.group(1))) if found else -1

    def count_entries(self) -> int:
        """Answers in the log."""
        if not self.log.exists():
            return 0
        with closing(PredictionLog(f"sqlite:///{self.log}", wait_s=5.0, create=False)) as log:
            return log.count()
