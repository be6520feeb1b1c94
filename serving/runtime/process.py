"""The service of a project: started, tried and replaced, watched and stopped.

Nobody else's process is touched, and a service that does not answer as it has to takes no other's place.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from serving.client import ask_ready
from serving.runtime.launch import (
    Launched,
    end_service,
    keys_from_environment,
    launch_service,
    open_socket,
    read_last_lines,
    service_variables,
    take_over,
)
from serving.runtime.running import (
    BuiltBento,
    DeployedService,
    RunningService,
    ServiceFolder,
    find_service,
    list_services,
    read_record,
    write_record,
)
from vision.base.errors import ConfigError, ServiceError
from vision.base.files import storage_errors
from vision.base.home import shorten_path
from vision.base.lock import RunLock
from vision.config.serve import ServeSettings

Check = Callable[[Launched], Path | None]
"""Asks a service real questions; raises TaxonError where an answer is not as it has to be.

Returns an image to try the service with.
"""


@dataclass(frozen=True)
class ServiceStatus:
    """What was started, whether it lives and answers, and why it does not."""

    running: RunningService | None
    ready: bool
    message: str
    log: str = "not known"  # whether answers can be written down now, and why not


# --- starting and stopping ------------------------------------------------------------------------------


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
        old = find_service(folder)
        if old is not None:
            raise ServiceError(
                f"The service is running already: {old.url}, model {old.bento} (process {old.pid}, since "
                f"{old.since}). Stop it with: python run.py service stop"
            )
        _refuse_without_keys(folder, read_record(DeployedService, folder.deployed))
        return _replace(folder, None, bento, serve, lambda _: None)[0]


def deploy_service(
    folder: ServiceFolder, bento: BuiltBento, serve: ServeSettings, check: Check
) -> RunningService:
    """Put a Bento in the place of the running service, if there is one, without trusting it beforehand.

    It is started beside the old one and `check` asks it on an address of its own. Then it accepts from the
    same listening socket as the old one, and the old one takes no more connections, finishes those that it
    has and ends: no request is lost. What passes is written down as deployed, to be started again later.

    Raises:
        ConfigError: as `refuse_deployment`.
        RunLockedError: another start or stop is going.
        TaxonError: the new service did not become ready, or what `check` raised; the old one goes on.
    """
    with RunLock(folder.lock, "service deployment"):
        old = find_service(folder)
        _refuse_without_keys(folder, old)
        service, example = _replace(folder, old, bento, serve, check)
        deployed = DeployedService(
            bento=bento,
            serve=serve,
            example=None if example is None else Path(shorten_path(str(example), folder.home)),
            keys_from_environment=keys_from_environment(),
        )
        write_record(folder.deployed, deployed)
        _end_others(folder, service)
        return service


def refuse_deployment(folder: ServiceFolder, serve: ServeSettings) -> None:
    """Raise where a deployment would fail for a reason that is known before anything is made.

    Raises:
        ConfigError: the port is taken by another program, a variable TAXON_* is wrong, or the clients of the
            running service would be locked out, because TAXON_API_KEYS is not set here.
        ServiceError: the running service's record cannot be read, or it does not hand out its socket.
    """
    _refuse_without_keys(folder, find_service(folder))
    service_variables(folder, serve)  # checked as they are made
    open_socket(folder, serve).close()


def stop_service(folder: ServiceFolder) -> RunningService | None:
    """Stop the service; None if none of ours was running, or its record cannot be read.

    Raises:
        RunLockedError: another start or stop is going.
    """
    with RunLock(folder.lock, "service stop"):
        service, living = read_record(RunningService, folder.record), list_services(folder)
        for pid in living.values():
            end_service(pid)
        with storage_errors(folder.root):
            folder.record.unlink(missing_ok=True)
            for path in folder.root.glob("*.sock"):  # of killed ones
                path.unlink()
        return service if service is not None and service.instance in living else None


def _replace(
    folder: ServiceFolder, old: RunningService | None, bento: BuiltBento, serve: ServeSettings, check: Check
) -> tuple[RunningService, Path | None]:
    """Start a service, check it, let it answer and write it down; what fails is stopped again.

    Returns it with what the check returned. The caller holds the lock and ends the old service.
    """
    _end_others(folder, old)
    with open_socket(folder, serve) as public:
        launched = launch_service(folder, bento, serve, public)
    try:
        example = check(launched)
        take_over(launched)
        write_record(folder.record, launched.service)
    except BaseException:
        end_service(launched.service.pid, drain=True)  # it may have requests already
        raise
    return launched.service, example


def _end_others(folder: ServiceFolder, kept: RunningService | None) -> None:
    """End this project's other services: the one before, and what a killed deployment left."""
    for instance, pid in list_services(folder).items():
        if kept is None or instance != kept.instance:
            end_service(pid, drain=True)  # it may have requests


def _refuse_without_keys(folder: ServiceFolder, former: RunningService | DeployedService | None) -> None:
    """Raise ConfigError if a service had its keys from the environment, and there are none here."""
    if former is not None and former.keys_from_environment and not keys_from_environment():
        raise ConfigError(
            "The service was given its clients' keys by TAXON_API_KEYS, which is not set here: a new one "
            "would refuse them all. Set it to the same keys (in a crontab: TAXON_API_KEYS=name:key above the "
            f"line). To go over to the one key in {folder.key} on purpose, stop the service and deploy again "
            "without it: python run.py service stop; python run.py --pipeline deployment --config NAME.yaml"
        )


# --- looking --------------------------------------------------------------------------------------------


def service_status(folder: ServiceFolder) -> ServiceStatus:
    """Whether the service runs and is ready, asked of itself."""
    try:
        service = find_service(folder)
    except ServiceError as error:
        return ServiceStatus(None, ready=False, message=str(error))
    former = read_record(RunningService, folder.record)
    if former is None:
        return ServiceStatus(None, ready=False, message="No service is running. Start it: make serve")
    if service is None:
        return ServiceStatus(
            former,
            ready=False,
            message=f"The service ended by itself (process {former.pid}, started {former.since}), or it is "
            "that of the project of which this is a copy. Its last words: python run.py service logs. Start "
            "it again: make serve",
        )
    status = ask_status(service.url, service.bento.model.digest)
    told = f"Model {service.bento}, digest {service.bento.model.digest[:16]}, process {service.pid}, since"
    return replace(status, running=service, message=f"{status.message} {told} {service.since}.")


def ask_status(url: str, digest: str | None = None) -> ServiceStatus:
    """Whether the service at a URL is ready, and with the model of a digest, asked of itself."""
    try:
        answer = ask_ready(url)
    except ServiceError as error:
        return ServiceStatus(None, ready=False, message=f"Not ready: {error}")
    if digest not in (None, answer.digest):
        return ServiceStatus(
            None, ready=False, message=f"Not ready: {url} serves digest {answer.digest[:16]}."
        )
    message, log = f"{url} is ready.", answer.log.status
    if answer.restarts:
        times = "once" if answer.restarts == 1 else f"{answer.restarts} times"
        message += f" Its worker ended by itself and was started again {times}: python run.py service logs."
    return ServiceStatus(None, True, message, f"{log}: {answer.log.reason}" if answer.log.reason else log)


def service_logs(folder: ServiceFolder, tail: int = 50) -> str:
    """The last lines of the newest service's output; empty if there was none yet."""
    logs = sorted(folder.logs.glob("*.log"))
    service = read_record(RunningService, folder.record)
    newest = folder.logs / service.output if service is not None else (logs[-1] if logs else None)
    if newest is None:
        return ""
    with storage_errors(newest, "read"):
        return read_last_lines(newest, tail)


def curl_line(folder: ServiceFolder, service: RunningService, image: Path | None = None) -> str:
    """A command that asks the service; it reads the key from its file, so that no key is shown."""
    key = "$KEY" if service.keys_from_environment else f"$(cat {shlex.quote(str(folder.key))})"
    name = "photo.jpg" if image is None else str(image)
    if any(each in name for each in ',;"'):
        escaped = name.replace("\\", "\\\\").replace('"', '\\"')
        name = f'"{escaped}"'  # as curl reads names that hold its own separators
    return f'curl -F {shlex.quote(f"image=@{name}")} -H "X-API-Key: {key}" {service.url}/predict'
