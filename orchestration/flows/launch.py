"""A run from its configuration to its folder: lock, reap the dead, resolve the machine, run, project."""

from __future__ import annotations

import logging
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from orchestration.session.environment import prepare_environment
from orchestration.session.paths import ProjectPaths
from orchestration.session.terminal import spare_terminal
from report.story import LeftOut
from vision.base.errors import ConfigError, StorageError, TaxonError
from vision.base.files import storage_errors
from vision.base.home import project_home
from vision.base.lock import RunLock
from vision.config.run import RunConfig
from vision.config.training import CandidateSettings
from vision.data.sources import digest_source
from vision.data.sources.learned import keep_learned
from vision.data.store import is_whole
from vision.gate.records import Verdict
from vision.training.machine import gpu_present, settle_precision
from vision.training.weights import resolve_weights

if TYPE_CHECKING:  # ZenML must not be imported before its environment is prepared
    from materializers.registry import Champion

logger = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes:
        run_name: name of the run and of its folder.
        folder: where summary.json and report.html are, or would be if they could have been written.
        exit_code: 0 done, 1 failed, 2 config or data wrong, 3 a gate refused.
        message: what to tell the user.
        promoted: a training's bundle went into production.
        sentences: what the judged model can do.
        cautions: what to know before these figures are trusted.
    """

    run_name: str
    folder: Path
    exit_code: int
    message: str
    promoted: bool = False
    sentences: tuple[str, ...] = ()
    cautions: tuple[str, ...] = ()

    @classmethod
    def of_failure(cls, run_name: str, folder: Path, failure: BaseException) -> Outcome:
        """That of a run which an exception ended."""
        code = failure.exit_code if isinstance(failure, TaxonError) else 1
        return cls(run_name, folder, code, tell_error(failure))


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


def launch_training(config: RunConfig, paths: ProjectPaths) -> Outcome:
    """Run the training pipeline and write its run folder.

    Raises:
        RunLockedError: another run is going in this folder.
        ConfigError: no candidate can be trained on this machine.
        DataError: the source has no usable images.
        StorageError: ZenML's database cannot be written: the disk is full or read-only.
    """
    started = time.monotonic()
    run_name = name_run(config.name)
    with guard_run(run_name, paths):
        return train_in_lock(config, paths, run_name, started)


def name_run(stem: str) -> str:
    """A run's name: the stem and the time in UTC to the millisecond."""
    return f"{stem}-{datetime.now(UTC):%Y%m%d-%H%M%S-%f}"[:-3]


@contextmanager
def guard_run(run_name: str, paths: ProjectPaths) -> Iterator[None]:
    """The project for one run alone: locked, runs that were killed marked failed, temporary files its own.

    Raises:
        RunLockedError: another run is going in this folder.
        StorageError: ZenML's database cannot be written: the disk is full or read-only.
    """
    prepare_environment(paths)
    from orchestration.store.reaper import find_unwritten, reap_dead_runs

    with database_errors(paths), RunLock(paths.lock, run_name), _scratch(paths):
        for dead in reap_dead_runs():
            logger.warning(
                "Run %s was killed, or it goes on in the project that this one was copied from; here it is "
                "marked failed. Its finished steps are reused.",
                dead,
            )
        for run in find_unwritten(paths):
            _project_dead(run, paths)
        yield


def train_in_lock(config: RunConfig, paths: ProjectPaths, run_name: str, started: float) -> Outcome:
    """Run the training pipeline and write its run folder, in a project that this process holds.

    With `deploy`, what is promoted is served at the end.

    Args:
        config: as it was read.
        paths: the project.
        run_name: of the run to be made.
        started: when it began, by the monotonic clock.

    Raises:
        ConfigError: no candidate can be trained on this machine, or the champion learned from an added folder
            that the config does not name any more.
        DataError: the source has no usable images.
        StorageError: ZenML's database cannot be written: the disk is full or read-only.
    """
    from materializers.registry import find_champion
    from orchestration.flows.deployment import follow_promotion

    champion = find_champion(config.name)
    machine = resolve_candidates(keep_learned(config, champion.additions() if champion else ()))
    resolved = machine.config
    logger.info("Reading the source ...")
    source_digest = digest_source(resolved.dataset, paths.data)
    run_pipeline = _prepare_pipeline(resolved, paths, run_name, source_digest, champion)
    failure = run_known(run_name, paths, run_pipeline)
    record_run(run_name, paths, resolved, failure, started, machine)
    return follow_promotion(_project(run_name, paths, failure), config, paths)


def resolve_candidates(config: RunConfig) -> Resolved:
    """The configuration with weights as files and digests, and the candidates left out for lack of them.

    Raises:
        ConfigError: nothing is left to train, or weights that were asked for by name or path are missing.
    """
    kept: dict[str, CandidateSettings] = {}
    weights: dict[str, str] = {}
    left_out: list[LeftOut] = []
    gpu = gpu_present()
    for name, settings in config.training.candidates.items():
        resolved = resolve_weights(settings, config.images.size)
        if resolved.settings is None:
            left_out.append(LeftOut(name, resolved.reason))
            logger.warning("Candidate %s is LEFT OUT of this run: %s", name, resolved.reason)
        else:
            kept[name] = settle_precision(resolved.settings, gpu=gpu)
            weights[name] = resolved.reason
    if not kept:
        reasons = "; ".join(f"{each.name}: {each.reason}" for each in left_out)
        raise ConfigError(f"No candidate can be trained on this machine. {reasons}")
    training = config.training.model_copy(update={"candidates": kept})
    return Resolved(config.model_copy(update={"training": training}), tuple(left_out), weights)


def _prepare_pipeline(
    config: RunConfig, paths: ProjectPaths, run_name: str, source_digest: str, champion: Champion | None
) -> Callable[[], object]:
    """What runs the DAG."""
    from pipelines.training import training

    decode_again = _decoded_images_are_lost(config, source_digest)
    steps = {"ingest": {"enable_cache": False}} if decode_again else {}
    pipeline = training.with_options(run_name=run_name, steps=steps)
    places = paths.relative(paths.data), paths.relative(paths.images)
    return lambda: pipeline(config, source_digest, *places, champion)


def run_known(run_name: str, paths: ProjectPaths, run_pipeline: Callable[[], object]) -> Exception | None:
    """Run a DAG; the exception that ended it, or None. One that ended it before ZenML knew it is raised."""
    from orchestration.flows.run_folder import run_exists

    failure = catch_failure(paths, run_pipeline)
    if failure is not None and not run_exists(run_name):
        raise failure
    return failure


def record_run(
    run_name: str,
    paths: ProjectPaths,
    config: RunConfig,
    failure: Exception | None,
    started: float,
    machine: Resolved | None = None,
) -> None:
    """Store with a run what only the launcher knows; that it cannot be stored is told, and stops nothing."""
    from orchestration.flows.run_folder import record_circumstances

    words = None if failure is None else tell_error(failure)
    left_out, weights = (machine.left_out, machine.weights) if machine else ((), None)
    try:
        with database_errors(paths):
            record_circumstances(run_name, config, left_out, words, time.monotonic() - started, weights)
    except StorageError as error:
        logger.warning("The report of run %s lacks its seconds and versions: %s", run_name, error)


def write_folder(run_name: str, paths: ProjectPaths, project: Callable[[], T]) -> T | None:
    """Write a run folder; that it cannot be written is told, gives None, and hides no verdict."""
    try:
        with database_errors(paths), storage_errors(paths.runs / run_name):
            return project()
    except Exception as error:
        foreseen = isinstance(error, TaxonError)
        command = f"python run.py report --run {run_name}"
        logger.log(
            logging.WARNING if foreseen else logging.ERROR,
            "The run folder is not whole: %s When that is mended, %s writes it again.",
            error,
            command,
            exc_info=not foreseen,
        )
        return None


def tell_error(error: BaseException) -> str:
    """An exception in one line: its class and its words."""
    return f"{type(error).__name__}: {error}"


def catch_failure(paths: ProjectPaths, run_pipeline: Callable[[], object]) -> Exception | None:
    """Run a DAG; the exception that ended it, or None.

    A foreseen one is not printed: whoever asked tells it. Of any other the traceback is.
    """

    def foreseen(error: BaseException) -> bool:
        return isinstance(error, TaxonError) or _find_cause(error, paths) is not None

    try:
        with database_errors(paths), spare_terminal(foreseen):
            run_pipeline()
    except TaxonError as error:
        return error
    except Exception as error:
        logger.exception("The run failed.")
        return error
    return None


def _project(run_name: str, paths: ProjectPaths, failure: Exception | None) -> Outcome:
    """Write the run folder, and tell how the run ended; of one that cannot be written, the verdict alone."""
    from orchestration.flows.run_folder import load_promotion, point_latest_at, project_run
    from report.headline import describe_model, tell_verdict
    from report.promises import list_cautions

    folder = paths.runs / run_name
    written = write_folder(run_name, paths, lambda: project_run(run_name, paths))
    if written is not None:
        try:
            point_latest_at(folder)
        except StorageError as error:
            logger.warning("runs/latest does not lead to this run: %s", error)
    if failure is not None:
        return Outcome.of_failure(run_name, folder, failure)
    story = None if written is None else written[1]
    promotion = load_promotion(run_name) if story is None else story.promotion
    if promotion is None:
        return Outcome(run_name, folder, 1, "The run ended without a verdict; its log says why.")
    code = 3 if promotion.verdict is Verdict.REFUSED else 0
    promoted = promotion.verdict is Verdict.PROMOTED
    if story is None:
        told = f"{promotion.verdict}: {' '.join(promotion.reasons)}"
        return Outcome(run_name, folder, code, told, promoted)
    told = tell_verdict(story, promotion)
    sentences = describe_model(story.test) if story.test else ()
    return Outcome(run_name, folder, code, told, promoted, sentences, list_cautions(story))


def _project_dead(run_name: str, paths: ProjectPaths) -> None:
    """The run folder of a killed run, as far as it came; that it cannot be written stops no other run."""
    from orchestration.flows.projections import project_any

    try:
        project_any(run_name, paths)
    except TaxonError as error:
        logger.warning("Run %s has no run folder: %s", run_name, error)
    except Exception:
        logger.exception("Run %s has no run folder.", run_name)


def _decoded_images_are_lost(config: RunConfig, source_digest: str) -> bool:
    """Whether an earlier run's decoded images of this very source are gone, half there or altered.

    The cache would then hand on a reference to nothing: ingest must run again, and gives the same hash.
    """
    from zenml.client import Client

    from materializers.names import ArtifactName

    wanted = (source_digest, config.images.size, config.images.resize.value)
    versions = Client().list_artifact_versions(artifact=ArtifactName.DATASET.value, size=200, hydrate=True)
    of_this_source = {
        project_home() / str(version.run_metadata.get("path"))
        for version in versions
        if tuple(version.run_metadata.get(key) for key in ("source_digest", "image_size", "resize")) == wanted
    }
    return not all(is_whole(path) for path in of_this_source)


@contextmanager
def database_errors(paths: ProjectPaths) -> Iterator[None]:
    """Turn SQLite's word that the disk is full or read-only, and all its SQL, into one sentence."""
    from sqlalchemy.exc import OperationalError

    try:
        yield
    except OperationalError as error:
        cause = _find_cause(error, paths)
        if cause is None:
            raise
        raise cause from error


def _find_cause(error: BaseException, paths: ProjectPaths) -> StorageError | None:
    """What SQLite's word means for the user: the disk is full or read-only; None of any other exception."""
    from sqlalchemy.exc import OperationalError

    if not isinstance(error, OperationalError):
        return None
    told = str(error)
    if "disk is full" in told:
        return StorageError(
            f"{paths.zenml}: no space is left on the disk for ZenML's database; free some, for example "
            "with: python run.py clean --keep 3"
        )
    if "readonly database" in told:
        return StorageError(
            f"{paths.zenml}: ZenML's database cannot be written; make the folder and its files writable."
        )
    return None


@contextmanager
def _scratch(paths: ProjectPaths) -> Iterator[None]:
    """Temporary files of steps lie in the state folder, and go with the run, or with the next one."""
    folder = paths.scratch
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    former, tempfile.tempdir = tempfile.tempdir, str(folder)
    try:
        yield
    finally:
        tempfile.tempdir = former
        shutil.rmtree(folder, ignore_errors=True)
