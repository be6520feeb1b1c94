"""Training: from images to the gate's verdict; with `deploy`, what is promoted is served at the end."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace

from materializers.names import ArtifactName
from materializers.registry import Champion, find_champion
from orchestration.flows.deployment import follow_promotion
from orchestration.flows.extras import check_extras
from orchestration.flows.running.artifacts import load_output
from orchestration.flows.running.runner import (
    LATEST,
    NO_VERDICT,
    Finished,
    FolderFlow,
    Outcome,
    Plan,
    Run,
    run_pipeline,
)
from orchestration.flows.tracking import command_of, track
from orchestration.flows.training_folder import point_latest_at, project_training
from orchestration.session.paths import ProjectPaths
from orchestration.store.lost import expire_lost_images
from pipelines.names import PipelineName
from pipelines.training import training
from report.headline import describe_model, tell_verdict
from report.promises import list_cautions
from report.sections.data import tell_data
from report.story import LeftOut, RunStory
from vision.base.errors import ConfigError, StorageError
from vision.base.wording import join_words
from vision.config.run import RunConfig
from vision.config.training import CHAMPION, CandidateSettings
from vision.data.sources import digest_source
from vision.data.sources.learned import keep_learned
from vision.data.sources.strangers import digest_strangers
from vision.gate.records import Promotion, Verdict
from vision.training.machine import gpu_present, settle_precision
from vision.training.weights import resolve_weights

logger = logging.getLogger(__name__)


class TrainingFlow(FolderFlow[RunStory]):
    """From the data set to a model in production, or to the reason why not."""

    name = PipelineName.TRAINING

    def prepare(self, run: Run) -> Plan:
        """The DAG, with the champion as opponent and the candidates that this machine can train.

        Raises:
            ConfigError: none can be trained, the champion learned from an added folder that the config does
                not name any more, or a package is asked for and not installed.
            DataError: the source has no usable images.
        """
        check_extras(run.config)
        champion = find_champion(run.config.name)
        check_teacher(run.config, champion)
        config = digest_stranger_folders(run.config)
        machine = resolve_candidates(keep_learned(config, champion.additions() if champion else ()))
        source = find_source(run, machine.config)
        arguments = machine.config, *source, champion
        return Plan(training, arguments, machine.config, source[0], machine.left_out, machine.weights)

    def project(self, run_name: str, paths: ProjectPaths) -> RunStory:
        """Write summary.json and report.html."""
        return project_training(run_name, paths)

    def tell(self, done: Finished[RunStory]) -> Outcome:
        """The gate's verdict, and what the model can do."""
        run, story = done.run, done.written
        promotion = story.promotion if story else load_output(run.name, "promote", ArtifactName.PROMOTION)
        if promotion is None:
            return run.outcome(1, NO_VERDICT)
        return _track(tell_promotion(run, promotion, story), run, promotion, story)

    def carry_out(self, run: Run) -> Outcome:
        """Train, point `runs/latest` at the run, and serve what was promoted where the config says so."""
        outcome = run_pipeline(self, run)
        if outcome.failure is not None:
            return _tell_latest(outcome)
        self._point_latest(run)
        return follow_promotion(outcome, run)

    def _point_latest(self, run: Run) -> None:
        if not (run.folder / "summary.json").is_file():  # the last file that is written
            return
        try:
            point_latest_at(run.folder)
        except StorageError as error:
            logger.warning("runs/latest does not lead to this run: %s", error)


def _track(outcome: Outcome, run: Run, promotion: Promotion, story: RunStory | None) -> Outcome:
    """Write the training into MLflow where that is asked for; that it cannot be written hides no verdict."""
    if run.config.tracking is None:
        return outcome
    if story is None:
        return replace(outcome, cautions=(*outcome.cautions, "MLflow has nothing of this run either."))
    try:
        track(story, promotion, run.paths)
    except StorageError as error:
        return replace(outcome, cautions=(*outcome.cautions, str(error)))
    return replace(outcome, sentences=(*outcome.sentences, f"MLflow: {command_of(run.paths)}"))


def _tell_latest(outcome: Outcome) -> Outcome:
    """That of a failed run, which says what `runs/latest` leads to still."""
    latest = outcome.folder.parent / LATEST
    if not latest.exists():
        return outcome
    told = f"runs/latest still leads to {latest.resolve().name}, the last run that ended with a model."
    return replace(outcome, cautions=(*outcome.cautions, told))


@dataclass(frozen=True)
class Resolved:
    """A configuration on this machine.

    Attributes:
        config: with weights as files and digests, and without the candidates that lack theirs.
        left_out: those candidates, and why.
        weights: candidate that is trained -> where its weights come from.
    """

    config: RunConfig
    left_out: tuple[LeftOut, ...]
    weights: dict[str, str]


def find_source(run: Run, config: RunConfig) -> tuple[str, str, str]:
    """Digest of the data set, folders of data and of decoded images, as every DAG that ingests takes them.

    Decoded images that are gone from the disk are made again.

    Raises:
        DataError: the source has no usable images.
    """
    logger.info("Reading the source ...")
    digest = digest_source(config.dataset, run.paths.data)
    expire_lost_images(digest, config.images)
    return digest, run.paths.relative(run.paths.data), run.paths.relative(run.paths.images)


def check_teacher(config: RunConfig, champion: Champion | None) -> None:
    """Refuse students of the champion where there is none.

    Raises:
        ConfigError: a candidate learns from the champion, and no model of this name is in production.
    """
    students = [name for name, each in config.training.candidates.items() if each.distil_from == CHAMPION]
    if students and champion is None:
        raise ConfigError(
            f"training.candidates.{students[0]}.distil_from is champion, but no model {config.name} is in "
            "production. Train one first, or name another candidate as teacher."
        )


def digest_stranger_folders(config: RunConfig) -> RunConfig:
    """The configuration with the digest of every folder of strangers.

    Raises:
        SourceError: a folder is missing, or holds no usable image.
    """
    folders = tuple(
        each.model_copy(update={"digest": digest_strangers(each.path)}) for each in config.unknowns.strangers
    )
    return config.model_copy(update={"unknowns": config.unknowns.model_copy(update={"strangers": folders})})


def resolve_candidates(config: RunConfig) -> Resolved:
    """The configuration with weights as files and digests, and the candidates left out for lack of them.

    Raises:
        ConfigError: nothing is left to train, or weights that were asked for by name or path are missing.
    """
    kept: dict[str, CandidateSettings] = {}
    weights: dict[str, str] = {}
    left_out: list[LeftOut] = []
    offline: list[str] = []
    gpu = gpu_present()
    for name, settings in config.training.candidates.items():
        resolved = resolve_weights(settings, config.images.size)
        if resolved.settings is None:
            left_out.append(LeftOut(name, resolved.reason))
            if resolved.offline:
                offline.append(name)
            else:
                logger.warning("%s sits this one out: %s", name, resolved.reason)
        else:
            kept[name] = settle_precision(resolved.settings, gpu=gpu)
            weights[name] = resolved.reason
    for each in find_orphans(kept):
        logger.warning("%s sits this one out: %s", each.name, each.reason)
        left_out.append(each)
        del kept[each.name], weights[each.name]
    if offline:
        sit = "sits" if len(offline) == 1 else "sit"
        logger.info("No network: %s %s this one out.", join_words(offline), sit)
    if not kept:
        reasons = "; ".join(f"{each.name}: {each.reason}" for each in left_out)
        raise ConfigError(f"No candidate can be trained on this machine. {reasons}")
    training = config.training.model_copy(update={"candidates": kept})
    return Resolved(config.model_copy(update={"training": training}), tuple(left_out), weights)


def find_orphans(kept: Mapping[str, CandidateSettings]) -> list[LeftOut]:
    """Students whose teacher is not among the candidates that are trained."""
    return [
        LeftOut(name, f"its teacher {each.distil_from} cannot be trained")
        for name, each in kept.items()
        if each.distil_from not in (None, CHAMPION, *kept)
    ]


def tell_promotion(run: Run, promotion: Promotion, story: RunStory | None) -> Outcome:
    """The outcome of a training that the gate judged; without its story, the verdict alone."""
    code = 3 if promotion.verdict is Verdict.REFUSED else 0
    promoted = promotion.verdict is Verdict.PROMOTED
    if story is None:
        told = f"{promotion.verdict}: {' '.join(promotion.reasons)}"
        return run.outcome(code, told, promoted=promoted)
    return run.outcome(
        code,
        tell_verdict(story, promotion),
        promoted=promoted,
        sentences=describe_model(story),
        cautions=(*tell_data(story), *list_cautions(story)),
    )


FLOW = TrainingFlow()
