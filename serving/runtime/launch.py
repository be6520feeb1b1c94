"""One service: started on its sockets, asked whether it is ready, told to take over, ended."""

from __future__ import annotations

import errno
import http.client
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psutil

from serving.api.keys import CHECK_CLIENT, LOCAL_CLIENT, read_or_make_key
from serving.api.settings import read_settings
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
    url: str
    key: str  # for checks; written down nowhere, and its questions are not logged


def launch_service(
    folder: ServiceFolder, bento: BuiltBento, serve: ServeSettings, public: socket.socket
) -> Launched:
    """Start a service that holds a public socket, and wait until it is ready for checks.

    It answers on the public socket after `take_over`. On failure it is stopped again.

    Raises:
        ConfigError: a setting is wrong.
        ServiceError: it does not become ready; with the end of its output.
        StorageError: its output cannot be written.
    """
    instance, key = secrets.token_hex(8), secrets.token_hex(24)
    variables = service_variables(folder, serve, instance, key)
    output = f"{datetime.now(UTC).strftime('%Y%m%d-%H%M%S')}-{instance}.log"
    with ExitStack() as stack:
        check = stack.enter_context(socket.create_server((THIS_MACHINE, 0)))
        stack.enter_context(storage_errors(folder.logs / output))
        folder.logs.mkdir(parents=True, exist_ok=True)
        file = stack.enter_context((folder.logs / output).open("wb"))
        (folder.logs / output).chmod(OWNER_ALONE)
        source = (folder.bento_path(bento) / "src").relative_to(folder.root)
        command = [sys.executable, "-P", supervisor.__file__, "--instance", instance, "--source", str(source)]
        process = subprocess.Popen(
            [*command, "--public", str(public.fileno()), "--check", str(check.fileno())],
            cwd=folder.root,
            env=make_environment(variables),
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=(public.fileno(), check.fileno()),
        )
        _CHILDREN.append(process)
        url = f"http://{THIS_MACHINE}:{check.getsockname()[1]}"
    service = RunningService(
        pid=process.pid,
        instance=instance,
        serve=serve,
        bento=bento,
        output=output,
        keys_from_environment=keys_from_environment(),
        since=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    try:
        _wait_ready(folder, service, process, url)
    except BaseException:
        with suppress(psutil.NoSuchProcess):
            end_process(psutil.Process(process.pid))
        raise
    for log in sorted(folder.logs.glob("*.log"))[:-NUM_LOGS]:
        log.unlink(missing_ok=True)
    return Launched(service, url, key)


def take_over(launched: Launched) -> None:
    """Let a service answer on its public socket; it closes the address for checks then.

    Raises:
        ServiceError: it does not.
    """
    with suppress(ProcessLookupError):
        os.kill(launched.service.pid, signal.SIGUSR1)
    port = int(launched.url.rpartition(":")[2])
    deadline = time.monotonic() + GRACE_SECONDS
    while time.monotonic() < deadline and psutil.pid_exists(launched.service.pid):
        with socket.socket() as probe:
            if probe.connect_ex((THIS_MACHINE, port)) == errno.ECONNREFUSED:
                return
        time.sleep(_POLL_SECONDS)
    raise ServiceError(
        f"The service of {launched.service.bento.tag} passed its check but does not answer on "
        f"{launched.service.url}. Its output: python run.py service logs"
    )


def _wait_ready(
    folder: ServiceFolder, service: RunningService, process: subprocess.Popen[bytes], url: str
) -> None:
    deadline, reason = time.monotonic() + WAIT_SECONDS, "it did not answer"
    digest, output = service.bento.model.digest, folder.logs / service.output
    while time.monotonic() < deadline:
        if process.poll() is not None:
            reason = "its process ended"
            break
        answer = ask_ready(url)
        if answer.digest == digest:
            return
        reason = answer.message
        if answer.final or answer.ready:
            break
        time.sleep(_POLL_SECONDS)
    raise ServiceError(
        f"The service of {service.bento.tag} did not become ready: {reason}. Expected it to serve digest "
        f"{digest}. It was stopped. The end of its log ({output}):\n{read_last_lines(output)}"
    )


@dataclass(frozen=True)
class ReadyAnswer:
    """What /readyz said: the digest where it is ready; `final` where it never will be."""

    message: str
    digest: str = ""
    log: str = ""
    final: bool = False
    restarts: int = 0

    @property
    def ready(self) -> bool:
        """Whether it is."""
        return bool(self.digest)


def ask_ready(url: str) -> ReadyAnswer:
    """Ask /readyz, without any proxy."""
    host, _, port = url.removeprefix("http://").rpartition(":")
    connection = http.client.HTTPConnection(host.strip("[]"), int(port), timeout=5)
    try:
        connection.request("GET", "/readyz")
        response = connection.getresponse()
        body = json.loads(response.read(100_000))
    except (OSError, http.client.HTTPException, ValueError) as error:
        return ReadyAnswer(f"it did not answer ({error})")
    finally:
        connection.close()
    if not isinstance(body, dict):
        return ReadyAnswer("another program answers on its port", final=True)
    if response.status == http.HTTPStatus.OK:
        log = body.get("log", {})
        told = ": ".join(str(log[name]) for name in ("status", "reason") if name in log)
        return ReadyAnswer(
            f"it serves digest {body.get('digest')}",
            str(body.get("digest")),
            told,
            restarts=int(body.get("restarts", 0)),
        )
    return ReadyAnswer(str(body.get("arrived", body)), final=str(body.get("type")).endswith(":refused"))


def end_process(process: psutil.Process, *, drain: bool = False) -> None:
    """End a service by its supervisor.

    With `drain`, idle connections stay until their next answer or time-out, so that no client meets a closed
    one: for a service that may have requests.

    Raises:
        ServiceError: a process outlives SIGKILL.
    """
    with suppress(psutil.NoSuchProcess):
        family = [process, *process.children(recursive=True)]
        process.send_signal(signal.SIGUSR2 if drain else signal.SIGTERM)
        _, alive = psutil.wait_procs(family, timeout=DRAIN_SECONDS if drain else GRACE_SECONDS)
        for each in alive:
            with suppress(psutil.NoSuchProcess):
                each.kill()
        _, alive = psutil.wait_procs(alive, timeout=GRACE_SECONDS)
        if alive:
            raise ServiceError(
                f"Process {alive[0].pid} of the service outlives SIGKILL; it waits for the disk or the "
                f"system. Look at it with: ps -l {alive[0].pid}"
            )


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
    with ExitStack() as stack:
        opened = os.open(folder.root, os.O_RDONLY)
        stack.callback(os.close, opened)
        name = f"{service.instance}.sock"
        short = Path(f"/proc/self/fd/{opened}")  # the path of a Unix socket has at most some 100 characters
        control = stack.enter_context(socket.socket(socket.AF_UNIX))
        control.settimeout(GRACE_SECONDS)
        try:
            control.connect(str((short if short.exists() else folder.root) / name))
            _, descriptors, _, _ = socket.recv_fds(control, 1, 1)
        except OSError as error:
            raise ServiceError(
                f"The service on {service.url} does not hand out its socket ({error}). Stop it, then deploy "
                "again: python run.py service stop"
            ) from error
    return socket.socket(fileno=descriptors[0])


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
    settings = read_settings({**os.environ, **variables})
    settings.read_keys()
    return variables


def read_last_lines(path: Path, number: int = TAIL_LINES) -> str:
    """The last lines of a file, of its last megabytes at most.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - _MOST_BYTES))
        return "\n".join(file.read().decode("utf-8", errors="replace").splitlines()[-number:])
