"""Retraining: from the verdicts of monitoring and new images to a better champion, or to the reason why not.

One process holds the project from the decision to the verdict. The decision is a pipeline of its own; what
follows is the training pipeline with the new images among its data and the champion as opponent. An attempt
is written down before the training starts and completed after it, so that a retraining that is killed counts
against budget and pause, and is not started again and again. One that ends with exit code 2 before anything
was trained is withdrawn: what a person has to mend costs no budget, and was cheap to find. Which training
followed and what its gate said is metadata of the run that decided.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from zenml import log_metadata

from materializers.names import ArtifactName
from materializers.registry import find_champion, find_champion_state
from orchestration.flows.running.artifacts import RunArtifacts, find_run, has_trained, load_output
from orchestration.flows.running.runner import (
    NO_VERDICT,
    Finished,
    Flow,
    FolderFlow,
    Outcome,
    Plan,
    Run,
    name_run,
    write_folder,
)
from orchestration.flows.training import FLOW as TRAINING
from orchestration.flows.training import find_source
from orchestration.session.paths import ProjectPaths
from orchestration.store.attempts import close_attempt, open_attempt, read_attempts, withdraw_attempt
from orchestration.store.history import tell_production
from orchestration.store.windows import last_verdicts
from pipelines.names import PipelineName
from pipelines.retraining import retraining
from report.figures import draw_views
from report.sections.values import to_plain
from vision.base.errors import ConfigError, DataError
from vision.base.files import storage_errors, write_atomically
from vision.data.sources.learned import keep_learned
from vision.gate.records import Verdict
from vision.retraining.decide import digest_gate
from vision.retraining.records import Attempt, RetrainDecision, RetrainingEvidence, Trigger

logger = logging.getLogger(__name__)

NUM_VERDICTS = 20
"""Newest verdicts of monitoring that are asked for; the last two disjoint windows decide."""

STEP = "decide_retraining"
TRAINING_KEY = "training"


@dataclass(frozen=True)
class RetrainingFlow(FolderFlow[RetrainDecision | None]):
    """Decide whether to retrain, and do it: train, promote or keep.

    Attributes:
        training: what a retraining runs.
        now: aware of its zone; None: the time of the start.
    """

    training: Flow = TRAINING
    now: datetime | None = None
    name = PipelineName.RETRAINING

    def prepare(self, run: Run) -> Plan:
        """The DAG that decides, on the data set with its new images and all that the champion learned from.

        Raises:
            ConfigError: the champion learned from an added folder that the config does not name any more.
            DataError: the source or a folder of new images has no usable images.
        """
        champion = find_champion(run.config.name)
        grown = keep_learned(run.config.with_new_images(), champion.additions() if champion else ())
        source = find_source(run, grown)
        evidence = gather_evidence(grown.name, self.now or datetime.now(UTC))
        return Plan(retraining, (grown, *source, champion, evidence), grown, source[0])

    def project(self, run_name: str, paths: ProjectPaths) -> RetrainDecision | None:
        """Write summary.json and decision.md, as far as the run came."""
        run = RunArtifacts(find_run(run_name))
        folder = paths.runs / run.name
        with storage_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
        decision: RetrainDecision | None = run.load(STEP, ArtifactName.RETRAIN_DECISION)
        for name, view in draw_views(decision).items() if decision is not None else ():
            write_atomically(folder / name, view)
        summary = json.dumps(to_plain(_summarise(run, decision)), indent=2, allow_nan=False)
        write_atomically(folder / "summary.json", summary)
        return decision

    def tell(self, done: Finished[RetrainDecision | None]) -> Outcome:
        """The decision with its reasons; on a yes, the training and its verdict."""
        run = done.run
        decision = done.written or load_output(run.name, STEP, ArtifactName.RETRAIN_DECISION)
        if decision is None:
            return run.outcome(1, NO_VERDICT)
        words = tell_decision(decision)
        if decision.retrain:
            logger.info("%s", words)
            return self._retrain(run, done.plan, decision)
        if decision.champion_digest is None:
            words += f" {tell_production(run.config.name)}"
        return run.outcome(0, words)

    def _retrain(self, run: Run, plan: Plan, decision: RetrainDecision) -> Outcome:
        """Train with the champion as opponent, written down before and after."""
        following = run.next(name_run(PipelineName.TRAINING, plan.config), plan.config)
        model_name, attempt = plan.config.name, _attempt(plan, decision, plan.arguments[-1].now)
        open_attempt(model_name, following.name, attempt)
        self._record_training(run, following, None)
        try:
            outcome = self.training.carry_out(following)
        except (ConfigError, DataError):  # refused before there was a run
            withdraw_attempt(model_name, following.name, attempt)
            raise
        promotion = load_output(following.name, "promote", ArtifactName.PROMOTION)
        if promotion is not None and (promotion.verdict is not Verdict.PROMOTED or outcome.promoted):
            close_attempt(model_name, following.name, attempt, promotion.verdict)
            self._record_training(run, following, promotion.verdict)
        elif outcome.exit_code == ConfigError.exit_code and not has_trained(following.name):
            withdraw_attempt(model_name, following.name, attempt)
        return outcome

    def _record_training(self, run: Run, training: Run, verdict: Verdict | None) -> None:
        """Store with the run that decided which training follows, and later how its gate judged."""
        value = {"run": training.name, "verdict": verdict.value if verdict else ""}
        log_metadata(metadata={TRAINING_KEY: value}, run_id_name_or_prefix=run.name)
        write_folder(self, run)


FLOW = RetrainingFlow()


def _attempt(plan: Plan, decision: RetrainDecision, now: datetime) -> Attempt:
    return Attempt(
        time=now,
        automatic=decision.trigger is not Trigger.FORCED,
        champion_digest=decision.champion_digest,
        source_digest=plan.source_digest,
        gate_digest=digest_gate(plan.config.gate),
        verdict=None,
    )


def gather_evidence(model_name: str, now: datetime) -> RetrainingEvidence:
    """What the decision rests on beside the images."""
    return RetrainingEvidence(
        now=now,
        champion=find_champion_state(model_name),
        verdicts=last_verdicts(model_name, NUM_VERDICTS),
        attempts=read_attempts(model_name),
    )


def tell_decision(decision: RetrainDecision) -> str:
    """The decision and its reasons, in words."""
    asked = "" if decision.trigger is Trigger.NONE else f" (asked by: {decision.trigger})"
    title = "A retraining starts" if decision.retrain else "No retraining"
    return f"{title}{asked}. {' '.join(decision.reasons)}"


def _summarise(run: RunArtifacts, decision: RetrainDecision | None) -> dict[str, Any]:
    training = run.metadata.get(TRAINING_KEY)
    return {
        "run": run.name,
        "pipeline": PipelineName.RETRAINING.value,
        "model": run.config.name,
        "failure": run.failure,
        "failed_step": run.failed(),
        "decision": decision.model_dump(mode="json") if decision else None,
        "evidence": run.parameters.get("evidence"),
        "training": {"run": training["run"], "verdict": training["verdict"] or None} if training else None,
        "seconds": {"total": run.circumstances.get("seconds"), "steps": run.seconds()},
        "cached_steps": list(run.cached()),
    }
