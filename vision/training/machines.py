"""Which machines train a network together, from the variable TF_CONFIG that the field's tools set."""

from __future__ import annotations

import json
import os
import re
import socket
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from select import select
from typing import Self

from vision.base.errors import ConfigError, TrainingError

VARIABLE = "TF_CONFIG"
WAIT_VARIABLE = "TAXON_WAIT_SECONDS"
"""How long machine 0 waits for the others, where that is not 300 seconds."""

_GO = b"go"
_ADDRESS = re.compile(r"[^\s:/,]+:\d{1,5}")


@dataclass(frozen=True)
class Machines:
    """Machines that train together, one process each.

    Attributes:
        addresses: host:port of each; the first leads.
        index: of this one.
    """

    addresses: tuple[str, ...]
    index: int

    @classmethod
    def of(cls, addresses: Sequence[str], index: int) -> Self:
        """Checked; ConfigError if fewer than two, not host:port, named twice, or `index` is none of them."""
        wrong = [each for each in addresses if not _ADDRESS.fullmatch(each)]
        if wrong or len(addresses) < 2 or len(set(addresses)) < len(addresses):
            raise ConfigError(
                f"machines are {', '.join(addresses) or 'none'}. Expected two or more of the form HOST:PORT, "
                "each once, in the same order on every machine: --machines 10.0.0.1:2222,10.0.0.2:2222"
            )
        if not 0 <= index < len(addresses):
            raise ConfigError(
                f"this is machine {index} of {len(addresses)}. Expected 0 to {len(addresses) - 1}; 0 is the "
                "one that runs the pipeline."
            )
        return cls(tuple(addresses), index)

    def meet(self, wait_seconds: float) -> None:
        """Return when all machines are there: TensorFlow's own meeting has no end if one is missing.

        Machine 0 calls the others and gives up after `wait_seconds`; they wait for its call without end.

        Raises:
            TrainingError: one did not answer in time, or this machine's port cannot be listened on.
        """
        if self.index:
            self._await_call()
            return
        calls: list[socket.socket] = []
        with ExitStack() as stack:
            end = time.monotonic() + wait_seconds
            for number, address in enumerate(self.addresses[1:], 1):
                calls.append(stack.enter_context(self._call(number, address, end)))
            for number, call in enumerate(calls, 1):
                self._begin(number, call)

    def _call(self, number: int, address: str, end: float) -> socket.socket:
        """A connection to a machine, once it listens."""
        host, _, port = address.rpartition(":")
        while True:
            try:
                return socket.create_connection((host, int(port)), timeout=5)
            except OSError as error:
                if time.monotonic() > end:
                    raise TrainingError(
                        f"machine {number}, {address}, does not answer ({error}). Expected "
                        f"{len(self.addresses)} machines. Type there: python run.py worker {number} "
                        f"--machines {','.join(self.addresses)}"
                    ) from error
                time.sleep(0.5)

    def _begin(self, number: int, call: socket.socket) -> None:
        """Let a machine that waits begin; it says so."""
        try:
            call.sendall(_GO)
            told = call.recv(len(_GO))
        except OSError as error:
            told = str(error).encode()
        if told != _GO:
            raise TrainingError(
                f"machine {number}, {self.addresses[number]}, is gone again. Expected a waiting worker. "
                "See its last lines, start it again, then type the same command here."
            )

    def _await_call(self) -> None:
        port = int(self.addresses[self.index].rpartition(":")[2])
        try:
            listener = socket.create_server(("", port))
        except OSError as error:
            raise TrainingError(
                f"port {port} of this machine, {self.index}, cannot be listened on ({error}). Expected a "
                "free one: end what uses it, or name another port for it on all machines."
            ) from error
        with ExitStack() as stack:
            waiting = [stack.enter_context(listener)]
            while True:
                for ready in select(waiting, [], [])[0]:  # a connection on which nothing comes holds up none
                    if ready is listener:
                        waiting.append(stack.enter_context(listener.accept()[0]))
                        continue
                    waiting.remove(ready)
                    with ready, suppress(OSError):
                        if ready.recv(len(_GO)) == _GO:
                            ready.sendall(_GO)
                            return

    def publish(self) -> None:
        """Set TF_CONFIG in this process and those that it starts."""
        cluster = {"worker": list(self.addresses)}
        os.environ[VARIABLE] = json.dumps(
            {"cluster": cluster, "task": {"type": "worker", "index": self.index}}
        )


def read_machines() -> Machines | None:
    """The machines of TF_CONFIG; None where it is not set or names one machine alone.

    Raises:
        ConfigError: it cannot be read, or has other tasks than chief and worker.
    """
    text = os.environ.get(VARIABLE, "")
    try:
        found = json.loads(text or "{}")
        jobs = {name: list(addresses) for name, addresses in found.get("cluster", {}).items() if addresses}
        if sum(map(len, jobs.values())) < 2:
            return None
        chiefs, workers = jobs.pop("chief", []), jobs.pop("worker", [])
        kind, index = found["task"]["type"], int(found["task"]["index"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(
            f"{VARIABLE} cannot be read: {text} ({type(error).__name__} {error}). Expected "
            '{"cluster": {"worker": ["HOST:PORT", ...]}, "task": {"type": "worker", "index": 0}}'
        ) from error
    if jobs or kind not in ("chief", "worker"):
        raise ConfigError(
            f"{VARIABLE} has the task {kind} and the jobs {', '.join(sorted(found['cluster']))}. Expected "
            "chief and worker alone: every machine learns from a share of each batch."
        )
    return Machines.of([*chiefs, *workers], index + (len(chiefs) if kind == "worker" else 0))


def read_wait() -> int:
    """Seconds until all machines must have met; ConfigError if TAXON_WAIT_SECONDS is no number of seconds."""
    text = os.environ.get(WAIT_VARIABLE, "300")
    if not text.isdigit() or not int(text):
        raise ConfigError(f"{WAIT_VARIABLE} is {text}. Expected whole seconds, such as 300.")
    return int(text)
