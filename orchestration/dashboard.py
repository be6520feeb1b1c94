"""ZenML's own dashboard beside the client: the same SQLite file, this machine only, no other site's requests.

The server runs in this process with a configuration folder of its own, so that the client goes on using the
store directly. It has no login; what keeps others out is the address 127.0.0.1 and the check of every
request's Host and Origin, without which any web page that the user visits could read and change the store.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.error import URLError
from urllib.request import Request, urlopen

from rich.console import Console

from orchestration.environment import LOCAL_STORES_FOLDER
from orchestration.paths import ProjectPaths
from vision.errors import ConfigError
from vision.lock import RunLock, read_holder

if TYPE_CHECKING:
    import uvicorn

ADDRESS = "127.0.0.1"
DEFAULT_PORT = 8237
RUNS_PAGE = "/projects/default/runs"
SURVEY_DONE = {"email_opted_in": False, "user_metadata": {"finished_onboarding_survey": True}}

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
            body = b"Refused: this dashboard answers only requests from its own pages on this machine.\n"
            headers = [(b"content-type", b"text/plain"), (b"content-length", str(len(body)).encode())]
            await send({"type": "http.response.start", "status": 403, "headers": headers})
            await send({"type": "http.response.body", "body": body})

    def _is_own(self, headers: list[tuple[bytes, bytes]]) -> bool:
        hosts = [value.lower() for name, value in headers if name == b"host"]
        origins = [value.lower() for name, value in headers if name == b"origin"]
        return (
            len(hosts) == 1 and hosts[0] in self._hosts and all(origin in self._origins for origin in origins)
        )


def serve_dashboard(paths: ProjectPaths, port: int = DEFAULT_PORT) -> None:
    """Serve until Ctrl-C or SIGTERM; the URL is printed once the dashboard answers.

    Raises:
        ConfigError: the port is taken (by this project's dashboard or another program) or not a port, or the
            runs are kept by a ZenML server of the user's own, which has its own dashboard.
        StorageError: the state folder cannot be written.
    """
    if own_server := os.environ.get("ZENML_STORE_URL"):
        raise ConfigError(f"The runs are kept by {own_server} (ZENML_STORE_URL). Open its dashboard instead.")
    lock = paths.state / f"dashboard-{port}.lock"
    refuse_taken_port(port, lock)
    with RunLock(lock, f"dashboard on port {port}"):
        os.environ.update(server_variables(paths))
        import uvicorn
        from zenml.zen_server.zen_server_api import app

        config = uvicorn.Config(
            LocalOnly(app, port), host=ADDRESS, port=port, log_level="warning", timeout_graceful_shutdown=2
        )
        with suppress(KeyboardInterrupt):
            asyncio.run(_serve(uvicorn.Server(config), f"http://{ADDRESS}:{port}"))


def server_variables(paths: ProjectPaths) -> Mapping[str, str]:
    """What makes a ZenML server of this process, over the project's store."""
    database = paths.zenml / LOCAL_STORES_FOLDER / "default_zen_store" / "zenml.db"
    return {
        "ZENML_SERVER": "true",
        "ZENML_SERVER_AUTH_SCHEME": "NO_AUTH",
        "ZENML_SERVER_AUTO_ACTIVATE": "true",
        "ZENML_SERVER_DEPLOYMENT_TYPE": "local",
        "ZENML_SERVER_ALLOW_LOCAL_FILE_ACCESS": "true",
        "ZENML_CONFIG_PATH": str(paths.zenml / "dashboard"),
        "ZENML_LOCAL_STORES_PATH": str(paths.zenml / LOCAL_STORES_FOLDER),
        # A store that does not exist yet must be made; one that does is the client's to migrate.
        "DISABLE_DATABASE_MIGRATION": str(database.exists()).lower(),
    }


def refuse_taken_port(port: int, lock: Path) -> None:
    """Raise ConfigError, naming who has it, if nobody can listen on the port."""
    if not 1 <= port <= 65535:
        raise ConfigError(f"--port is {port}; expected 1 to 65535.")
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((ADDRESS, port))
        except PermissionError as error:
            raise ConfigError(f"Port {port} needs more rights. Choose one above 1023: --port 8237") from error
        except OSError as error:
            raise ConfigError(_describe_owner(port, lock)) from error


def _describe_owner(port: int, lock: Path) -> str:
    holder = read_holder(lock)
    if holder is None:
        return f"Port {port} is taken by another program. Choose another one: --port {port + 1}"
    return (
        f"Port {port} is taken by this project's dashboard (process {holder.pid}, since {holder.since}). "
        f"Open http://{ADDRESS}:{port}, stop it with: kill {holder.pid}, or choose another port: "
        f"--port {port + 1}"
    )


async def _serve(server: uvicorn.Server, url: str) -> None:
    serving = asyncio.create_task(server.serve())
    while not server.started and not serving.done():
        await asyncio.sleep(0.05)
    if server.started:
        survey = await asyncio.to_thread(_clear_survey, url)
        Console(stderr=True, highlight=False).print(
            f"Dashboard {url}{RUNS_PAGE} {survey}(only from this machine; Ctrl-C stops it)",
            markup=False,
            soft_wrap=True,
        )
    await serving


def _clear_survey(url: str) -> str:
    """Answer ZenML's welcome survey, which would stand before the runs; a note where that failed."""
    request = Request(
        f"{url}/api/v1/current-user",
        data=json.dumps(SURVEY_DONE).encode(),
        headers={"Content-Type": "application/json"},
        method="PUT",
    )
    try:
        with urlopen(request, timeout=30):
            return ""
    except URLError as error:
        return f"(its welcome survey could not be skipped: {error}) "
