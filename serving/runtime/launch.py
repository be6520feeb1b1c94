"""One service process: started with its own surroundings, asked whether it is ready, told apart, ended.

A process is ours only if its id and the mark of its start are those that were written down. A service
counts as started only when the one that answers is our own child (it repeats a random word that it was given)
and serves the digest that was asked for; a port that another program holds is refused before anything starts.
"""

from __future__ import annotations

import errno
import http.client
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psutil
from pydantic import SecretStr

from serving.api.keys import CHECK_CLIENT, LOCAL_CLIENT, parse_keys, read_or_make_key
from serving.api.settings import read_settings
from serving.log.url import resolve_log_url
from serving.runtime.bento import BuiltBento
from serving.runtime.identity import has_mark, is_by_clock, read_mark
from serving.runtime.running import (
    OWNER_ALONE,
    RunningService,
    ServiceFolder,
    read_running,
    write_record,
)
from vision.base.errors import ConfigError, ServiceError
from vision.base.files import storage_errors
from vision.base.ports import find_port_fault
from vision.config.serve import PredictionLogSettings, ServeSettings

WAIT_SECONDS = 60.0
GRACE_SECONDS = 15.0
NUM_LOGS = 10
TAIL_LINES = 20

_POLL_SECONDS = 0.1
_BLOCK_BYTES = 65_536
_MOST_BYTES = 8_000_000
_LOG_VARIABLES = {
    "TAXON_LOG_URL": "serve.log.url",
    "TAXON_LOG_WAIT_S": "serve.log.wait_s",
    "TAXON_KEEP_IMAGES": "serve.log.keep_images",
}
# What must not reach the service: another project's code, and settings of somebody else's BentoML.
_NOT_HANDED_ON = ("PYTHONPATH", "PYTHONSTARTUP", "BENTOML_CONFIG", "BENTOML_CONFIG_OPTIONS")

_CHILDREN: dict[int, subprocess.Popen[bytes]] = {}
"""Children of this very process, kept so that they are reaped when they end."""


def launch_service(
    folder: ServiceFolder,
    record: Path,
    bento: BuiltBento,
    serve: ServeSettings,
) -> RunningService:
    """Start, write down, wait until ready; on failure stop it again.

    Raises:
        ConfigError: the port is taken, or a setting is wrong.
        ServiceError: it does not become ready; with the end of its log.
        StorageError: its record or its log cannot be written.
    """
    refuse_taken_port(folder, serve)
    instance = secrets.token_hex(8)
    check_key = secrets.token_hex(24)
    settings = _service_variables(folder, serve, instance, check_key)
    home = _make_home(folder, instance)
    output = folder.logs / f"{datetime.now(UTC).strftime('%Y%m%d-%H%M%S')}-{instance}.log"
    command = [sys.executable, "-m", "bentoml", "serve", str(bento.path)]
    with storage_errors(output):
        output.parent.mkdir(parents=True, exist_ok=True)
        with output.open("wb") as file:
            output.chmod(OWNER_ALONE)
            process = subprocess.Popen(
                [*command, "--host", serve.host, "--port", str(serve.port)],
                cwd=bento.path / "src",
                env=make_environment(home, settings),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
    _CHILDREN[process.pid] = process
    service = RunningService(
        pid=process.pid,
        mark=read_mark(process.pid),
        instance=instance,
        serve=serve,
        bento=bento,
        output=output,
        key_file=None if keys_from_environment() else folder.key,
        since=datetime.now(UTC).isoformat(timespec="seconds"),
        check_key=SecretStr(check_key),
    )
    try:
        write_record(record, service)
        _wait_ready(service)
    except BaseException:
        end_process(record, service)
        raise
    _forget_old_logs(folder)
    return service


def _wait_ready(service: RunningService) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    message = "it did not answer"
    while time.monotonic() < deadline:
        if find_process(service) is None:
            raise _not_ready(service, "its process ended")
        answer = ask_ready(service)
        if answer.ready and answer.digest == service.bento.model.digest:
            return
        if answer.ready or answer.foreign or answer.final:
            raise _not_ready(service, answer.message)
        message = answer.message
        time.sleep(_POLL_SECONDS)
    raise _not_ready(service, f"{message}, for {WAIT_SECONDS:g} seconds")


@dataclass(frozen=True)
class ReadyAnswer:
    """What /readyz said: ready with a digest, not yet, never (`final`), or somebody else (`foreign`)."""

    message: str
    ready: bool = False
    digest: str = ""
    log: str = ""
    final: bool = False
    foreign: bool = False


def ask_ready(service: RunningService) -> ReadyAnswer:
    """Ask /readyz, without any proxy."""
    host = service.url.removeprefix("http://").rpartition(":")[0].strip("[]")
    connection = http.client.HTTPConnection(host, service.serve.port, timeout=5)
    try:
        connection.request("GET", "/readyz")
        response = connection.getresponse()
        status, body = response.status, json.loads(response.read(100_000))
    except (OSError, http.client.HTTPException, ValueError) as error:
        return ReadyAnswer(f"it did not answer ({error})")
    finally:
        connection.close()
    if not isinstance(body, dict):
        return ReadyAnswer("another program answers on its port", foreign=True)
    if status == 200:
        if body.get("instance") != service.instance:
            return ReadyAnswer("another service answers on its port", foreign=True)
        digest = str(body.get("digest"))
        log = body.get("log", {})
        told = ": ".join(str(log[name]) for name in ("status", "reason") if name in log)
        return ReadyAnswer(f"it serves digest {digest}", ready=True, digest=digest, log=told)
    return ReadyAnswer(str(body.get("arrived", body)), final=str(body.get("type")).endswith(":refused"))


def _not_ready(service: RunningService, reason: str) -> ServiceError:
    output = service.output
    return ServiceError(
        f"The service of {service.bento.tag} did not become ready on {service.url}: {reason}. Expected it to "
        f"serve digest {service.bento.model.digest}. It was stopped. The end of its log ({output}):\n"
        f"{read_last_lines(output) if output.is_file() else ''}"
    )


def find_process(service: RunningService) -> psutil.Process | None:
    """The service's supervisor, if it lives and is the one that was started."""
    child = _CHILDREN.get(service.pid)
    if child is not None and child.poll() is not None:
        del _CHILDREN[service.pid]
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(service.pid)
        if process.status() != psutil.STATUS_ZOMBIE and _is_marked(service):
            return process
    return None


def _is_marked(service: RunningService) -> bool:
    """Whether its process has its mark; after the clock was set, a time is no mark, but its word is."""
    if has_mark(service.pid, service.mark):
        return True
    return is_by_clock(service.mark) and ask_ready(service).ready


def end_process(record: Path, service: RunningService) -> None:
    """SIGTERM to the supervisor, then SIGKILL to it and its workers; the record goes when they are gone.

    Raises:
        ServiceError: a process outlives SIGKILL.
    """
    supervisor = find_process(service)
    if supervisor is not None:
        family = [supervisor, *_children(supervisor)]
        with suppress(psutil.NoSuchProcess):
            supervisor.send_signal(signal.SIGTERM)
        _, alive = psutil.wait_procs(family, timeout=GRACE_SECONDS)
        for process in alive:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        _, alive = psutil.wait_procs(alive, timeout=GRACE_SECONDS)
        if alive:
            raise ServiceError(
                f"Process {alive[0].pid} of the service outlives SIGKILL; it waits for the disk or the "
                f"system. Look at it with: ps -l {alive[0].pid}"
            )
    find_process(service)
    with storage_errors(record):
        record.unlink(missing_ok=True)
        shutil.rmtree(record.parent / "homes" / service.instance, ignore_errors=True)


def _children(process: psutil.Process) -> list[psutil.Process]:
    children: list[psutil.Process] = []
    with suppress(psutil.NoSuchProcess):
        children = process.children(recursive=True)
    return children


def read_ours(path: Path) -> RunningService | None:
    """The service in a record whose process lives.

    Raises:
        ServiceError: the record cannot be read, and the process that it names may still serve.
    """
    service = read_running(path)
    return service if service is not None and find_process(service) is not None else None


# --- surroundings ---------------------------------------------------------------------------------------


def make_environment(home: Path, settings: Mapping[str, str]) -> dict[str, str]:
    """Our own variables less what is not handed on, with `settings`, and `home` as BentoML's home; made.

    Raises:
        StorageError: the home cannot be made.
    """
    kept = {name: value for name, value in os.environ.items() if name not in _NOT_HANDED_ON}
    with storage_errors(home):
        home.mkdir(parents=True, exist_ok=True)
    return {**kept, **settings, "BENTOML_HOME": str(home), "BENTOML_DO_NOT_TRACK": "true"}


def keys_from_environment() -> bool:
    """Whether TAXON_API_KEYS gives the clients' keys; else there is the local client's key in its file."""
    return bool(os.environ.get("TAXON_API_KEYS"))


def check_variables(folder: ServiceFolder, serve: ServeSettings) -> None:
    """Raise ConfigError where a service could not start with the variables TAXON_* that are set here."""
    _service_variables(folder, serve, secrets.token_hex(8), secrets.token_hex(24))


def _service_variables(
    folder: ServiceFolder, serve: ServeSettings, instance: str, check_key: str
) -> dict[str, str]:
    """The variables that the service is given beyond our own, checked before it starts.

    Raises:
        ConfigError: a variable TAXON_* is wrong, or names the log, which the configuration does.
    """
    clients = os.environ.get("TAXON_API_KEYS") or f"{LOCAL_CLIENT}:{read_or_make_key(folder.key)}"
    variables = {
        "TAXON_INSTANCE": instance,
        "TAXON_API_KEYS": f"{clients},{CHECK_CLIENT}:{check_key}",
        **_log_variables(folder, serve.log),
    }
    settings = read_settings({**os.environ, **variables})
    parse_keys(settings.api_keys.get_secret_value())
    return variables


def _log_variables(folder: ServiceFolder, log: PredictionLogSettings) -> dict[str, str]:
    for name, setting in _LOG_VARIABLES.items():
        if os.environ.get(name):
            raise ConfigError(
                f"{name} is set, and monitoring would not read the same log. Expected {setting} of the "
                f"configuration alone. Unset {name}; a password belongs in ~/.pgpass or PGPASSWORD."
            )
    return {
        "TAXON_LOG_URL": resolve_log_url(log.url, folder.home),
        "TAXON_LOG_WAIT_S": str(log.wait_s),
        "TAXON_KEEP_IMAGES": str(log.keep_images).lower(),
    }


def _make_home(folder: ServiceFolder, instance: str) -> Path:
    """BentoML's home of one running service: its own, with the common store linked in."""
    home: Path = folder.homes / instance
    with storage_errors(home):
        home.mkdir(parents=True)
        for name in ("models", "bentos"):
            (folder.bentoml / name).mkdir(parents=True, exist_ok=True)
            (home / name).symlink_to(folder.bentoml / name, target_is_directory=True)
    return home


def refuse_taken_port(folder: ServiceFolder, serve: ServeSettings) -> None:
    """Raise ConfigError, naming who has it, if nobody can listen there."""
    host, port = serve.host, serve.port
    fault = find_port_fault(host, port)
    if isinstance(fault, PermissionError):
        raise ConfigError(
            f"Port {port} needs more rights. Choose one above 1023: --config NAME.yaml --set serve.port=3000"
        ) from fault
    if fault is not None and fault.errno != errno.EADDRINUSE:
        raise ConfigError(
            f"Nobody can listen on {host}: it is no address of this machine ({fault}). Set serve.host to "
            "one of its own: --config NAME.yaml --set serve.host=127.0.0.1"
        ) from fault
    if fault is not None:
        own = read_ours(folder.record)
        owner = (
            f"this project's service (process {own.pid}). Stop it: python run.py service stop"
            if own is not None and own.serve.port == port
            else "another program. Stop that program, or choose another port with: --config NAME.yaml "
            f"--set serve.port={port + 1}"
        )
        raise ConfigError(f"{host}:{port} is taken by {owner}") from fault


def _forget_old_logs(folder: ServiceFolder) -> None:
    for log in sorted(folder.logs.glob("*.log"))[:-NUM_LOGS]:
        log.unlink(missing_ok=True)


def name_model(bento: BuiltBento) -> str:
    """The model of a Bento, as messages name it."""
    return f"{bento.model.name} version {bento.model.version}"


def last_lines(text: str, number: int = TAIL_LINES) -> str:
    """The end of what a process said."""
    return "\n".join(text.splitlines()[-number:])


def read_last_lines(path: Path, number: int = TAIL_LINES) -> str:
    """The last lines of a file, read from its end, however long it or one line of it is.

    At most `_MOST_BYTES`, give or take a block, are looked at: where lines are that long, fewer are given, or
    the end of one.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        end = start = file.seek(0, os.SEEK_END)
        content = b""
        while start > 0 and end - start < _MOST_BYTES and content.count(b"\n") <= number:
            start = max(0, start - max(_BLOCK_BYTES, end - start))  # twice as much each time
            file.seek(start)
            content = file.read(end - start)
    return last_lines(content.decode("utf-8", errors="replace"), number)
