"""`run.py service`: start what was deployed last, say what runs, show what it says, stop it."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from orchestration.session.environment import prepare_environment
from orchestration.session.paths import ProjectPaths
from orchestration.session.refusal import fill_in
from pipelines.names import PipelineName
from serving.log.url import parse_url, resolve_log_url
from serving.runtime.bento import is_of_this_code
from serving.runtime.process import (
    ServiceStatus,
    curl_line,
    service_logs,
    service_status,
    start_service,
    stop_service,
)
from serving.runtime.running import RunningService, ServiceFolder, read_deployed
from vision.base.errors import ConfigError
from vision.config.run import RunConfig


def start(paths: ProjectPaths, config: RunConfig | None, typed: str | None = None) -> int:
    """Serve the last deployed Bento again; where none is deployed, deploy the config's champion.

    Args:
        paths: the project.
        config: says where to listen, and whose champion to deploy; None: as it was deployed.
        typed: the name or file of that config.

    Raises:
        ConfigError: nothing is deployed and no config says what to deploy, or the port is taken.
        ServiceError: the service does not become ready.
    """
    folder = ServiceFolder(paths.home)
    deployed = read_deployed(folder)
    if config is not None and (deployed is None or deployed.bento.model.name != config.name):
        return deploy(paths, config)
    if deployed is None:
        raise ConfigError(
            "No model was deployed yet, so there is nothing to start. Expected the last deployed one, or "
            "--config NAME.yaml, whose champion is then deployed."
        )
    status = service_status(folder)
    if not status.ready:
        start_service(folder, deployed.bento, deployed.serve if config is None else config.serve)
    code = tell_status(paths)
    if not is_of_this_code(deployed.bento):
        say("It runs other code than this folder holds now. Put this code in: python run.py deploy NAME")
    if config is not None:
        if status.ready and status.running is not None:
            _tell_of_another_address(status.running, config)
        _tell_of_a_newer_champion(paths, config, typed, deployed.bento.model.digest)
    return code


def tell_status(paths: ProjectPaths) -> int:
    """Print what runs, where, and how to ask it; 0 if it is ready, else 1."""
    folder = ServiceFolder(paths.home)
    status = service_status(folder)
    lines = [status.message]
    if status.running is not None:
        lines += _describe(status, status.running, folder)
    say("\n".join(lines))
    return 0 if status.ready else 1


def show_logs(paths: ProjectPaths, tail: int) -> int:
    """Print the last lines of the newest service's output."""
    if tail < 1:
        raise ConfigError(f"--tail is {tail}; expected 1 or more lines.")
    say(service_logs(ServiceFolder(paths.home), tail) or "There is no output: no service was started yet.")
    return 0


def stop(paths: ProjectPaths) -> int:
    """Stop the service, if one of ours runs."""
    stopped = stop_service(ServiceFolder(paths.home))
    say("No service was running." if stopped is None else f"Stopped: {stopped.url} (process {stopped.pid}).")
    return 0


def deploy(paths: ProjectPaths, config: RunConfig) -> int:
    """Deploy the config's champion and print what then runs; the exit code."""
    from orchestration.flows.running.runner import launch

    outcome = launch(PipelineName.DEPLOYMENT, config, paths)
    say(outcome.message)
    return tell_status(paths) if outcome.exit_code == 0 else outcome.exit_code


def _tell_of_another_address(running: RunningService, config: RunConfig) -> None:
    """Say so where a service that runs already was asked to listen elsewhere."""
    asked, serve = config.serve, running.serve
    if (asked.host, asked.port) != (serve.host, serve.port):
        say(
            f"It ran already and was not moved to {asked.host}:{asked.port}. To move it: "
            "python run.py service stop, then the same command again."
        )


def _tell_of_a_newer_champion(paths: ProjectPaths, config: RunConfig, typed: str | None, served: str) -> None:
    """Say so where what is in production is not what was deployed last."""
    prepare_environment(paths)
    from materializers.registry import find_production

    production = find_production(config.name)
    if production is not None and production.champion.digest != served:
        told = (
            f"Not served yet: version {production.version}, digest {production.champion.digest[:16]}, is in "
            "production. Deploy it: python run.py --pipeline deployment --config NAME.yaml"
        )
        say(fill_in(told, typed))


def _describe(status: ServiceStatus, service: RunningService, folder: ServiceFolder) -> list[str]:
    """Digest, key, log, output, and a command that can be copied."""
    log = parse_url(resolve_log_url(service.serve.log.url, folder.home))
    from_environment = "$KEY: one of those in TAXON_API_KEYS at the start"
    key = from_environment if service.keys_from_environment else str(folder.key)
    lines = [
        f"digest  {service.bento.model.digest}",
        f"key     {key}",
        f"log     {log.render_as_string(hide_password=True)} ({status.log})",
        f"output  {folder.logs / service.output}",
    ]
    return [*lines, f"ask it  {curl_line(folder, service, _find_example(folder))}"] if status.ready else lines


def _find_example(folder: ServiceFolder) -> Path | None:
    deployed = read_deployed(folder)
    example = deployed.example if deployed is not None else None
    return example if example is not None and example.is_file() else None


def say(text: str) -> None:
    """Print lines as they are."""
    Console(highlight=False).print(text, markup=False, soft_wrap=True)
