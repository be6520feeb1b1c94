"""Web servers for whoever sits at this machine: on 127.0.0.1 alone, and no other site's requests.

Neither the dashboard nor the page has a login. What keeps others out is the address and the check of every
request's Host and Origin, without which any web page that the user visits could use them.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from vision.base.errors import ConfigError
from vision.base.lock import RunLock, read_holder

if TYPE_CHECKING:
    import uvicorn

ADDRESS = "127.0.0.1"

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]


class LocalOnly:
    """ASGI application that answers 403 unless Host is this server and Origin is absent or this server.

    A foreign Host is DNS rebinding, a foreign Origin another site's script.
    """

    def __init__(self, application: Application, port: int) -> None:
        self._application = application
        self._hosts = {f"{name}:{port}".encode() for name in (ADDRESS, "localhost")}
        self._origins = {b"http://" + host for host in self._hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] == "lifespan" or self._is_own(scope["headers"]):
            await self._application(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            body = b"Refused: this server answers only requests from its own pages on this machine.\n"
            headers = [(b"content-type", b"text/plain"), (b"content-length", str(len(body)).encode())]
            await send({"type": "http.response.start", "status": 403, "headers": headers})
            await send({"type": "http.response.body", "body": body})

    def _is_own(self, headers: list[tuple[bytes, bytes]]) -> bool:
        hosts = [value.lower() for name, value in headers if name == b"host"]
        origins = [value.lower() for name, value in headers if name == b"origin"]
        return (
            len(hosts) == 1 and hosts[0] in self._hosts and all(origin in self._origins for origin in origins)
        )


def serve_locally(
    name: str,
    port: int,
    folder: Path,
    make: Callable[[], Application],
    announce: Callable[[str], str],
    *,
    usual_port: int,
) -> None:
    """Serve an application until Ctrl-C or SIGTERM.

    Args:
        name: what it is, for messages: `dashboard`.
        port: on 127.0.0.1.
        folder: where the lock lies that is held meanwhile.
        make: imports and makes the application; called once the port is known to be free.
        announce: what to print once it answers, from its URL; may ask it something.
        usual_port: advised in place of a port that needs more rights.

    Raises:
        ConfigError: the port is taken (by this project's own or another program) or not a port.
        StorageError: the state folder cannot be written.
    """
    lock = folder / f"{name}-{port}.lock"
    refuse_taken_port(name, port, lock, usual_port)
    with RunLock(lock, f"{name} on port {port}"):
        import uvicorn

        config = uvicorn.Config(
            LocalOnly(make(), port),
            host=ADDRESS,
            port=port,
            log_level="warning",
            timeout_graceful_shutdown=2,
        )
        with suppress(KeyboardInterrupt):
            asyncio.run(_serve(uvicorn.Server(config), f"http://{ADDRESS}:{port}", announce))


def refuse_taken_port(name: str, port: int, lock: Path, usual_port: int) -> None:
    """Raise ConfigError, naming who has it, if nobody can listen on the port."""
    if not 1 <= port <= 65535:
        raise ConfigError(f"--port is {port}; expected 1 to 65535.")
    try:
        socket.create_server((ADDRESS, port)).close()
    except PermissionError as error:
        raise ConfigError(
            f"Port {port} needs more rights. Choose one above 1023: --port {usual_port}"
        ) from error
    except OSError as error:
        raise ConfigError(_describe_owner(name, port, lock)) from error


def _describe_owner(name: str, port: int, lock: Path) -> str:
    holder = read_holder(lock)
    if holder is None:
        return f"Port {port} is taken by another program. Choose another one: --port {port + 1}"
    return (
        f"Port {port} is taken by this project's {name} (process {holder.pid}, since {holder.since}). "
        f"Open http://{ADDRESS}:{port}, stop it with: kill {holder.pid}, or choose another port: "
        f"--port {port + 1}"
    )


async def _serve(server: uvicorn.Server, url: str, announce: Callable[[str], str]) -> None:
    serving = asyncio.create_task(server.serve())
    while not server.started and not serving.done():
        await asyncio.sleep(0.05)
    if server.started:
        text = await asyncio.to_thread(announce, url)
        Console(stderr=True, highlight=False).print(
            f"{text} (only from this machine; Ctrl-C stops it)", markup=False, soft_wrap=True
        )
    await serving
