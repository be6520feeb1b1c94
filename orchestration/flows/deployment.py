"""The champion becomes what answers: by a pipeline of its own, at the end of a training, or by going back.

What is in production (the registry) and what answers (the service) are two things that can part: a service
that answers otherwise than the pipeline is not put into place, and a promotion stands all the same. Every
message here says what stands where.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from orchestration.flows.launch import Outcome, guard_run, name_run, run_known, tell_error
from orchestration.session.paths import ProjectPaths
from pipelines.names import PipelineName
from serving.runtime.process import find_service, refuse_deployment
from serving.runtime.running import ServiceFolder, read_deployed
from vision.base.errors import ConfigError, TaxonError
from vision.base.files import storage_errors
from vision.base.wording import count_of
from vision.bundle.assembly import verify_bundle
from vision.bundle.records import Deployment
from vision.config.run import RunConfig

if TYPE_CHECKING:  # ZenML must not be imported before its environment is prepared
    from materializers.registry import Previous

logger = logging.getLogger(__name__)

AGAIN = "python run.py --pipeline deployment --config NAME.yaml"


def launch_deployment(config: RunConfig, paths: ProjectPaths) -> Outcome:
    """Serve the champion, if its service answers as the pipeline does; an old service is kept otherwise.

    Raises:
        ConfigError: no model of this name is in production, or the service could not start: its port is
            taken, a variable TAXON_* is wrong, or the clients of the running one would be locked out.
        BundleError: the production version lacks what a deployment needs.
        ServiceError: the running service's record cannot be read.
        RunLockedError: another run is going in this folder.
        StorageError: ZenML's database cannot be written: the disk is full or read-only.
    """
    run_name = _name_deployment(config)
    with guard_run(run_name, paths):
        return deploy_in_lock(config, paths, run_name)


def deploy_in_lock(config: RunConfig, paths: ProjectPaths, run_name: str) -> Outcome:
    """Run the deployment pipeline in a project that this process holds; raises as `launch_deployment`."""
    from materializers.registry import find_champion, find_version_number
    from orchestration.store.history import missing_champion
    from pipelines.deployment import deployment

    champion, version = find_champion(config.name), find_version_number(config.name)
    if champion is None or version is None:
        raise missing_champion(config.name, "there is nothing to serve")
    refuse_deployment(ServiceFolder(paths.home), config.serve)  # in one message, before there is a run
    pipeline = deployment.with_options(run_name=run_name)
    failure = run_known(run_name, paths, lambda: pipeline(champion, version, config.serve, str(paths.home)))
    folder = paths.runs / run_name
    if failure is not None:
        return Outcome.of_failure(run_name, folder, failure)
    return Outcome(run_name, folder, 0, tell_deployment(load_deployment(run_name)))


def follow_promotion(trained: Outcome, config: RunConfig, paths: ProjectPaths) -> Outcome:
    """Serve what a training promoted, where the configuration says so; the promotion stands in any case.

    Args:
        trained: how the training ended.
        config: says by `deploy` whether to serve.
        paths: the project, which this process holds.
    """
    if not (config.deploy and trained.promoted):
        return trained
    return _serve_too(trained, config, paths, "The promotion stands, but the new champion is not served")


def launch_rollback(config: RunConfig, paths: ProjectPaths) -> Outcome:
    """Put the version that was in production before into production again, and serve it if a service runs.

    Raises:
        ConfigError: no model of this name is or was in production, or there is no earlier version.
        BundleError: its bundle is not the one that was registered; nothing is changed.
        RunLockedError: another run is going in this folder.
        ServiceError: the running service's record cannot be read; nothing is changed.
        StorageError: ZenML's database cannot be written: the disk is full or read-only.
    """
    run_name = name_run(f"{config.name}-rollback")
    with guard_run(run_name, paths):
        from materializers.registry import find_previous, find_version_number, put_back
        from orchestration.store.history import missing_champion

        previous = find_previous(config.name)
        if previous is None and find_version_number(config.name) is None:
            raise missing_champion(config.name, "there is nothing to go back from")
        if previous is None:
            raise ConfigError(
                f"There is no earlier champion of {config.name} to go back to. Expected an archived version "
                "with a digest, which a second promotion leaves. Nothing was changed."
            )
        _require_whole(previous)
        find_service(ServiceFolder(paths.home))  # a record that cannot be read is told of first
        withdrawn = find_version_number(config.name)
        put_back(config.name, previous)
        told = f"rolled back: {config.name} version {previous.version} is in production again"
        told += f", version {withdrawn} is archived." if withdrawn else "."
        outcome = Outcome(run_name, paths.runs / run_name, 0, told)
        return _follow_rollback(outcome, config, paths)


def load_deployment(run_name: str) -> Deployment:
    """What a finished deployment run put into service."""
    from zenml.client import Client

    from materializers.names import ArtifactName

    outputs = Client().get_pipeline_run(run_name).steps["deploy"].outputs
    deployment: Deployment = outputs[ArtifactName.DEPLOYMENT.value][0].load()
    return deployment


def tell_deployment(deployment: Deployment) -> str:
    """A deployment in one sentence."""
    return (
        f"deployed: {deployment.model_name} version {deployment.version} answers on {deployment.url}; of "
        f"{count_of(deployment.num_images, 'test image')} over HTTP {deployment.num_equal_decisions} got the "
        f"pipeline's own decision, probabilities differ by at most "
        f"{deployment.max_probability_difference:.2g}."
    )


def _follow_rollback(outcome: Outcome, config: RunConfig, paths: ProjectPaths) -> Outcome:
    """Serve what was put back if a service of this model runs; else see that no start serves the other."""
    folder = ServiceFolder(paths.home)
    service = find_service(folder)
    if service is not None and service.bento.model.name == config.name:
        return _serve_too(outcome, config, paths, "The service still answers with the version withdrawn")
    deployed = read_deployed(folder)
    if deployed is not None and deployed.bento.model.name == config.name:
        with storage_errors(folder.deployed, "delete"):
            folder.deployed.unlink()
    return replace(outcome, message=f"{outcome.message} No service of it runs; to start one: {AGAIN}")


def _serve_too(outcome: Outcome, config: RunConfig, paths: ProjectPaths, failing: str) -> Outcome:
    """The outcome with that of a deployment; a deployment that fails gives exit code 1 and is told of."""
    try:
        deployed = deploy_in_lock(config, paths, _name_deployment(config))
    except TaxonError as error:
        code, told = 1, tell_error(error)
    except Exception as error:  # what is promoted is promoted: the caller has to write that down
        logger.exception("The deployment failed.")
        code, told = 1, tell_error(error)
    else:
        code, told = deployed.exit_code, deployed.message
    if code == 0:
        return replace(outcome, message=f"{outcome.message}\n{told}")
    advice = f"When that is mended: {AGAIN}"
    return replace(outcome, exit_code=1, message=f"{outcome.message}\n{failing}: {told}\n{advice}")


def _require_whole(previous: Previous) -> None:
    """Raise BundleError if a byte of the bundle is not the registered one, before anything is changed."""
    bundle = previous.champion.bundle().load()
    verify_bundle(Path(bundle.root), previous.champion.digest)


def _name_deployment(config: RunConfig) -> str:
    return name_run(f"{config.name}-{PipelineName.DEPLOYMENT}")
