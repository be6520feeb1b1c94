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
import shlex
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
from pydantic import SecretStr

from serving.bento import BuiltBento
from serving.keys import CHECK_CLIENT, LOCAL_CLIENT, parse_keys, read_or_make_key
from serving.log_url import resolve_log_url
from serving.running import DeployedService, RunningService, ServiceFolder, read_record, write_record
from serving.settings import read_settings
from vision.config import PredictionLogSettings, ServeSettings
from vision.errors import ConfigError, ServiceError, TaxonError
from vision.files import storage_errors
from vision.lock import RunLock

THIS_MACHINE = "127.0.0.1"
WAIT_SECONDS = 60.0
GRACE_SECONDS = 15.0
BUILD_SECONDS = 300.0
NUM_LOGS = 10
NUM_BENTOS = 3
TAIL_LINES = 20

_POLL_SECONDS = 0.1
_LOG_VARIABLES = {
    "TAXON_LOG_URL": "serve.log.url",
    "TAXON_LOG_WAIT_S": "serve.log.wait_s",
    "TAXON_KEEP_IMAGES": "serve.log.keep_images",
}
# What must not reach the service: another project's code, and proxies for a port of this machine.
_NOT_HANDED_ON = ("PYTHONPATH", "PYTHONSTARTUP", "BENTOML_CONFIG", "BENTOML_CONFIG_OPTIONS")


@dataclass(frozen=True)
class ServiceStatus:
    """What is known of the service: what was started, whether it lives and answers, and why it does not.

    `log` says whether answers can be written down now, and why not.
    """

    running: RunningService | None
    ready: bool
    message: str
    log: str = "not known"


Check = Callable[[RunningService], None]
"""Asks a service real questions; raises TaxonError where an answer is not as it has to be."""


def accept_all(_service: RunningService) -> None:
    """The check of who has none beyond readiness and the digest."""


# --- building -------------------------------------------------------------------------------------------


def build_bento(folder: ServiceFolder, bundle: Path, digest: str, version: str) -> BuiltBento:
    """The Bento of a bundle, in BentoML's store inside the state folder.

    Args:
        folder: of the service's state.
        bundle: the bundle's folder.
        digest: pinned in the registry.
        version: of the model in the registry.

    Raises:
        ServiceError: the bundle is not the pinned one, or BentoML failed; says what the build said.
    """
    done = _run_bentoml(folder, "build", "--bundle", str(bundle), "--digest", digest, "--version", version)
    if done.returncode != 0:
        raise ServiceError(f"The Bento of {bundle} could not be built.\n{_last_lines(done.stderr)}")
    return BuiltBento.model_validate_json(done.stdout.splitlines()[-1])


def prune_bentos(folder: ServiceFolder) -> None:
    """Delete old Bentos: all but the running one, the one deployed last and the newest `NUM_BENTOS`.

    What is deleted can be built again from the registry at any time.

    Raises:
        RunLockedError: a start or stop is going.
        ServiceError: BentoML could not delete them; says what it said.
    """
    with RunLock(folder.lock, "pruning of Bentos"):
        running, deployed = _read_ours(folder.record), read_record(DeployedService, folder.deployed)
        needed = [f"--keep={each.bento.tag}" for each in (running, deployed) if each is not None]
        done = _run_bentoml(folder, "prune", "--newest", str(NUM_BENTOS), *needed)
    if done.returncode != 0:
        raise ServiceError(f"Old Bentos could not be deleted.\n{_last_lines(done.stderr)}")


def _run_bentoml(folder: ServiceFolder, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `serving.bento` on the store in the state folder, to its end.

    Raises:
        ServiceError: it does not end.
    """
    try:
        return subprocess.run(
            [sys.executable, "-m", "serving.bento", *arguments],
            cwd=Path(__file__).resolve().parent.parent,
            env=_environment(folder.bentoml, {}),
            capture_output=True,
            text=True,
            check=False,
            timeout=BUILD_SECONDS,
        )
    except subprocess.TimeoutExpired as error:
        raise ServiceError(
            f"BentoML did not {arguments[0]} within {BUILD_SECONDS:g} seconds in {folder.bentoml}. Look "
            "whether the disk answers, then try again."
        ) from error


# --- starting -------------------------------------------------------------------------------------------


def start_service(
    folder: ServiceFolder, bento: BuiltBento, serve: ServeSettings, wait_seconds: float = WAIT_SECONDS
) -> RunningService:
    """Start a Bento's service and wait until it is ready.

    Raises:
        ConfigError: the port is taken, or a variable TAXON_* is wrong.
        RunLockedError: another start or stop is going.
        ServiceError: one is running already, or it does not become ready with the wanted digest; it is
            stopped again.
    """
    with RunLock(folder.lock, "service start"):
        old = _read_ours(folder.record)
        if old is not None:
            raise ServiceError(
                f"The service is running already: {old.url}, model {_name(old.bento)} (process {old.pid}, "
                f"since {old.since}). Stop it with: python run.py service stop"
            )
        return _launch(folder, folder.record, bento, serve, wait_seconds)


def deploy_service(
    folder: ServiceFolder,
    bento: BuiltBento,
    serve: ServeSettings,
    check: Check = accept_all,
    example: Path | None = None,
    wait_seconds: float = WAIT_SECONDS,
) -> RunningService:
    """Put a Bento in the place of the running service, if there is one, without trusting it beforehand.

    It is tried on a free port of this machine first, and `check` asks it; the old service answers all the
    while. Only then is the old one stopped and the new one started in its place and checked again; if that
    fails, the old one is started again. Between the two nobody answers for some seconds. What passes is
    written down as deployed, to be started again later.

    Args:
        folder: of the service's state.
        bento: what is to be served.
        serve: address and log.
        check: asks the new service twice, on trial and in its place.
        example: an image to try it with, for who reads the status.
        wait_seconds: longest wait for a service to become ready.

    Raises:
        ConfigError: the port is taken by another program, or the clients of the old service would be locked
            out, because TAXON_API_KEYS is not set here.
        RunLockedError: another start or stop is going.
        ServiceError: the new service did not become ready; the old one is kept.
        TaxonError: what `check` raised; the old one is kept.
    """
    with RunLock(folder.lock, "service deployment"):
        old = _read_ours(folder.record)
        if old is None or (old.serve.host, old.serve.port) != (serve.host, serve.port):
            _refuse_taken_port(folder, serve)
        if old is not None:
            _refuse_to_lock_out(old)
        with _trial(folder, bento, serve, wait_seconds) as trial:
            check(trial)
        if old is not None:
            _end(folder.record, old)
        try:
            new = _launch(folder, folder.record, bento, serve, wait_seconds)
            _check_or_end(folder, new, check)
        except BaseException as error:
            if old is not None:
                _restore(folder, old, error, wait_seconds)
            raise
        write_record(folder.deployed, DeployedService(bento=bento, serve=serve, example=example))
        return new


def stop_service(folder: ServiceFolder) -> RunningService | None:
    """Stop the service; None if none of ours was running.

    Raises:
        RunLockedError: another start or stop is going.
        ServiceError: it does not end.
    """
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


def find_service(folder: ServiceFolder) -> RunningService | None:
    """The service that this project started, if its process lives."""
    return _read_ours(folder.record)


def service_status(folder: ServiceFolder) -> ServiceStatus:
    """Whether the service runs and is ready, asked of itself."""
    service = read_record(RunningService, folder.record)
    if service is None:
        return ServiceStatus(None, ready=False, message="No service is running. Start it: make serve")
    if _find_process(service) is None:
        return ServiceStatus(
            service,
            ready=False,
            message=f"The service ended by itself (process {service.pid}, started {service.since}). Its last "
            f"words are in {service.output}. Start it again: make serve",
        )
    answer = _ask_ready(service)
    ready = answer.ready and answer.digest == service.bento.model.digest
    words = "ready" if ready else f"not ready: {answer.message}"
    return ServiceStatus(
        service,
        ready=ready,
        message=f"{service.url} is {words}. Model {_name(service.bento)}, digest "
        f"{service.bento.model.digest[:16]}, process {service.pid}, since {service.since}.",
        log=answer.log or "not known",
    )


def service_logs(folder: ServiceFolder, tail: int = 50) -> str:
    """The last lines of the newest service's output; empty if there was none yet.

    Raises:
        StorageError: the file cannot be read.
    """
    logs = sorted(folder.logs.glob("*.log"))
    service = read_record(RunningService, folder.record)
    newest = service.output if service is not None else (logs[-1] if logs else None)
    if newest is None:
        return ""
    with storage_errors(newest, "read"):
        return _last_lines(newest.read_text(encoding="utf-8", errors="replace"), tail)


def curl_line(service: RunningService, image: Path | None = None) -> str:
    """A command that asks the service; it reads the key from its file, so that no key is shown."""
    key = "$KEY" if service.key_file is None else f"$(cat {shlex.quote(str(service.key_file))})"
    name = "photo.jpg" if image is None else str(image)
    if any(each in name for each in ',;"'):
        escaped = name.replace("\\", "\\\\").replace('"', '\\"')
        name = f'"{escaped}"'  # as curl reads names that hold its own separators
    return f'curl -F {shlex.quote(f"image=@{name}")} -H "X-API-Key: {key}" {service.url}/predict'


# --- one process ----------------------------------------------------------------------------------------

_CHILDREN: dict[int, subprocess.Popen[bytes]] = {}
"""Children of this very process, kept so that they are reaped when they end."""


def _launch(
    folder: ServiceFolder, record: Path, bento: BuiltBento, serve: ServeSettings, wait_seconds: float
) -> RunningService:
    """Start, write down, wait until ready; on failure stop it again.

    Raises:
        ConfigError: the port is taken, or a setting is wrong.
        ServiceError: it does not become ready; with the end of its log.
    """
    _refuse_taken_port(folder, serve)
    instance = secrets.token_hex(8)
    check_key = secrets.token_hex(24)
    settings = _service_variables(folder, serve, instance, check_key)
    home = _make_home(folder, instance)
    output = folder.logs / f"{datetime.now(UTC).strftime('%Y%m%d-%H%M%S')}-{instance}.log"
    command = [sys.executable, "-m", "bentoml", "serve", str(bento.path)]
    with storage_errors(output):
        output.parent.mkdir(parents=True, exist_ok=True)
        with output.open("wb") as file:
            process = subprocess.Popen(
                [*command, "--host", serve.host, "--port", str(serve.port)],
                cwd=bento.path / "src",
                env=_environment(home, settings),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
    _CHILDREN[process.pid] = process
    service = RunningService(
        pid=process.pid,
        created=psutil.Process(process.pid).create_time(),
        instance=instance,
        serve=serve,
        bento=bento,
        output=output,
        key_file=None if os.environ.get("TAXON_API_KEYS") else folder.key,
        since=datetime.now(UTC).isoformat(timespec="seconds"),
        check_key=SecretStr(check_key),
    )
    write_record(record, service)
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
    log: str = ""
    final: bool = False
    foreign: bool = False


def _ask_ready(service: RunningService) -> _ReadyAnswer:
    """Ask /readyz, without any proxy."""
    host = service.url.removeprefix("http://").rpartition(":")[0].strip("[]")
    connection = http.client.HTTPConnection(host, service.serve.port, timeout=5)
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
        log = body.get("log", {})
        told = ": ".join(str(log[name]) for name in ("status", "reason") if name in log)
        return _ReadyAnswer(f"it serves digest {digest}", ready=True, digest=digest, log=told)
    return _ReadyAnswer(str(body.get("arrived", body)), final=str(body.get("type")).endswith(":refused"))


def _not_ready(service: RunningService, reason: str) -> ServiceError:
    output = service.output
    said = output.read_text(encoding="utf-8", errors="replace") if output.is_file() else ""
    return ServiceError(
        f"The service of {service.bento.tag} did not become ready on {service.url}: {reason}. Expected it to "
        f"serve digest {service.bento.model.digest}. It was stopped. The end of its log ({output}):\n"
        f"{_last_lines(said)}"
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
def _trial(
    folder: ServiceFolder, bento: BuiltBento, serve: ServeSettings, wait_seconds: float
) -> Iterator[RunningService]:
    """A service on a free port of this machine, for as long as the block runs."""
    _end_leftover(folder.trial)
    with socket.socket() as probe:
        probe.bind((THIS_MACHINE, 0))
        here = serve.model_copy(update={"host": THIS_MACHINE, "port": probe.getsockname()[1]})
    trial = _launch(folder, folder.trial, bento, here, wait_seconds)
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


def _restore(folder: ServiceFolder, old: RunningService, error: BaseException, wait_seconds: float) -> None:
    """Start the old service again after its successor failed, and say so.

    Raises:
        ServiceError: in place of a `TaxonError`, with its words and how the old one fares.
    """
    try:
        _launch(folder, folder.record, old.bento, old.serve, wait_seconds)
    except TaxonError as second:
        raise ServiceError(
            f"{error}\nThe old service, model {_name(old.bento)}, does not start again either, so nobody "
            f"answers now: {second}"
        ) from error
    if isinstance(error, TaxonError):
        raise ServiceError(
            f"{error}\nThe old service, model {_name(old.bento)}, was started again on {old.url}."
        ) from error


def _end_leftover(record: Path) -> None:
    """Stop a trial that a killed deployment left."""
    leftover = _read_ours(record)
    if leftover is not None:
        _end(record, leftover)


# --- files and surroundings -----------------------------------------------------------------------------


def _read_ours(path: Path) -> RunningService | None:
    """The service in a record whose process lives."""
    service = read_record(RunningService, path)
    return service if service is not None and _find_process(service) is not None else None


def _environment(home: Path, settings: Mapping[str, str]) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in _NOT_HANDED_ON}
    with storage_errors(home):
        home.mkdir(parents=True, exist_ok=True)
    return {**kept, **settings, "BENTOML_HOME": str(home), "BENTOML_DO_NOT_TRACK": "true"}


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


def _refuse_to_lock_out(old: RunningService) -> None:
    """Raise ConfigError if the running service has keys from the environment, and its successor would not."""
    if old.key_file is None and not os.environ.get("TAXON_API_KEYS"):
        raise ConfigError(
            f"The service on {old.url} was given its clients' keys by TAXON_API_KEYS, which is not set here: "
            "the new one would refuse them all. Set it to the same keys (for a scheduler, too), or stop the "
            "service first: python run.py service stop"
        )


def _refuse_taken_port(folder: ServiceFolder, serve: ServeSettings) -> None:
    """Raise ConfigError, naming who has it, if nobody can listen there."""
    host, port = serve.host, serve.port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except PermissionError as error:
            raise ConfigError(
                f"Port {port} needs more rights. Choose one above 1023: --set serve.port=3000"
            ) from error
        except OSError as error:
            own = _read_ours(folder.record)
            owner = (
                f"this project's service (process {own.pid}). Stop it: python run.py service stop"
                if own is not None and own.serve.port == port
                else f"another program, or {host} is no address of this machine. Stop that program, or "
                f"choose another port: --set serve.port={port + 1}"
            )
            raise ConfigError(f"{host}:{port} is taken by {owner}") from error


def _forget_old_logs(folder: ServiceFolder) -> None:
    for log in sorted(folder.logs.glob("*.log"))[:-NUM_LOGS]:
        log.unlink(missing_ok=True)


def _name(bento: BuiltBento) -> str:
    return f"{bento.model.name} version {bento.model.version}"


def _last_lines(text: str, number: int = TAIL_LINES) -> str:
    return "\n".join(text.splitlines()[-number:])
