"""A worker of the service: uvicorn on a socket that it was given and can leave without losing a request.

It runs in the folder of a Bento's code, below `serving.runtime.supervisor`, whose signals it heeds.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any

import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.api.answering.pinned import BUNDLE_FOLDER, PinnedModel
from serving.api.requests.heads import BoundedH11
from serving.runtime.guarded import guard_endpoints
from serving.runtime.logs import set_up_logs
from vision.base.closure import ROOT
from vision.base.errors import BundleError

STORE = ROOT.parents[3]
"""BentoML's home, in which this Bento lies: its code is bentos/NAME/VERSION/src."""

_SETTLE_TICKS = 5  # of uvicorn's 0.1 s: until a connection that was just accepted is counted


class Worker(uvicorn.Server):
    """Answers on a check socket first, on the public one when told, and drains when told."""

    def __init__(self, application: ASGIApp, protocol: type[asyncio.Protocol], public: socket.socket) -> None:
        """As `uvicorn.Server`, without access log: it would keep clients' addresses."""
        super().__init__(
            uvicorn.Config(
                self._announce,
                interface="asgi3",
                http=protocol,
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
            )
        )
        self._application = application
        self._public = public
        self._home = os.getcwd()  # noqa: PTH109
        self._ticks_drained: int | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen, then to heed the supervisor."""
        await super().startup(sockets)
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGUSR1, self._go_public)
        loop.add_signal_handler(signal.SIGUSR2, self._drain)
        loop.add_reader(sys.stdin.fileno(), self._leave)  # it closes when the supervisor is gone

    async def on_tick(self, counter: int) -> bool:
        """Whether to end; called ten times a second."""
        if self._ticks_drained is None and os.getcwd() != self._home:  # noqa: PTH109  cheaper
            self._drain()  # the project was moved: the next worker finds code and log at their new place
        if self._ticks_drained is not None:
            self._ticks_drained += 1
            if self._ticks_drained > _SETTLE_TICKS and not self.server_state.connections:
                return True
        return await super().on_tick(counter)

    async def _announce(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The application's answers; while draining each says that its connection is closed after it."""

        async def tell(message: Message) -> None:
            if self._ticks_drained is not None and message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], (b"connection", b"close")]}
            await send(message)

        await self._application(scope, receive, tell)

    def _go_public(self) -> None:
        task = asyncio.get_running_loop().create_task(self._listen_publicly())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _listen_publicly(self) -> None:
        """Accept on the public socket, then close the check socket, by which the starter knows."""

        def make_protocol() -> asyncio.Protocol:
            protocol: Any = self.config.http_protocol_class
            made: asyncio.Protocol = protocol(
                config=self.config, server_state=self.server_state, app_state=self.lifespan.state
            )
            return made

        loop = asyncio.get_running_loop()
        public = await loop.create_server(make_protocol, sock=self._public, backlog=self.config.backlog)
        for server in self.servers:
            server.close()
        self.servers = [public]

    def _drain(self) -> None:
        self._ticks_drained = 0
        for server in self.servers:
            server.close()

    def _leave(self) -> None:
        asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
        self.should_exit = True


def find_stored(pinned: PinnedModel) -> Path:
    """The bundle of a model in the BentoML store in which this Bento lies.

    Raises:
        BundleError: it is not there.
    """
    bundle = STORE / "models" / pinned.tag.replace(":", "/") / BUNDLE_FOLDER
    if not bundle.is_dir():
        raise BundleError(
            f"Model {pinned.tag} is not in BentoML's store ({bundle} could not be found). Build the Bento "
            "again: python run.py --pipeline deployment --config NAME.yaml"
        )
    return bundle


def main() -> None:
    """Serve on the sockets whose descriptors are named until told to end."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--public", type=int, required=True)
    parser.add_argument("--check", type=int)
    options = parser.parse_args()
    os.chdir(STORE.parents[2])  # the project's home, from which a relative log URL counts
    set_up_logs()
    application, metrics = guard_endpoints(find_stored)
    protocol = type("Counted", (BoundedH11,), {"count": staticmethod(metrics.count_refusal)})
    public = socket.socket(fileno=options.public)
    first = public if options.check is None else socket.socket(fileno=options.check)
    Worker(application, protocol, public).run(sockets=[first])


if __name__ == "__main__":
    main()
