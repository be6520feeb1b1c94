"""A worker of the service: uvicorn on a socket that it was given and can leave without losing a request.

It runs in the folder of a Bento's code, below `serving.runtime.supervisor`, whose signals it heeds.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from serving.api.answering.pinned import BUNDLE_FOLDER, PinnedModel
from serving.api.requests.heads import BoundedH11
from serving.runtime.guarded import guard_endpoints
from serving.runtime.logs import set_up_logs
from vision.base.closure import ROOT
from vision.base.errors import BundleError

STORE = ROOT.parents[3]
"""BentoML's home, in which this Bento lies: its code is bentos/NAME/VERSION/src."""

_SETTLE_SECONDS = 0.5  # until a connection that was just accepted is counted


class Worker(uvicorn.Server):
    """Answers on a check socket first, on the public one when told, and drains when told."""

    def __init__(self, application: ASGIApp, protocol: type[asyncio.Protocol], public: socket.socket) -> None:
        """As `uvicorn.Server`, without access log: it would keep clients' addresses."""
        super().__init__(
            uvicorn.Config(
                application,
                interface="asgi3",
                http=protocol,
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
            )
        )
        self._public = public
        self._home = os.getcwd()  # noqa: PTH109
        self._begun: list[Awaitable[None]] = []

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen, then to heed the supervisor."""
        await super().startup(sockets)
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGUSR1, self._begin, self._listen_publicly)
        loop.add_signal_handler(signal.SIGUSR2, self._begin, self._drain)
        loop.add_reader(sys.stdin.fileno(), self._leave)  # it closes when the supervisor is gone

    async def on_tick(self, counter: int) -> bool:
        """Whether to end; called ten times a second."""
        home = os.getcwd()  # noqa: PTH109  cheaper
        if home != self._home:  # the project was moved: the next worker finds code and log at their new place
            self._home = home
            self._begin(self._drain)
        return await super().on_tick(counter)

    def _begin(self, work: Callable[[], Awaitable[None]]) -> None:
        self._begun.append(asyncio.ensure_future(work()))

    async def _listen_publicly(self) -> None:
        """Accept on the public socket, then close that for checks."""
        protocol: Any = self.config.http_protocol_class
        state = {"server_state": self.server_state, "app_state": self.lifespan.state}
        public = await asyncio.get_running_loop().create_server(
            partial(protocol, config=self.config, **state), sock=self._public, backlog=self.config.backlog
        )
        for server in self.servers:
            server.close()
        self.servers = [public]

    async def _drain(self) -> None:
        """End when no connection is left; each further answer says that its connection is closed after it."""
        for server in self.servers:
            server.close()
        for headers in (self.server_state.default_headers, self.config.encoded_headers):
            headers.append((b"connection", b"close"))  # of the answers of this second, and of later ones
        await asyncio.sleep(_SETTLE_SECONDS)
        while self.server_state.connections:
            await asyncio.sleep(0.1)
        self.should_exit = True

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
    """Serve until told to end on the sockets of these descriptors: the public one, one for checks before."""
    public, *check = (socket.socket(fileno=int(each.partition("=")[2])) for each in sys.argv[1:])
    os.chdir(STORE.parents[2])  # the project's home, from which a relative log URL counts
    set_up_logs()
    application, metrics = guard_endpoints(find_stored)
    protocol = type("Counted", (BoundedH11,), {"count": staticmethod(metrics.count_refusal)})
    Worker(application, protocol, public).run(sockets=check or [public])


if __name__ == "__main__":
    main()
