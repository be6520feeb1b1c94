"""One service: started on its sockets, asked whether it is ready, told to take over, ended."""

from __future__ import annotations

import errno
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psutil

from serving.api.keys import CHECK_CLIENT, LOCAL_CLIENT, read_or_make_key
from serving.api.settings import read_settings
from serving.client import RefusedError, ask_ready
from serving.log.url import resolve_log_url
from serving.runtime import supervisor
from serving.runtime.running import OWNER_ALONE, BuiltBento, RunningService, ServiceFolder, find_service
from vision.base.errors import ConfigError, ServiceError
from vision.base.files import storage_errors
from vision.config.serve import ServeSettings

THIS_MACHINE = "127.0.0.1"
WAIT_SECONDS = 60.0
GRACE_SECONDS = 15.0
DRAIN_SECONDS = 90.0
NUM_LOGS = 10
TAIL_LINES = 20

_POLL_SECONDS = 0.05
_BACKLOG = 2048
_MOST_BYTES = 8_000_000
_LOG_VARIABLES = {
    "TAXON_LOG_URL": "serve.log.url",
    "TAXON_LOG_WAIT_S": "serve.log.wait_s",
    "TAXON_KEEP_IMAGES": "serve.log.keep_images",
}
_KEY_VARIABLES = "TAXON_API_KEYS", "TAXON_API_KEYS_FILE"
# What must not reach the service: another project's code, and settings of somebody else's BentoML.
_NOT_HANDED_ON = ("PYTHONPATH", "PYTHONSTARTUP", "BENTOML_CONFIG", "BENTOML_CONFIG_OPTIONS")

_CHILDREN: list[subprocess.Popen[bytes]] = []
"""Services that this very process started; psutil waits for them when they end."""


@dataclass(frozen=True)
class Launched:
    """A service that is ready on an address for checks, which is closed when it takes over."""

    service: RunningService
    process: subprocess.Popen[bytes]
    url: str
    key: str  # for checks; written down nowhere, and its questions are not logged


def launch_service(
    folder: ServiceFolder, bento: BuiltBento, serve: ServeSettings, public: socket.socket
) -> Launched:
    """Start a service that holds a public socket, and wait until it is ready for checks.

    It answers on the public socket after `take_over`. On failure it is stopped again; if this process ends
    before, so does the service.

    Raises:
        ConfigError: a setting is wrong.
        ServiceError: it does not become ready; with the end of its output.
        StorageError: its output cannot be written.
    """
    instance, key, now = secrets.token_hex(8), secrets.token_hex(24), datetime.now(UTC)
    variables = service_variables(folder, serve, instance, key)
    output = folder.logs / f"{now:%Y%m%d-%H%M%S}-{instance}.log"
    source = (folder.bento_path(bento) / "src").relative_to(folder.root)
    with storage_errors(output), socket.create_server((THIS_MACHINE, 0)) as check:
        url, sockets = f"http://{THIS_MACHINE}:{check.getsockname()[1]}", (public.fileno(), check.fileno())
        folder.logs.mkdir(parents=True, exist_ok=True)
        output.touch(OWNER_ALONE)
        command = [sys.executable, "-P", supervisor.__file__, "--instance", instance, str(source)]
        with output.open("wb") as file:
            process = subprocess.Popen(
                [*command, *map(str, sockets)],
                cwd=folder.root,
                env=make_environment(variables),
                stdin=subprocess.PIPE,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=sockets,
            )
    _CHILDREN.append(process)
    service = RunningService(
        pid=process.pid,
        instance=instance,
        serve=serve,
        bento=bento,
        output=output.name,
        keys_from_environment=keys_from_environment(),
        since=now.isoformat(timespec="seconds"),
    )
    try:
        _wait_ready(service, process, url, output)
    except BaseException:
        end_service(process.pid)
        raise
    for log in sorted(folder.logs.glob("*.log"))[:-NUM_LOGS]:
        log.unlink(missing_ok=True)
    return Launched(service, process, url, key)


def _wait_ready(service: RunningService, process: subprocess.Popen[bytes], url: str, output: Path) -> None:
    deadline, reason, refused = time.monotonic() + WAIT_SECONDS, "it did not answer", False
    digest = service.bento.model.digest
    while time.monotonic() < deadline and not refused:
        if process.poll() is not None:
            reason = "its process ended"
            break
        try:
            served = ask_ready(url).digest
            if served == digest:
                return
            reason, refused = f"it serves digest {served}, expected {digest}", True
        except ServiceError as error:
            reason, refused = str(error), isinstance(error, RefusedError) and error.code == "refused"
            time.sleep(_POLL_SECONDS)
    raise ServiceError(
        f"The service of {service.bento.tag} did not become ready: {reason}. It was stopped. The end of its "
        f"log ({output}):\n{read_last_lines(output)}"
    )


def take_over(launched: Launched) -> None:
    """Let a service answer on its public socket.

    Raises:
        ServiceError: it ended since it was checked.
    """
    assert launched.process.stdin is not None
    try:
        with launched.process.stdin as starter:
            starter.write(b"1")
    except OSError as error:
        raise ServiceError(
            f"The service of {launched.service.bento.tag} passed its check and ended. Its output lies in "
            f"state/service/logs/{launched.service.output}"
        ) from error


def end_service(pid: int, *, drain: bool = False) -> None:
    """End a service by its supervisor.

    With `drain`, idle connections stay until their next answer or time-out, so that no client meets a closed
    one: for a service that may have requests.
    """
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        family = [process, *process.children(recursive=True)]
        process.send_signal(signal.SIGUSR2 if drain else signal.SIGTERM)
        _, alive = psutil.wait_procs(family, timeout=DRAIN_SECONDS if drain else GRACE_SECONDS)
        for each in alive:
            with suppress(psutil.NoSuchProcess):
                each.kill()
        psutil.wait_procs(alive, timeout=GRACE_SECONDS)


# --- sockets --------------------------------------------------------------------------------------------


def open_socket(folder: ServiceFolder, serve: ServeSettings) -> socket.socket:
    """A listening socket on the public address: the running service's own where that is the same one.

    Raises:
        ConfigError: nobody can listen there; says who has it.
        ServiceError: the running service does not hand its socket out, or its record cannot be read.
    """
    own = find_service(folder)
    if own is not None and (own.serve.host, own.serve.port) == (serve.host, serve.port):
        return _borrow_socket(folder, own)
    host, port = serve.host, serve.port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except PermissionError as error:
        raise ConfigError(
            f"Port {port} needs more rights. Choose one above 1023: --config NAME.yaml --set serve.port=3000"
        ) from error
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise ConfigError(
                f"Nobody can listen on {host}: it is no address of this machine ({error}). Set serve.host to "
                "one of its own: --config NAME.yaml --set serve.host=127.0.0.1"
            ) from error
        owner = (
            f"this project's service (process {own.pid}). Stop it: python run.py service stop"
            if own is not None and own.serve.port == port
            else "another program. Stop that program, or choose another port with: --config NAME.yaml "
            f"--set serve.port={port + 1}"
        )
        raise ConfigError(f"{host}:{port} is taken by {owner}") from error


def _borrow_socket(folder: ServiceFolder, service: RunningService) -> socket.socket:
    """A copy of the listening socket of a running service."""
    opened = os.open(folder.root, os.O_RDONLY)
    short = Path(f"/proc/self/fd/{opened}")  # the path of a Unix socket has at most some 100 characters
    try:
        with socket.socket(socket.AF_UNIX) as control:
            control.settimeout(GRACE_SECONDS)
            control.connect(str((short if short.exists() else folder.root) / f"{service.instance}.sock"))
            return socket.socket(fileno=socket.recv_fds(control, 1, 1)[1][0])
    except (OSError, IndexError) as error:
        raise ServiceError(
            f"The service on {service.url} does not hand out its socket ({error}). Stop it, then deploy "
            "again: python run.py service stop"
        ) from error
    finally:
        os.close(opened)


# --- surroundings ---------------------------------------------------------------------------------------


def make_environment(settings: Mapping[str, str]) -> dict[str, str]:
    """Our own variables less what is not handed on, with `settings`; BentoML reports nothing home."""
    kept = {name: value for name, value in os.environ.items() if name not in _NOT_HANDED_ON}
    return {**kept, "BENTOML_DO_NOT_TRACK": "true", **settings}


def keys_from_environment() -> bool:
    """Whether the environment gives the clients' keys; else there is the local client's key in its file."""
    return any(os.environ.get(name) for name in _KEY_VARIABLES)


def service_variables(
    folder: ServiceFolder, serve: ServeSettings, instance: str = "tried", check_key: str = "0" * 48
) -> dict[str, str]:
    """The variables that the service is given beyond our own, checked before it starts.

    Raises:
        ConfigError: a variable TAXON_* is wrong, or names the log, which the configuration does.
    """
    for name, setting in _LOG_VARIABLES.items():
        if os.environ.get(name):
            raise ConfigError(
                f"{name} is set, and monitoring would not read the same log. Expected {setting} of the "
                f"configuration alone. Unset {name}; a password belongs in ~/.pgpass or PGPASSWORD."
            )
    log_url = resolve_log_url(serve.log.url, folder.home)
    linked = folder.root.resolve() != folder.home.resolve() / "state" / "service"
    clients, keys_file = (os.environ.get(name, "") for name in _KEY_VARIABLES)
    if not keys_from_environment():
        clients = f"{LOCAL_CLIENT}:{read_or_make_key(folder.key)}"
    variables = {
        "TAXON_INSTANCE": instance,
        "TAXON_API_KEYS": f"{clients},{CHECK_CLIENT}:{check_key}",
        "TAXON_API_KEYS_FILE": keys_file and str(Path(keys_file).absolute()),
        "TAXON_LOG_URL": log_url if linked else serve.log.url,  # relative: the worker follows a move
        "TAXON_LOG_WAIT_S": str(serve.log.wait_s),
        "TAXON_KEEP_IMAGES": str(serve.log.keep_images).lower(),
    }
    read_settings({**os.environ, **variables}).read_keys()
    return variables


def read_last_lines(path: Path, number: int = TAIL_LINES) -> str:
    """The last lines of a file, of its last megabytes at most.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - _MOST_BYTES))
        return "\n".join(file.read().decode("utf-8", errors="replace").splitlines()[-number:])
