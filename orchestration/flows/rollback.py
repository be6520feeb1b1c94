"""Rollback: the version that was in production before is put back, and into service if one runs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from materializers.registry import RegisteredVersion, find_previous, find_version_number, put_back
from orchestration.flows.deployment import AGAIN, serve_too
from orchestration.flows.running.runner import Flow, Outcome, Run
from orchestration.store.history import missing_champion
from serving.runtime.running import ServiceFolder, find_service, read_deployed
from vision.base.errors import ConfigError
from vision.base.files import storage_errors
from vision.bundle.assembly import verify_bundle


class RollbackFlow(Flow):
    """No DAG: the registry changes, then a running service follows."""

    name = "rollback"

    def carry_out(self, run: Run) -> Outcome:
        """Put the previous version back and serve it if a service of this model runs.

        Raises:
            ConfigError: no model of this name is or was in production, or there is no earlier version.
            BundleError: its bundle is not the one that was registered; nothing is changed.
            ServiceError: the running service's record cannot be read; nothing is changed.
        """
        name = run.config.name
        previous = _find_previous(name)
        _require_whole(previous)
        find_service(ServiceFolder(run.paths.home))  # a record that cannot be read is told of first
        withdrawn = find_version_number(name)
        put_back(name, previous)
        told = f"rolled back: {name} version {previous.version} is in production again"
        told += f", version {withdrawn} is archived." if withdrawn else "."
        if withdrawn and int(previous.version) > int(withdrawn):
            told += f" Version {previous.version} is the newer of the two: it was rolled back before."
        return _follow(run.outcome(0, told), run)


FLOW = RollbackFlow()


def _find_previous(model_name: str) -> RegisteredVersion:
    previous = find_previous(model_name)
    if previous is not None:
        return previous
    present = find_version_number(model_name)
    if present is None:
        raise missing_champion(model_name, "there is nothing to go back from")
    raise ConfigError(
        f"There is no earlier champion of {model_name} than version {present}, so there is nothing to go "
        "back to. Nothing was changed."
    )


def _require_whole(previous: RegisteredVersion) -> None:
    """Raise BundleError if a byte of the bundle is not the registered one, before anything is changed."""
    verify_bundle(Path(previous.champion.bundle().load().root), previous.champion.digest)


def _follow(outcome: Outcome, run: Run) -> Outcome:
    """Serve what was put back if a service of this model runs; else see that no start serves the other."""
    folder = ServiceFolder(run.paths.home)
    service = find_service(folder)
    if service is not None and service.bento.model.name == run.config.name:
        return serve_too(outcome, run, "The service still answers with the version withdrawn")
    deployed = read_deployed(folder)
    if deployed is not None and deployed.bento.model.name == run.config.name:
        with storage_errors(folder.deployed, "delete"):
            folder.deployed.unlink()
    ends = f" in place of {service.bento.model.name}, which answers now" if service is not None else ""
    return replace(outcome, message=f"{outcome.message} No service of it runs; to start one{ends}: {AGAIN}")
