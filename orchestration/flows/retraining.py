"""From the verdicts of monitoring and new images to a better champion, or to the reason why not.

One process holds the project from the decision to the verdict. The decision is a pipeline of its own; what
follows is the training pipeline with the new images among its data and the champion as opponent. An attempt
is written down before the training starts and completed after it, so that a retraining that is killed counts
against budget and pause, and is not started again and again. One that ends with exit code 2 before anything
was trained is withdrawn: what a person has to mend costs no budget, and was cheap to find.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from orchestration.flows.launch import (
    Outcome,
    guard_run,
    name_run,
    record_run,
    run_known,
    train_in_lock,
    write_folder,
)
from orchestration.session.paths import ProjectPaths
from pipelines.names import PipelineName
from vision.base.errors import ConfigError, DataError
from vision.config.run import RunConfig
from vision.data.sources import digest_source
from vision.data.sources.learned import keep_learned
from vision.gate.records import Verdict
from vision.retraining.decide import digest_gate
from vision.retraining.records import Attempt, RetrainDecision, RetrainingEvidence, Trigger

if TYPE_CHECKING:  # ZenML must not be imported before its environment is prepared
    from materializers.registry import Champion

logger = logging.getLogger(__name__)

NUM_VERDICTS = 20
"""Newest verdicts of monitoring that are asked for; the last two disjoint windows decide."""


@dataclass(frozen=True)
class Subject:
    """What is decided on.

    Attributes:
        config: with the new images and all that the champion learned from among the data set's additions.
        champion: the model in production, or None.
        source_digest: of the data set with the new images.
    """

    config: RunConfig
    champion: Champion | None
    source_digest: str


Train = Callable[[RunConfig, ProjectPaths, str, float], Outcome]
"""Trains, judges, registers and deploys: configuration, project, run name, monotonic time of the start."""


def launch_retraining(
    config: RunConfig, paths: ProjectPaths, now: datetime, train: Train = train_in_lock
) -> Outcome:
    """Decide whether to retrain, and do it: train, promote or keep.

    Args:
        config: of the data set.
        paths: the project.
        now: aware of its zone.
        train: what a retraining runs.

    Raises:
        RunLockedError: another run is going in this folder.
        ConfigError: the champion learned from an added folder that the config does not name any more.
        DataError: the source or a folder of new images has no usable images.
        StorageError: ZenML's database cannot be written: the disk is full or read-only.
    """
    started = time.monotonic()
    run_name = name_run(f"{config.name}-{PipelineName.RETRAINING}")
    with guard_run(run_name, paths):
        subject = _settle_subject(config, paths)
        failure = _run_decision(subject, paths, run_name, now, started)
        if failure is not None:
            return Outcome.of_failure(run_name, paths.runs / run_name, failure)
        return _follow(subject, paths, run_name, now, train)


def _settle_subject(config: RunConfig, paths: ProjectPaths) -> Subject:
    """The data set as it would be learned from, and whom the model would have to beat."""
    from materializers.registry import find_champion

    champion = find_champion(config.name)
    grown = keep_learned(config.with_new_images(), champion.additions() if champion else ())
    logger.info("Reading the source ...")
    return Subject(grown, champion, digest_source(grown.dataset, paths.data))


def gather_evidence(model_name: str, now: datetime) -> RetrainingEvidence:
    """What the decision rests on beside the images."""
    from materializers.registry import find_champion_state
    from orchestration.flows.monitoring import last_verdicts
    from orchestration.store.attempts import read_attempts

    return RetrainingEvidence(
        now=now,
        champion=find_champion_state(model_name),
        verdicts=last_verdicts(model_name, NUM_VERDICTS),
        attempts=read_attempts(model_name),
    )


def _run_decision(
    subject: Subject, paths: ProjectPaths, run_name: str, now: datetime, started: float
) -> Exception | None:
    """Run the pipeline that decides and write its folder; the exception that ended it, or None."""
    from pipelines.retraining import retraining

    evidence = gather_evidence(subject.config.name, now)
    pipeline = retraining.with_options(run_name=run_name)
    places = paths.relative(paths.data), paths.relative(paths.images)
    arguments = subject.config, subject.source_digest, *places, subject.champion
    failure = run_known(run_name, paths, lambda: pipeline(*arguments, evidence))
    record_run(run_name, paths, subject.config, failure, started)
    _project(run_name, paths)
    return failure


def _follow(subject: Subject, paths: ProjectPaths, run_name: str, now: datetime, train: Train) -> Outcome:
    """Do what was decided."""
    from orchestration.flows.decision_folder import load_decision
    from orchestration.store.history import tell_production

    decision = load_decision(run_name)
    words = tell_decision(decision)
    if not decision.retrain:
        if subject.champion is None:
            words += f" {tell_production(subject.config.name)}"
        return Outcome(run_name, paths.runs / run_name, 0, words)
    logger.info("%s", words)
    return _retrain(subject, decision, paths, run_name, now, train)


def _retrain(
    subject: Subject,
    decision: RetrainDecision,
    paths: ProjectPaths,
    run_name: str,
    now: datetime,
    train: Train,
) -> Outcome:
    """Train with the champion as opponent, written down before and after."""
    from orchestration.flows.decision_folder import record_training
    from orchestration.flows.run_folder import has_trained, load_promotion
    from orchestration.store.attempts import close_attempt, open_attempt, withdraw_attempt

    model_name, training_run = subject.config.name, name_run(subject.config.name)
    attempt = Attempt(
        time=now,
        automatic=decision.trigger is not Trigger.FORCED,
        champion_digest=decision.champion_digest,
        source_digest=subject.source_digest,
        gate_digest=digest_gate(subject.config.gate),
        verdict=None,
    )
    open_attempt(model_name, training_run, attempt)
    record_training(run_name, training_run, None)
    _project(run_name, paths)
    try:
        outcome = train(subject.config, paths, training_run, time.monotonic())
    except (ConfigError, DataError):  # refused before there was a run
        withdraw_attempt(model_name, training_run, attempt)
        raise
    promotion = load_promotion(training_run)
    if promotion is not None and (promotion.verdict is not Verdict.PROMOTED or outcome.promoted):
        close_attempt(model_name, training_run, attempt, promotion.verdict)
        record_training(run_name, training_run, promotion.verdict)
    elif outcome.exit_code == ConfigError.exit_code and not has_trained(training_run):
        withdraw_attempt(model_name, training_run, attempt)
    _project(run_name, paths)
    return outcome


def tell_decision(decision: RetrainDecision) -> str:
    """The decision and its reasons, in words."""
    asked = "" if decision.trigger is Trigger.NONE else f" (asked by: {decision.trigger})"
    title = "A retraining starts" if decision.retrain else "No retraining"
    return f"{title}{asked}. {' '.join(decision.reasons)}"


def _project(run_name: str, paths: ProjectPaths) -> None:
    """Write the run folder of the decision."""
    from orchestration.flows.decision_folder import project_decision

    write_folder(run_name, paths, lambda: project_decision(run_name, paths))
