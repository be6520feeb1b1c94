"""The champion becomes what answers: by a pipeline of its own, or at the end of a training.

What is in production (the registry) and what answers (the service) are two things that can part: a service
that answers otherwise than the pipeline is not put into place, and a promotion stands all the same. Every
message here says what stands where.
"""

from __future__ import annotations

import logging
from dataclasses import replace

from materializers.names import ArtifactName
from materializers.registry import find_production
from orchestration.flows.running.artifacts import load_output
from orchestration.flows.running.failures import tell_error
from orchestration.flows.running.runner import Finished, Outcome, PipelineFlow, Plan, Run, name_run
from orchestration.store.history import missing_champion
from pipelines.deployment import deployment
from pipelines.names import PipelineName
from serving.runtime.process import refuse_deployment
from serving.runtime.running import RunningService, ServiceFolder, list_services, read_record
from vision.base.errors import TaxonError
from vision.base.wording import count_of
from vision.bundle.records import Deployment

logger = logging.getLogger(__name__)

AGAIN = "python run.py --pipeline deployment --config NAME.yaml"


class DeploymentFlow(PipelineFlow[None]):
    """Serve the champion, if its service answers as the pipeline does; an old service is kept otherwise."""

    name = PipelineName.DEPLOYMENT

    def prepare(self, run: Run) -> Plan:
        """The DAG of the model in production.

        Raises:
            ConfigError: no model of this name is in production, or the service could not start: its port is
                taken, a variable TAXON_* is wrong, or the clients of the running one would be locked out.
            BundleError: the production version lacks what a deployment needs.
            ServiceError: the running service's record cannot be read.
        """
        config, home = run.config, run.paths.home
        production = find_production(config.name)
        if production is None:
            raise missing_champion(config.name, "there is nothing to serve")
        refuse_deployment(ServiceFolder(home), config.serve)  # in one message, before there is a run
        return Plan(deployment, (production.champion, production.version, config.serve, str(home)), config)

    def tell(self, done: Finished[None]) -> Outcome:
        """What answers now."""
        deployed: Deployment = load_output(done.run.name, "deploy", ArtifactName.DEPLOYMENT)
        return done.run.outcome(0, tell_deployment(deployed))


FLOW = DeploymentFlow()


def follow_promotion(trained: Outcome, run: Run) -> Outcome:
    """Serve what a training promoted, where the configuration says so; the promotion stands in any case.

    Args:
        trained: how the training ended.
        run: that training; its config says by `deploy` whether to serve.
    """
    if not trained.promoted:
        return trained
    if not run.config.deploy:
        folder = ServiceFolder(run.paths.home)
        old = read_record(RunningService, folder.record)
        if (
            old is None
            or old.bento.model.name != run.config.name
            or old.instance not in list_services(folder)
        ):
            return trained
        told = f"{old.url} still answers with version {old.bento.model.version}: make serve"
        return replace(trained, cautions=(*trained.cautions, told))
    return serve_too(trained, run, "The promotion stands, but the new champion is not served")


def serve_too(outcome: Outcome, run: Run, failing: str) -> Outcome:
    """The outcome with that of a deployment; a deployment that fails gives exit code 1 and is told of."""
    try:
        deployed = FLOW.carry_out(run.next(name_run(FLOW.name, run.config)))
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


def tell_deployment(deployment: Deployment) -> str:
    """A deployment in one sentence."""
    return (
        f"deployed: {deployment.model_name} version {deployment.version} answers on {deployment.url}; of "
        f"{count_of(deployment.num_images, 'test image')} over HTTP {deployment.num_equal_decisions} got the "
        f"pipeline's own decision, probabilities differ by at most "
        f"{deployment.max_probability_difference:.2g}.{deployment.pictures and ' '}{deployment.pictures}"
    )
