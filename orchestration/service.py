"""The service as a child process: started, watched, replaced and stopped, and nobody else's process touched.

A process is ours only if its id and its start time are those that were written down. A service counts as
started only when the one that answers is our own child (it repeats a random word that it was given) and
serves the digest that was asked for; a port that another program holds is refused before anything starts.
"""

from __future__ import annotations

import http.client
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psutil
from pydantic import BaseModel, ConfigDict, ValidationError

from orchestration.lock import RunLock
from orchestration.paths import ProjectPaths
from serving.bento import BuiltBento
from serving.keys import LOCAL_CLIENT, parse_keys, read_or_make_key
from serving.settings import read_settings
from vision.errors import ConfigError, ServiceError, TaxonError
from vision.files import storage_errors, write_atomically

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 3000
WAIT_SECONDS = 60.0
GRACE_SECONDS = 15.0
BUILD_SECONDS = 300.0
NUM_LOGS = 10
TAIL_LINES = 20

_POLL_SECONDS = 0.1
# What must not reach the service: another project's code, and proxies for a port of this machine.
_NOT_HANDED_ON = ("PYTHONPATH", "PYTHONSTARTUP", "BENTOML_CONFIG", "BENTOML_CONFIG_OPTIONS")


class RunningService(BaseModel):
    """A service process that was started, as it is written down.

    Attributes:
        pid: of the supervisor.
        created: its start time as the system tells it, seconds; tells it from a later process of that id.
        instance: random word that /readyz repeats.
        host: address that it listens on.
        port: port that it listens on.
        bento: what it serves.
        log: file of its output.
        since: UTC in ISO 8601, to the second.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    pid: int
    created: float
    instance: str
    host: str
    port: int
    bento: BuiltBento
    log: Path
    since: str

    @property
    def url(self) -> str:
        """Where to ask it from this machine."""
        host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(self.host, self.host)
        return f"http://{host}:{self.port}"


@dataclass(frozen=True)
class ServiceStatus:
    """What is known of the service: what was started, whether it lives and answers, and why it does not."""

    running: RunningService | None
    ready: bool
    message: str


@dataclass(frozen=True)
class ServiceFolder:
    """Where the service's state lies.

    Attributes:
        root: all of it.
        bentoml: BentoML's home, with models and Bentos.
        record: the running service.
        trial: a service that is being tried beside it.
        lock: held while one is started or stopped.
        key: the local client's API key, mode 600.
        logs: output of the services, a file each.
        homes: BentoML's home of each running service, because a second one wipes the first one's counters.
    """

    root: Path

    @classmethod
    def of(cls, paths: ProjectPaths) -> ServiceFolder:
        """The folder of a project; creates nothing."""
        return cls(paths.state / "service")

    bentoml = property(lambda self: self.root / "bentoml")
    record = property(lambda self: self.root / "service.json")
    trial = property(lambda self: self.root / "trial.json")
    lock = property(lambda self: self.root / "lock")
    key = property(lambda self: self.root / "api_key")
    logs = property(lambda self: self.root / "logs")
    homes = property(lambda self: self.root / "homes")


Check = Callable[[RunningService], None]
"""Asks a service real questions; raises TaxonError where an answer is not as it has to be."""


def accept_all(_service: RunningService) -> None:
    """The check of who has none beyond readiness and the digest."""


# --- building -------------------------------------------------------------------------------------------


def build_bento(paths: ProjectPaths, bundle: Path, digest: str, version: str) -> BuiltBento:
    """The Bento of a bundle, in BentoML's store inside the state folder.

    Args:
        paths: of the project.
        bundle: the bundle's folder.
        digest: pinned in the registry.
        version: of the model in the registry.

    Raises:
        ServiceError: the bundle is not the pinned one, or BentoML failed; says what the build said.
    """
    folder = ServiceFolder.of(paths)
    command = [sys.executable, "-m", "serving.bento", "--bundle", str(bundle), "--digest", digest]
    done = subprocess.run(
        [*command, "--version", version],
        cwd=Path(__file__).resolve().parent.parent,
        env=_environment(folder.bentoml, {}),
        capture_output=True,
        text=True,
        check=False,
        timeout=BUILD_SECONDS,
    )
    if done.returncode != 0:
        raise ServiceError(f"The Bento of {bundle} could not be built.\n{_last_lines(done.stderr)}")
    return BuiltBento.model_validate_json(done.stdout.splitlines()[-1])


# --- starting -------------------------------------------------------------------------------------------


def start_service(
    paths: ProjectPaths,
    bento: BuiltBento,
    host: str = DEFAULT_HOST,
    port: int = DEFAULT_PORT,
    wait_seconds: float = WAIT_SECONDS,
) -> RunningService:
    """Start a Bento's service and wait until it is ready.

    Raises:
        ConfigError: the port is taken or no port, or a variable TAXON_* is wrong.
        RunLockedError: another start or stop is going.
        ServiceError: one is running already, or it does not become ready with the wanted digest; it is
            stopped again.
    """
    folder = ServiceFolder.of(paths)
    with RunLock(folder.lock, "service start"):
        old = _read_ours(folder.record)
        if old is not None:
            raise ServiceError(
                f"The service is running already: {old.url}, model {_name(old.bento)} (process {old.pid}, "
                f"since {old.since}). Stop it with: python run.py service stop"
            )
        return _launch(folder, folder.record, bento, host, port, wait_seconds)


def deploy_service(
    paths: ProjectPaths,
    bento: BuiltBento,
    check: Check = accept_all,
    host: str = DEFAULT_HOST,
    port: int = DEFAULT_PORT,
    wait_seconds: float = WAIT_SECONDS,
) -> RunningService:
    """Put a Bento in the place of the running service, if there is one, without trusting it beforehand.

    It is tried on a free port of this machine first, and `check` asks it; the old service answers all the
    while. Only then is the old one stopped and the new one started in its place and checked again; if that
    fails, the old one is started again. Between the two nobody answers for some seconds.

    Raises:
        ConfigError: the port is taken by another program.
        RunLockedError: another start or stop is going.
        ServiceError: the new service did not become ready; the old one is kept.
        TaxonError: what `check` raised; the old one is kept.
    """
    folder = ServiceFolder.of(paths)
    with RunLock(folder.lock, "service deployment"):
        old = _read_ours(folder.record)
        if old is None or (old.host, old.port) != (host, port):
            _refuse_taken_port(folder, host, port)
        with _trial(folder, bento, wait_seconds) as trial:
            check(trial)
        if old is not None:
            _end(folder.record, old)
        try:
            new = _launch(folder, folder.record, bento, host, port, wait_seconds)
            _check_or_end(folder, new, check)
        except TaxonError as error:
            if old is None:
                raise
            _launch(folder, folder.record, old.bento, old.host, old.port, wait_seconds)
            raise ServiceError(
                f"{error}\nThe old service, model {_name(old.bento)}, was started again on {old.url}."
            ) from error
        return new


def stop_service(paths: ProjectPaths) -> RunningService | None:
    """Stop the service; None if none of ours was running.

    Raises:
        RunLockedError: another start or stop is going.
        ServiceError: it does not end.
    """
    folder = ServiceFolder.of(paths)
    with RunLock(folder.lock, "service stop"):
        _end_leftover(folder.trial)
        service = _read_ours(folder.record)
        if service is None:
            with storage_errors(folder.record):
                folder.record.unlink(missing_ok=True)
            return None
        _end(folder.record, service)
        return service


# --- looking --------------------------------------------------------------------------------------------


def service_status(paths: ProjectPaths) -> ServiceStatus:
    """Whether the service runs and is ready, asked of itself."""
    folder = ServiceFolder.of(paths)
    service = _read_record(folder.record)
    if service is None:
        return ServiceStatus(None, ready=False, message="No service is running. Start it: make serve")
    if _find_process(service) is None:
        return ServiceStatus(
            service,
            ready=False,
            message=f"The service ended by itself (process {service.pid}, started {service.since}). Its last "
            f"words are in {service.log}. Start it again: make serve",
        )
    answer = _ask_ready(service)
    ready = answer.ready and answer.digest == service.bento.model.digest
    words = "ready" if ready else f"not ready: {answer.message}"
    return ServiceStatus(
        service,
        ready=ready,
        message=f"{service.url} is {words}. Model {_name(service.bento)}, digest "
        f"{service.bento.model.digest[:16]}, process {service.pid}, since {service.since}.",
    )


def service_logs(paths: ProjectPaths, tail: int = 50) -> str:
    """The last lines of the newest service's output; empty if there was none yet.

    Raises:
        StorageError: the file cannot be read.
    """
    folder = ServiceFolder.of(paths)
    logs = sorted(folder.logs.glob("*.log"))
    service = _read_record(folder.record)
    newest = service.log if service is not None else (logs[-1] if logs else None)
    if newest is None:
        return ""
    with storage_errors(newest, "read"):
        return _last_lines(newest.read_text(encoding="utf-8", errors="replace"), tail)


def curl_line(paths: ProjectPaths, service: RunningService, image: str = "photo.jpg") -> str:
    """A command that asks the service; it reads the key from its file, so that no key is shown."""
    key = "$KEY" if os.environ.get("TAXON_API_KEYS") else f'$(cat "{ServiceFolder.of(paths).key}")'
    return f'curl -F image=@{image} -H "X-API-Key: {key}" {service.url}/predict'


# --- one process ----------------------------------------------------------------------------------------

_CHILDREN: dict[int, subprocess.Popen[bytes]] = {}
"""Children of this very process, kept so that they are reaped when they end."""


def _launch(
    folder: ServiceFolder, record: Path, bento: BuiltBento, host: str, port: int, wait_seconds: float
) -> RunningService:
    """Start, write down, wait until ready; on failure stop it again.

    Raises:
        ConfigError: the port is taken, or a setting is wrong.
        ServiceError: it does not become ready; with the end of its log.
    """
    _refuse_taken_port(folder, host, port)
    instance = secrets.token_hex(8)
    settings = _service_variables(folder, instance)
    home = _make_home(folder, instance)
    log = folder.logs / f"{datetime.now(UTC).strftime('%Y%m%d-%H%M%S')}-{instance}.log"
    command = [sys.executable, "-m", "bentoml", "serve", str(bento.path), "--host", host, "--port", str(port)]
    with storage_errors(log):
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("wb") as output:
            process = subprocess.Popen(
                command,
                cwd=bento.path / "src",
                env=_environment(home, settings),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
    _CHILDREN[process.pid] = process
    service = RunningService(
        pid=process.pid,
        created=psutil.Process(process.pid).create_time(),
        instance=instance,
        host=host,
        port=port,
        bento=bento,
        log=log,
        since=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    write_atomically(record, service.model_dump_json(indent=1) + "\n")
    try:
        _wait_ready(service, wait_seconds)
    except BaseException:
        _end(record, service)
        raise
    _forget_old_logs(folder)
    return service


def _wait_ready(service: RunningService, wait_seconds: float) -> None:
    deadline = time.monotonic() + wait_seconds
    message = "it did not answer"
    while time.monotonic() < deadline:
        if _find_process(service) is None:
            raise _not_ready(service, "its process ended")
        answer = _ask_ready(service)
        if answer.ready and answer.digest == service.bento.model.digest:
            return
        if answer.ready or answer.foreign or answer.final:
            raise _not_ready(service, answer.message)
        message = answer.message
        time.sleep(_POLL_SECONDS)
    raise _not_ready(service, f"{message}, for {wait_seconds:g} seconds")


@dataclass(frozen=True)
class _ReadyAnswer:
    """What /readyz said: ready with a digest, not yet, never (`final`), or somebody else (`foreign`)."""

    message: str
    ready: bool = False
    digest: str = ""
    final: bool = False
    foreign: bool = False


def _ask_ready(service: RunningService) -> _ReadyAnswer:
    """Ask /readyz, without any proxy."""
    host = service.url.removeprefix("http://").rpartition(":")[0].strip("[]")
    connection = http.client.HTTPConnection(host, service.port, timeout=5)
    try:
        connection.request("GET", "/readyz")
        response = connection.getresponse()
        status, body = response.status, json.loads(response.read(100_000))
    except (OSError, http.client.HTTPException, ValueError) as error:
        return _ReadyAnswer(f"it did not answer ({error})")
    finally:
        connection.close()
    if not isinstance(body, dict):
        return _ReadyAnswer("another program answers on its port", foreign=True)
    if status == 200:
        if body.get("instance") != service.instance:
            return _ReadyAnswer("another service answers on its port", foreign=True)
        digest = str(body.get("digest"))
        return _ReadyAnswer(f"it serves digest {digest}", ready=True, digest=digest)
    return _ReadyAnswer(str(body.get("arrived", body)), final=str(body.get("type")).endswith(":refused"))


def _not_ready(service: RunningService, reason: str) -> ServiceError:
    log = service.log.read_text(encoding="utf-8", errors="replace") if service.log.is_file() else ""
    return ServiceError(
        f"The service of {service.bento.tag} did not become ready on {service.url}: {reason}. Expected it to "
        f"serve digest {service.bento.model.digest}. It was stopped. The end of its log ({service.log}):\n"
        f"{_last_lines(log)}"
    )


def _find_process(service: RunningService) -> psutil.Process | None:
    """The service's supervisor, if it lives and is the one that was started."""
    child = _CHILDREN.get(service.pid)
    if child is not None and child.poll() is not None:
        del _CHILDREN[service.pid]
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(service.pid)
        same = abs(process.create_time() - service.created) < 0.01
        if same and process.status() != psutil.STATUS_ZOMBIE:
            return process
    return None


def _end(record: Path, service: RunningService) -> None:
    """SIGTERM to the supervisor, then SIGKILL to it and its workers; the record goes when they are gone.

    Raises:
        ServiceError: a process outlives SIGKILL.
    """
    supervisor = _find_process(service)
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
    _find_process(service)
    with storage_errors(record):
        record.unlink(missing_ok=True)
        shutil.rmtree(record.parent / "homes" / service.instance, ignore_errors=True)


def _children(process: psutil.Process) -> list[psutil.Process]:
    children: list[psutil.Process] = []
    with suppress(psutil.NoSuchProcess):
        children = process.children(recursive=True)
    return children


@contextmanager
def _trial(folder: ServiceFolder, bento: BuiltBento, wait_seconds: float) -> Iterator[RunningService]:
    """A service on a free port of this machine, for as long as the block runs."""
    _end_leftover(folder.trial)
    with socket.socket() as probe:
        probe.bind((DEFAULT_HOST, 0))
        port = probe.getsockname()[1]
    trial = _launch(folder, folder.trial, bento, DEFAULT_HOST, port, wait_seconds)
    try:
        yield trial
    finally:
        _end(folder.trial, trial)


def _check_or_end(folder: ServiceFolder, service: RunningService, check: Check) -> None:
    try:
        check(service)
    except BaseException:
        _end(folder.record, service)
        raise


def _end_leftover(record: Path) -> None:
    """Stop a trial that a killed deployment left."""
    leftover = _read_ours(record)
    if leftover is not None:
        _end(record, leftover)


# --- files and surroundings -----------------------------------------------------------------------------


def _read_record(path: Path) -> RunningService | None:
    """The service in a record; None where there is none, or one of another version of this program."""
    try:
        return RunningService.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None


def _read_ours(path: Path) -> RunningService | None:
    """The service in a record whose process lives."""
    service = _read_record(path)
    return service if service is not None and _find_process(service) is not None else None


def _environment(home: Path, settings: Mapping[str, str]) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in _NOT_HANDED_ON}
    with storage_errors(home):
        home.mkdir(parents=True, exist_ok=True)
    return {**kept, **settings, "BENTOML_HOME": str(home), "BENTOML_DO_NOT_TRACK": "true"}


def _service_variables(folder: ServiceFolder, instance: str) -> dict[str, str]:
    """The variables that the service is given beyond our own, checked before it starts.

    Raises:
        ConfigError: a variable TAXON_* is wrong.
    """
    variables = {"TAXON_INSTANCE": instance}
    if not os.environ.get("TAXON_API_KEYS"):
        variables["TAXON_API_KEYS"] = f"{LOCAL_CLIENT}:{read_or_make_key(folder.key)}"
    settings = read_settings({**os.environ, **variables})
    parse_keys(settings.api_keys.get_secret_value())
    return variables


def _make_home(folder: ServiceFolder, instance: str) -> Path:
    """BentoML's home of one running service: its own, with the common store linked in."""
    home: Path = folder.homes / instance
    with storage_errors(home):
        home.mkdir(parents=True)
        for name in ("models", "bentos"):
            (folder.bentoml / name).mkdir(parents=True, exist_ok=True)
            (home / name).symlink_to(folder.bentoml / name, target_is_directory=True)
    return home


def _refuse_taken_port(folder: ServiceFolder, host: str, port: int) -> None:
    """Raise ConfigError, naming who has it, if nobody can listen there."""
    if not 1 <= port <= 65535:
        raise ConfigError(f"Port {port}: expected 1 to 65535.")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except PermissionError as error:
            raise ConfigError(f"Port {port} needs more rights. Choose one above 1023: --port 3000") from error
        except OSError as error:
            own = _read_ours(folder.record)
            owner = (
                f"this project's service (process {own.pid}). Stop it: python run.py service stop"
                if own is not None and own.port == port
                else f"another program, or {host} is no address of this machine. Stop that program, or "
                f"choose another port: --port {port + 1}"
            )
            raise ConfigError(f"{host}:{port} is taken by {owner}") from error


def _forget_old_logs(folder: ServiceFolder) -> None:
    for log in sorted(folder.logs.glob("*.log"))[:-NUM_LOGS]:
        log.unlink(missing_ok=True)


def _name(bento: BuiltBento) -> str:
    return f"{bento.model.name} version {bento.model.version}"


def _last_lines(text: str, number: int = TAIL_LINES) -> str:
    return "\n".join(text.splitlines()[-number:])
