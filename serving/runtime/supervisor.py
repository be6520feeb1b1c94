"""Holds the service's listening socket and its worker; a worker that ends by itself is started again.

A program of its own, on the standard library alone. It runs in the folder of the service's state, by which a
project knows its own service. Its starter writes a byte to its standard input once the service may answer
publicly; if the starter ends before, so does the service. From then on the next version's starter gets a copy
of the listening socket over a Unix socket in that folder, so that both versions accept from one queue and no
connection is lost between them.

Signals: SIGUSR2 the worker takes no more connections, finishes those that it has, and both end; SIGTERM the
same, closing idle connections at once.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from datetime import UTC, datetime

QUICK_SECONDS = 10.0
LONGEST_PAUSE_SECONDS = 30.0
RESTARTS_VARIABLE = "TAXON_RESTARTS"  # how often the worker was started again, a setting of the worker


class Supervisor:
    """One worker at a time, until told to leave."""

    def __init__(self, source: str, public: int, check: int) -> None:
        """`source` holds the Bento's code; the first worker listens on `check` until it may on `public`."""
        self._source = source
        self._sockets = [public, check]
        self._worker: subprocess.Popen[bytes] | None = None
        self._serving = False
        self._leaving = threading.Event()

    def run(self) -> int:
        """Keep a worker until told to leave; one that ends while it is checked is not started again."""
        for number in (signal.SIGUSR2, signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._leave)
        num_restarts, pause = 0, 0.0
        while not self._leaving.is_set():
            began = time.monotonic()
            code = self._start(num_restarts).wait()
            if self._leaving.is_set():
                break
            if not self._serving:
                return code or 1
            num_restarts += 1
            quick = time.monotonic() - began < QUICK_SECONDS
            pause = min(2 * pause + 1.0, LONGEST_PAUSE_SECONDS) if quick else 0.0
            _tell(f"The worker ended with code {code}; started again after {pause:g} s.")
            until = time.monotonic() + pause
            while time.monotonic() < until and not self._leaving.is_set():
                time.sleep(0.1)
        return 0

    def hand_over(self, control: socket.socket) -> None:
        """Serve once the starter says so, then give a copy of the listening socket to whoever connects."""
        if not os.read(sys.stdin.fileno(), 1) or self._worker is None:
            os.kill(os.getpid(), signal.SIGTERM)
            return
        self._serving = True
        self._worker.send_signal(signal.SIGUSR1)
        while True:
            connection, _ = control.accept()
            with connection, suppress(OSError):  # who asked may be gone
                socket.send_fds(connection, [b"1"], self._sockets[:1])

    def _start(self, num_restarts: int) -> subprocess.Popen[bytes]:
        """A worker; its standard input closes when this process is gone.

        Its code may be that of an earlier version, so its arguments stay as they are.
        """
        named = [f"--{name}={each}" for name, each in zip(("public", "check"), self._sockets, strict=False)]
        self._worker = subprocess.Popen(
            [sys.executable, "-m", "serving.runtime.worker", *named],
            cwd=self._source,
            stdin=subprocess.PIPE,
            pass_fds=self._sockets,
            env={**os.environ, RESTARTS_VARIABLE: str(num_restarts)},
        )
        for check in self._sockets[1:]:
            os.close(check)
        del self._sockets[1:]
        if self._leaving.is_set():  # told so while it was being started
            self._worker.terminate()
        return self._worker

    def _leave(self, number: int, _frame: object) -> None:
        self._leaving.set()
        if self._worker is not None:
            self._worker.send_signal(signal.SIGTERM if number == signal.SIGINT else number)


def _tell(event: str) -> None:
    """A line of the log, in the worker's form (`serving.runtime.logs`)."""
    as_json = os.environ.get("TAXON_LOGS") == "json"
    told = {"event": event, "level": "warning", "timestamp": datetime.now(UTC).isoformat()}
    sys.stderr.write(f"{json.dumps(told) if as_json else event}\n")
    sys.stderr.flush()


def main() -> int:
    """Run in the current folder; `--instance WORD` tells this process from others."""
    instance, source, public, check = sys.argv[2:]
    supervisor, name = Supervisor(source, int(public), int(check)), f"{instance}.sock"
    with socket.socket(socket.AF_UNIX) as control:
        control.bind(name)
        os.chmod(name, 0o600)  # noqa: PTH101  this program starts in milliseconds
        control.listen()
        threading.Thread(target=supervisor.hand_over, args=(control,), daemon=True).start()
        try:
            return supervisor.run()
        finally:
            os.unlink(name)  # noqa: PTH108


if __name__ == "__main__":
    sys.exit(main())
