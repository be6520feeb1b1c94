"""The service of a project: started, tried and replaced, watched and stopped.

Nobody else's process is touched, and a service that does not answer as it has to takes no other's place.
"""

from __future__ import annotations

import shlex
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from serving.runtime.bento import BuiltBento
from serving.runtime.launch import (
    ask_ready,
    check_variables,
    end_process,
    find_process,
    keys_from_environment,
    launch_service,
    name_model,
    read_last_lines,
    read_ours,
    refuse_taken_port,
)
from serving.runtime.running import (
    DeployedService,
    RunningService,
    ServiceFolder,
    read_record,
    read_running,
    write_record,
)
from vision.base.errors import ConfigError, ServiceError, TaxonError
from vision.base.files import storage_errors
from vision.base.lock import RunLock, is_held
from vision.config.serve import ServeSettings

THIS_MACHINE = "127.0.0.1"


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


# --- starting -------------------------------------------------------------------------------------------


def start_service(folder: ServiceFolder, bento: BuiltBento, serve: ServeSettings) -> RunningService:
    """Start a Bento's service and wait until it is ready.

    Raises:
        ConfigError: the port is taken, a variable TAXON_* is wrong, or the clients of what was deployed
            would be locked out, because TAXON_API_KEYS is not set here.
        RunLockedError: another start or stop is going.
        ServiceError: one is running already, or it does not become ready with the wanted digest; it is
            stopped again.
    """
    with RunLock(folder.lock, "service start"):
        old = read_ours(folder.record)
        if old is not None:
            raise ServiceError(
                f"The service is running already: {old.url}, model {name_model(old.bento)} (process "
                f"{old.pid}, since {old.since}). Stop it with: python run.py service stop"
            )
        _refuse_to_start_without_keys(folder)
        _end_leftover(folder.trial)
        return launch_service(folder, folder.record, bento, serve)


def deploy_service(
    folder: ServiceFolder,
    bento: BuiltBento,
    serve: ServeSettings,
    check: Check,
    example: Path | None = None,
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

    Raises:
        ConfigError: the port is taken by another program, or the clients of the old service would be locked
            out, because TAXON_API_KEYS is not set here.
        RunLockedError: another start or stop is going.
        ServiceError: the new service did not become ready; the old one is kept.
        TaxonError: what `check` raised; the old one is kept.
    """
    with RunLock(folder.lock, "service deployment"):
        refuse_deployment(folder, serve)
        old = read_ours(folder.record)
        with _trial(folder, bento, serve) as trial:
            check(trial)
        try:
            if old is not None:
                end_process(folder.record, old)
            new = launch_service(folder, folder.record, bento, serve)
            _check_or_end(folder, new, check)
        except BaseException as error:
            if old is not None:
                _restore(folder, old, error)
            raise
        deployed = DeployedService(
            bento=bento, serve=serve, example=example, keys_from_environment=keys_from_environment()
        )
        write_record(folder.deployed, deployed)
        return new


def refuse_deployment(folder: ServiceFolder, serve: ServeSettings) -> None:
    """Raise where a deployment would fail for a reason that is known before anything is made.

    Raises:
        ConfigError: the port is taken by another program, a variable TAXON_* is wrong, or the clients of the
            running service would be locked out, because TAXON_API_KEYS is not set here.
        ServiceError: the running service's record cannot be read.
    """
    old = read_ours(folder.record)
    if old is None or (old.serve.host, old.serve.port) != (serve.host, serve.port):
        refuse_taken_port(folder, serve)
    if old is not None:
        _refuse_to_lock_out(old)
    check_variables(folder, serve)


def stop_service(folder: ServiceFolder) -> RunningService | None:
    """Stop the service; None if none of ours was running.

    Raises:
        RunLockedError: another start or stop is going.
        ServiceError: it does not end.
    """
    with RunLock(folder.lock, "service stop"):
        _end_leftover(folder.trial)
        service = read_ours(folder.record)
        if service is None:
            with storage_errors(folder.record):
                folder.record.unlink(missing_ok=True)
            return None
        end_process(folder.record, service)
        return service


def end_leftover(folder: ServiceFolder) -> None:
    """Stop the trial that a killed deployment left, if there is one.

    Raises:
        RunLockedError: a start, stop or deployment is going.
        ServiceError: it does not end.
    """
    with RunLock(folder.lock, "service start"):
        _end_leftover(folder.trial)


# --- looking --------------------------------------------------------------------------------------------


def find_service(folder: ServiceFolder) -> RunningService | None:
    """The service that this project started, if its process lives."""
    return read_ours(folder.record)


def find_leftover(folder: ServiceFolder) -> RunningService | None:
    """The trial that a killed deployment left running; None while a start, stop or deployment is going."""
    return None if is_held(folder.lock) else read_ours(folder.trial)


def service_status(folder: ServiceFolder) -> ServiceStatus:
    """Whether the service runs and is ready, asked of itself."""
    try:
        service = read_running(folder.record)
    except ServiceError as error:
        return ServiceStatus(None, ready=False, message=str(error))
    if service is None:
        return ServiceStatus(None, ready=False, message="No service is running. Start it: make serve")
    if find_process(service) is None:
        return ServiceStatus(
            service,
            ready=False,
            message=f"The service ended by itself (process {service.pid}, started {service.since}). Its last "
            f"words are in {service.output}. Start it again: make serve",
        )
    answer = ask_ready(service)
    ready = answer.ready and answer.digest == service.bento.model.digest
    words = "ready" if ready else f"not ready: {answer.message}"
    return ServiceStatus(
        service,
        ready=ready,
        message=f"{service.url} is {words}. Model {name_model(service.bento)}, digest "
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
    newest = folder.logs / service.output.name if service is not None else (logs[-1] if logs else None)
    if newest is None:
        return ""
    with storage_errors(newest, "read"):
        return read_last_lines(newest, tail)


def curl_line(service: RunningService, image: Path | None = None) -> str:
    """A command that asks the service; it reads the key from its file, so that no key is shown."""
    key = "$KEY" if service.key_file is None else f"$(cat {shlex.quote(str(service.key_file))})"
    name = "photo.jpg" if image is None else str(image)
    if any(each in name for each in ',;"'):
        escaped = name.replace("\\", "\\\\").replace('"', '\\"')
        name = f'"{escaped}"'  # as curl reads names that hold its own separators
    return f'curl -F {shlex.quote(f"image=@{name}")} -H "X-API-Key: {key}" {service.url}/predict'


# --- replacing ------------------------------------------------------------------------------------------


@contextmanager
def _trial(folder: ServiceFolder, bento: BuiltBento, serve: ServeSettings) -> Iterator[RunningService]:
    """A service on a free port of this machine, for as long as the block runs."""
    _end_leftover(folder.trial)
    with socket.socket() as probe:
        probe.bind((THIS_MACHINE, 0))
        here = serve.model_copy(update={"host": THIS_MACHINE, "port": probe.getsockname()[1]})
    trial = launch_service(folder, folder.trial, bento, here)
    try:
        yield trial
    finally:
        end_process(folder.trial, trial)


def _check_or_end(folder: ServiceFolder, service: RunningService, check: Check) -> None:
    try:
        check(service)
    except BaseException:
        end_process(folder.record, service)
        raise


def _restore(folder: ServiceFolder, old: RunningService, error: BaseException) -> None:
    """Start the old service again after its successor failed, and say so.

    Raises:
        ServiceError: in place of a `TaxonError`, with its words and how the old one fares.
    """
    try:
        end_process(folder.record, old)  # a signal may have come while it was ending
        launch_service(folder, folder.record, old.bento, old.serve)
    except TaxonError as second:
        told = str(error) or "The deployment was stopped."
        raise ServiceError(
            f"{told}\nThe old service, model {name_model(old.bento)}, does not start again either, so "
            f"nobody answers now: {second}"
        ) from error
    if isinstance(error, TaxonError):
        raise ServiceError(
            f"{error}\nThe old service, model {name_model(old.bento)}, was started again on {old.url}."
        ) from error


def _end_leftover(record: Path) -> None:
    """Stop a trial that a killed deployment left."""
    leftover = read_ours(record)
    if leftover is not None:
        end_process(record, leftover)


def _refuse_to_lock_out(old: RunningService) -> None:
    """Raise ConfigError if the running service has keys from the environment, and its successor would not."""
    if old.key_file is None and not keys_from_environment():
        raise ConfigError(
            f"The service on {old.url} was given its clients' keys by TAXON_API_KEYS, which is not set here: "
            "the new one would refuse them all. Set it to the same keys (for a scheduler, too), or stop the "
            "service first: python run.py service stop"
        )


def _refuse_to_start_without_keys(folder: ServiceFolder) -> None:
    """Raise ConfigError if what was deployed last had keys from the environment, and there are none here.

    Where the record does not say, that of the last start does, if it is left: after a crash or a reboot.
    """
    deployed = read_record(DeployedService, folder.deployed)
    if deployed is None or keys_from_environment():
        return
    had_keys = deployed.keys_from_environment
    if had_keys is None:
        last = read_record(RunningService, folder.record)
        had_keys = last is not None and last.key_file is None
    if had_keys:
        raise ConfigError(
            "The service was deployed with its clients' keys in TAXON_API_KEYS, which is not set here: it "
            "would refuse them all. Set it to the same keys (in a crontab: TAXON_API_KEYS=name:key above the "
            f"line). To go over to the one key in {folder.key} on purpose, deploy again without it: "
            "python run.py --pipeline deployment --config NAME.yaml"
        )
