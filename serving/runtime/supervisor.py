"""Holds the service's listening socket and its worker; a worker that ends by itself is started again.

A program of its own, on the standard library alone. It runs in the folder of the service's state, by which a
project knows its own service. The next version's starter asks for the listening socket over a Unix socket,
so that both versions accept from one queue and no connection is lost between them.

Signals: SIGUSR1 the worker answers on the public address; SIGUSR2 it takes no more connections, finishes
those that it has, and both end; SIGTERM the same, closing idle connections at once.
"""

from __future__ import annotations

import argparse
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
from pathlib import Path

QUICK_SECONDS = 10.0
LONGEST_PAUSE_SECONDS = 30.0
RESTARTS_VARIABLE = "TAXON_RESTARTS"  # how often the worker was started again, a setting of the worker


class Supervisor:
    """One worker at a time, until told to leave."""

    def __init__(self, source: Path, public: int, check: int) -> None:
        """`source` holds the Bento's code; the first worker listens on `check` before it takes over."""
        self._source = source
        self._public = public
        self._check: int | None = check
        self._worker: subprocess.Popen[bytes] | None = None
        self._serving = False
        self._leaving = False
        self._num_starts = 0

    def run(self) -> int:
        """Keep a worker until told to leave; a worker that ends before it took over is not started again."""
        for number in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._heed)
        pause = 0.0
        while not self._is_leaving():
            began = time.monotonic()
            code = self._start().wait()
            if self._is_leaving():
                break
            if not self._serving:
                return code or 1
            quick = time.monotonic() - began < QUICK_SECONDS
            pause = min(2 * pause + 1.0, LONGEST_PAUSE_SECONDS) if quick else 0.0
            _tell(f"The worker ended with code {code}; started again after {pause:g} s.")
            until = time.monotonic() + pause
            while time.monotonic() < until and not self._is_leaving():
                time.sleep(0.1)
        return 0

    def _is_leaving(self) -> bool:
        return self._leaving

    def _start(self) -> subprocess.Popen[bytes]:
        """A worker; its standard input closes when this process is gone."""
        command = [sys.executable, "-m", "serving.runtime.worker", "--public", str(self._public)]
        descriptors = [self._public]
        if self._check is not None:
            command += ["--check", str(self._check)]
            descriptors.append(self._check)
        self._worker = subprocess.Popen(
            command,
            cwd=self._source,
            stdin=subprocess.PIPE,
            pass_fds=descriptors,
            env={**os.environ, RESTARTS_VARIABLE: str(self._num_starts)},
        )
        self._num_starts += 1
        if self._check is not None:
            os.close(self._check)  # the first worker's alone, so that it closes when that one closes it
            self._check = None
        if self._leaving:  # told so while it was being started
            self._worker.terminate()
        return self._worker

    def _heed(self, number: int, _frame: object) -> None:
        if number == signal.SIGUSR1:
            self._serving = True
        else:
            self._leaving = True
        if self._worker is not None:
            self._worker.send_signal(signal.SIGTERM if number == signal.SIGINT else number)


def _tell(event: str) -> None:
    """A line of the log, in the worker's form (`serving.runtime.logs`)."""
    as_json = os.environ.get("TAXON_LOGS") == "json"
    told = {"event": event, "level": "warning", "timestamp": datetime.now(UTC).isoformat()}
    sys.stderr.write(f"{json.dumps(told) if as_json else event}\n")
    sys.stderr.flush()


def share_socket(control: socket.socket, public: int) -> None:
    """Give a copy of the listening socket to whoever connects, for ever."""
    while True:
        connection, _ = control.accept()
        with connection, suppress(OSError):  # who asked may be gone
            socket.send_fds(connection, [b"1"], [public])


def main() -> int:
    """Run in the current folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--instance", required=True, help="random word that tells this process from others")
    parser.add_argument("--source", type=Path, required=True)
    parser.add_argument("--public", type=int, required=True)
    parser.add_argument("--check", type=int, required=True)
    options = parser.parse_args()
    name = f"{options.instance}.sock"
    with socket.socket(socket.AF_UNIX) as control:
        control.bind(name)
        os.chmod(name, 0o600)  # noqa: PTH101  this program starts in milliseconds
        control.listen()
        thread = threading.Thread(target=share_socket, args=(control, options.public), daemon=True)
        thread.start()
        try:
            return Supervisor(options.source, options.public, options.check).run()
        finally:
            os.unlink(name)  # noqa: PTH108


if __name__ == "__main__":
    sys.exit(main())
