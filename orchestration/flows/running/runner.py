"""One runner for every pipeline: check, lock, reap killed runs, run the DAG, record, write the folder, tell.

What differs from pipeline to pipeline is a `Flow` in a file of its own beside this one, found by its name.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from orchestration.flows.running import stack_checks, stacks
from orchestration.flows.running.failures import catch_failure, database_errors, tell_error
from orchestration.session.environment import import_quickly, prepare_environment
from orchestration.session.estimate import Estimate
from orchestration.session.paths import ProjectPaths
from orchestration.session.terminal import open_terminal, show_run
from orchestration.session.view import RunView
from orchestration.store.durations import read_durations
from pipelines.names import PipelineName
from vision.base.errors import ConfigError, StorageError, TaxonError
from vision.base.files import storage_errors
from vision.base.lock import RunLock, is_held
from vision.config.run import RunConfig
from vision.config.training import Strategy
from vision.config.work import EXECUTOR_KEY
from vision.data.sources import check_source

if TYPE_CHECKING:  # ZenML must not be imported before its environment is prepared
    from rich.console import Console
    from zenml.pipelines.pipeline_definition import Pipeline

    from report.story import LeftOut

logger = logging.getLogger(__name__)

READS_IMAGES = (
    PipelineName.TRAINING,
    PipelineName.RETRAINING,
    PipelineName.TUNING,
    PipelineName.FINETUNE_COMPARISON,
)
LATEST = "latest"
NO_VERDICT = "The run ended without a verdict; its log says why."

Written = TypeVar("Written")


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
        following: commands to type next, with NAME for the config, and what each is for.
        failure: the exception that ended it, if one did.
    """

    run_name: str
    folder: Path
    exit_code: int
    message: str
    promoted: bool = False
    sentences: tuple[str, ...] = ()
    cautions: tuple[str, ...] = ()
    following: tuple[tuple[str, str], ...] = ()
    failure: BaseException | None = field(default=None, compare=False)

    @classmethod
    def of_failure(cls, run_name: str, folder: Path, failure: BaseException) -> Outcome:
        """That of a run which an exception ended."""
        code = failure.exit_code if isinstance(failure, TaxonError) else 1
        return cls(run_name, folder, code, tell_error(failure), failure=failure)


@dataclass(frozen=True)
class Run:
    """A run that is about to start, in a project that this process holds.

    Attributes:
        name: of the run and its folder.
        config: as it was read.
        paths: the project.
        cached: finished steps of earlier runs are reused.
        stack: of ZenML's, on which DAGs that train are run; None: in this process.
        started: when it began, by the monotonic clock.
    """

    name: str
    config: RunConfig
    paths: ProjectPaths
    cached: bool = True
    stack: str | None = None
    started: float = field(default_factory=time.monotonic)

    @property
    def folder(self) -> Path:
        """Where its summary and its report go."""
        return self.paths.runs / self.name

    def outcome(self, exit_code: int, message: str, **more: Any) -> Outcome:
        """How this run ended."""
        return Outcome(self.name, self.folder, exit_code, message, **more)

    def next(self, name: str, config: RunConfig | None = None) -> Run:
        """A run that follows this one under the same lock."""
        return Run(name, config or self.config, self.paths, self.cached, self.stack)


@dataclass(frozen=True)
class Plan:
    """A DAG with its arguments, and what is recorded with its run.

    Attributes:
        pipeline: the DAG.
        arguments: what it is called with.
        config: as it runs: weights resolved, folders added.
        source_digest: of the data set, where one is read.
        left_out: candidates that this machine cannot train.
        weights: candidate -> where its weights come from.
    """

    pipeline: Pipeline
    arguments: tuple[Any, ...]
    config: RunConfig
    source_digest: str = ""
    left_out: tuple[LeftOut, ...] = ()
    weights: Mapping[str, str] = field(default_factory=dict)

    @property
    def by_epochs(self) -> tuple[str, ...]:
        """Steps that train by epochs, whose time is not known beforehand."""
        candidates = self.config.training.candidates
        return tuple(f"train_{name}" for name, each in candidates.items() if each.strategy != Strategy.FROZEN)


@dataclass(frozen=True)
class Finished(Generic[Written]):
    """A run whose DAG came to its end; `written` is None where its folder could not be written."""

    run: Run
    plan: Plan
    written: Written | None


class Flow(ABC):
    """What can be asked for by name; the module of the same name holds one as FLOW."""

    name: ClassVar[str]

    @abstractmethod
    def carry_out(self, run: Run) -> Outcome:
        """Do the run and what follows it.

        Raises:
            TaxonError: what makes a run impossible; there is none then.
        """


class PipelineFlow(Flow, Generic[Written]):
    """What differs from one pipeline to the next."""

    @abstractmethod
    def prepare(self, run: Run) -> Plan:
        """The DAG and its arguments.

        Raises:
            TaxonError: what makes a run impossible; there is none then.
        """

    @abstractmethod
    def tell(self, done: Finished[Written]) -> Outcome:
        """How a run ended that did not fail."""

    def carry_out(self, run: Run) -> Outcome:
        """Do the run and what follows it; raises as `prepare`."""
        return run_pipeline(self, run)


class FolderFlow(PipelineFlow[Written]):
    """A pipeline whose runs leave a folder."""

    @abstractmethod
    def project(self, run_name: str, paths: ProjectPaths) -> Written:
        """Write `runs/<run_name>/` from the artifact store; what it was written from.

        Raises:
            ConfigError: there is no such run.
            StorageError: the folder cannot be written, or an artifact of a run that did not fail is gone.
        """


def launch(
    name: str, config: RunConfig, paths: ProjectPaths, *, cached: bool = True, stack: str | None = None
) -> Outcome:
    """Run a pipeline, or `rollback`, in a project that nobody else uses meanwhile.

    Args:
        name: of the flow.
        config: as it was read.
        paths: the project.
        cached: reuse finished steps of earlier runs.
        stack: of ZenML's, on which the steps run; None: in this process.

    Raises:
        SourceError: a folder of images is not there.
        RunLockedError: another run is going in this folder.
        StorageError: ZenML's database cannot be written: the disk is full or read-only.
        TaxonError: what makes the run impossible, before there is one.
    """
    started, run_name = time.monotonic(), name_run(name, config)
    if name in READS_IMAGES:
        check_source(config.with_new_images().dataset if name == PipelineName.RETRAINING else config.dataset)
    with guard_run(run_name, paths):
        if stack:
            stack_checks.check_stack(stack, config)
        return load_flow(name).carry_out(Run(run_name, config, paths, cached, stack, started))


def load_flow(name: str) -> Flow:
    """The flow of a pipeline or of `rollback`; imports ZenML, whose environment must be prepared."""
    with import_quickly():
        flow: Flow = import_module(f"orchestration.flows.{name}").FLOW
    return flow


def name_run(flow: str, config: RunConfig) -> str:
    """A run's name: data set, flow (a training bears none), time in UTC to the millisecond."""
    stem = config.name if flow == PipelineName.TRAINING else f"{config.name}-{flow}"
    return f"{stem}-{datetime.now(UTC):%Y%m%d-%H%M%S-%f}"[:-3]


@contextmanager
def guard_run(run_name: str, paths: ProjectPaths) -> Iterator[None]:
    """The project for one run alone: locked, runs that were killed marked failed, temporary files its own.

    Raises:
        RunLockedError: another run is going in this folder; ZenML is not imported to learn it.
        StorageError: ZenML's database cannot be written: the disk is full or read-only.
    """
    prepare_environment(paths)
    with RunLock(paths.lock, run_name), database_errors(paths), _scratch(paths):
        with import_quickly():
            from zenml.integrations.registry import integration_registry

        # ZenML would import scikit-learn, pandas and BentoML for materializers that no artifact of ours uses.
        integration_registry.activate_integrations = lambda: None  # type: ignore[method-assign]
        with open_terminal():
            _settle_killed(paths)
            yield


def _settle_killed(paths: ProjectPaths) -> None:
    """Mark runs that were killed failed, and write the folder that a killed run did not come to write."""
    from orchestration.store.reaper import find_unwritten, reap_dead_runs

    for dead in reap_dead_runs():
        logger.warning(
            "Run %s was killed before it ended, or goes on in the project that this one was copied from; "
            "here it is marked failed. Its finished steps are used again.",
            dead,
        )
    for unwritten in find_unwritten(paths):
        _project_dead(unwritten, paths)


def run_pipeline(flow: PipelineFlow[Any], run: Run) -> Outcome:
    """Run a flow's DAG, record it and write its folder, in a project that this process holds."""
    from orchestration.store.lost import expire_lost_steps

    plan = flow.prepare(run)
    expire_lost_steps()
    failure = run_known(run, plan)
    record_run(run, plan, failure)
    written = write_folder(flow, run) if isinstance(flow, FolderFlow) else None
    if failure is not None:
        return Outcome.of_failure(run.name, run.folder, failure)
    return flow.tell(Finished(run, plan, written))


def run_known(run: Run, plan: Plan) -> Exception | None:
    """Run a DAG; the exception that ended it, or None. One that ended it before ZenML knew it is raised."""
    from orchestration.flows.running.artifacts import run_exists

    stack = run.stack if plan.pipeline.name in READS_IMAGES else None
    pipeline = plan.pipeline.with_options(
        run_name=run.name,
        enable_cache=None if run.cached else False,
        extra={EXECUTOR_KEY: plan.config.executor.model_dump(mode="json")},
        **(stacks.options_of(plan.pipeline.name, plan.config) if stack else {}),
    )
    call: Callable[[], object] = partial(pipeline, *plan.arguments)
    if stack:
        call = partial(stacks.run_on_stack, stack, run.name, call, lambda: len(pipeline.invocations))
    with show_run(lambda console: _view(run, plan, pipeline, console)):
        failure = catch_failure(run.paths, call)
    if failure is not None and not run_exists(run.name):
        raise failure
    return failure


def _view(run: Run, plan: Plan, pipeline: Pipeline, console: Console) -> RunView:
    estimate = Estimate(read_durations(run.paths, run.name), plan.by_epochs)
    return RunView(console, lambda: tuple(pipeline.invocations), estimate)


def record_run(run: Run, plan: Plan, failure: Exception | None) -> None:
    """Store with a run what ZenML does not know; that it cannot be stored is told, and stops nothing."""
    from orchestration.flows.running.artifacts import record_circumstances

    told, seconds = tell_error(failure) if failure else None, time.monotonic() - run.started
    try:
        with database_errors(run.paths):
            record_circumstances(run.name, plan.config, plan.left_out, told, seconds, plan.weights)
    except StorageError as error:
        logger.warning("The report of run %s lacks its seconds and versions: %s", run.name, error)


def write_folder(flow: FolderFlow[Written], run: Run) -> Written | None:
    """Write a run folder; that it cannot be written is told, gives None, and hides no verdict."""
    try:
        with database_errors(run.paths), storage_errors(run.folder):
            return flow.project(run.name, run.paths)
    except Exception as error:
        foreseen = isinstance(error, TaxonError)
        logger.log(
            logging.WARNING if foreseen else logging.ERROR,
            "The run folder is not whole: %s When that is mended, %s writes it again.",
            error,
            f"python run.py report --run {run.name}",
            exc_info=not foreseen,
        )
        return None


def project_again(run_name: str, paths: ProjectPaths) -> Path:
    """Write the folder of a run of any pipeline; `latest` is the last training that ended with a model.

    Raises:
        ConfigError: there is no such run, it is still going, or its pipeline's runs have no folder.
        StorageError: the folder cannot be written, or an artifact of a run that did not fail is gone.
    """
    from orchestration.flows.running.artifacts import find_newest_training, find_run

    run = find_newest_training() if run_name == LATEST else find_run(run_name)
    if not run.status.is_finished and is_held(paths.lock):
        raise ConfigError(
            f"Run {run.name} is still going. Expected one that has ended, for there is no verdict yet. Wait "
            "for its end, when it writes its own folder, or name another with --run"
        )
    name = run.pipeline.name if run.pipeline else ""
    flow = load_flow(name) if name in tuple(PipelineName) else None
    if not isinstance(flow, FolderFlow):
        raise ConfigError(
            f"Run {run.name} is of the pipeline {name}, whose runs have no folder. Expected a run of "
            "training, monitoring or retraining (python run.py runs lists them). Its steps are in the "
            "dashboard (python run.py dashboard); what answers: python run.py service status"
        )
    flow.project(run.name, paths)
    return paths.runs / run.name


def _project_dead(run_name: str, paths: ProjectPaths) -> None:
    """The run folder of a killed run, as far as it came; that it cannot be written stops no other run."""
    try:
        project_again(run_name, paths)
    except TaxonError as error:
        logger.warning("Run %s has no run folder: %s", run_name, error)
    except Exception:
        logger.exception("Run %s has no run folder.", run_name)


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
