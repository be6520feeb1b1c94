"""Decisions on retraining on a real ZenML store, with a training of seconds whose verdict is given.

python -m tests.orchestration.flows.retraining_toy FILE        what was seen goes there as JSON
"""

import hashlib
import json
import os
import signal
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

from orchestration.session.environment import prepare_environment
from orchestration.session.paths import ProjectPaths

PATHS = ProjectPaths.of(Path(__file__).resolve().parents[3])
prepare_environment(PATHS)

from zenml import pipeline, step  # noqa: E402  the environment comes first
from zenml.client import Client  # noqa: E402
from zenml.enums import ExecutionMode  # noqa: E402

from materializers.names import ArtifactName  # noqa: E402
from materializers.registry import Champion, find_champion  # noqa: E402
from orchestration.flows.retraining import RetrainingFlow  # noqa: E402
from orchestration.flows.running.failures import catch_failure  # noqa: E402
from orchestration.flows.running.runner import Flow, Outcome, Run, guard_run, name_run, project_again  # noqa: E402
from orchestration.store.attempts import read_attempts  # noqa: E402
from orchestration.store.disk import clean  # noqa: E402
from orchestration.store.history import list_runs  # noqa: E402
from pipelines.caching import keyed  # noqa: E402
from steps.data.ingest import ingest  # noqa: E402
from steps.data.split import split  # noqa: E402
from steps.gate.register import register  # noqa: E402
from tests.end_to_end.project import draw_image  # noqa: E402
from vision.base.errors import ConfigError, TaxonError, TooFewImagesError  # noqa: E402
from vision.bundle.records import Bundle  # noqa: E402
from vision.config.run import RunConfig  # noqa: E402
from vision.data.records import Splits  # noqa: E402
from vision.data.sources import digest_source  # noqa: E402
from vision.drift.records import MonitoredWindow  # noqa: E402
from vision.gate.records import Promotion, Verdict  # noqa: E402

Train = Callable[[RunConfig, ProjectPaths, str], Outcome]
COLOURS = {"amber": (230, 170, 40), "cobalt": (40, 70, 200)}
HOME = PATHS.state.parent
START = datetime(
    2036, 1, 1, tzinfo=UTC
)  # after the champion's registration, whatever the machine's clock says
HOUR = timedelta(hours=1)
ENDINGS = {Verdict.PROMOTED: 0, Verdict.KEPT: 0, Verdict.REFUSED: 3}


@step
def validate(proposed: Splits) -> Annotated[Splits, ArtifactName.SPLITS]:
    """As proposed."""
    return proposed


@step
def assemble(splits: Splits) -> Annotated[Bundle, ArtifactName.BUNDLE]:
    """A bundle that depends on the images alone."""
    text = hashlib.sha256("".join(splits.digests).encode()).hexdigest()
    folder = PATHS.scratch / text
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "contract.json").write_text(text, encoding="utf-8")
    return Bundle(root=folder, files={"contract.json": hashlib.sha256(text.encode()).hexdigest()}, name="toy")


@step(enable_cache=False)
def promote(bundle: Bundle, verdict: Verdict) -> Annotated[Promotion, ArtifactName.PROMOTION]:
    """The verdict that the test asks for."""
    return Promotion(
        verdict=verdict, bundle_digest=bundle.digest, champion_digest=None, checks=(), reasons=()
    )


@pipeline(name="training")
def training(config: RunConfig, source_digest: str, champion: Champion | None, verdict: Verdict) -> None:
    """The flow in small, with the real steps where images are read and models registered."""
    places = PATHS.relative(PATHS.data), PATHS.relative(PATHS.images)
    manifest, _ = keyed(ingest)(config.dataset, config.images, source_digest, *places)
    proposed = keyed(split)(manifest, config.split, config.seed, champion.splits() if champion else None)
    splits = validate(proposed)
    bundle = assemble(splits)
    register(config.name, bundle, splits, promote(bundle, verdict), manifest)


@step
def monitor(window: MonitoredWindow) -> Annotated[MonitoredWindow, ArtifactName.MONITORED_WINDOW]:
    """The window that the test asks for."""
    return window


@pipeline(name="monitoring", enable_cache=False)
def monitoring(window: MonitoredWindow) -> None:
    """The end of a monitoring run."""
    monitor(window)


def watch(number: int) -> None:
    """The champion's window of that number drifted, after the retrainings that were judged before."""
    champion = find_champion("toy")
    assert champion is not None
    window = MonitoredWindow(
        model_name="toy",
        model_digest=champion.digest,
        num_answers=100,
        first_number=1 + 100 * number,
        last_number=100 + 100 * number,
        start=START + (90 + number) * HOUR,
        end=START + (90.5 + number) * HOUR,
        status="drift",
        cause="capture",
        verified=True,
    )
    monitoring.with_options(run_name=f"watched-{number}", enable_artifact_visualization=False)(window)


def ask_monitoring() -> dict[str, Any]:
    """How many windows of the champion there are, the one that monitoring continues, its DAG's order."""
    from orchestration.flows.monitoring import FLOW
    from orchestration.store.windows import find_windows
    from pipelines import monitoring as dag

    champion = find_champion("toy")
    assert champion is not None
    plan = FLOW.prepare(Run("never-run", configure(), PATHS))
    previous = plan.arguments[3]
    dag.monitoring.prepare(plan.config, "sqlite:///never-read.db", *plan.arguments[2:])
    return {
        "windows": [len(find_windows("toy", 9, each)) for each in (None, champion.digest, "0" * 64)],
        "previous": previous and previous.first_number,
        "order": {name: sorted(each.upstream_steps) for name, each in dag.monitoring.invocations.items()},
    }


class Training(Flow):
    """What a retraining runs in place of the real training."""

    def __init__(self, carry_out: Callable[[RunConfig, ProjectPaths, str], Outcome]) -> None:
        self._do = carry_out

    def carry_out(self, run: Run) -> Outcome:
        return self._do(run.config, run.paths, run.name)


def launch_retraining(config: RunConfig, now: datetime, train: Train) -> Outcome:
    """A retraining at a time."""
    run_name = name_run("retraining", config)
    with guard_run(run_name, PATHS):
        return RetrainingFlow(Training(train), now).carry_out(Run(run_name, config, PATHS))


def ending(verdict: Verdict) -> Train:
    """A training that ends with a verdict."""

    def train(config: RunConfig, paths: ProjectPaths, run_name: str) -> Outcome:
        source_digest = digest_source(config.dataset, paths.data)
        training.with_options(run_name=run_name, enable_artifact_visualization=False)(
            config, source_digest, find_champion(config.name), verdict
        )
        promoted = verdict is Verdict.PROMOTED
        return Outcome(run_name, paths.runs / run_name, ENDINGS[verdict], verdict.value, promoted)

    return train


def kill(_config: RunConfig, _paths: ProjectPaths, _run_name: str) -> Outcome:
    """A training in the middle of which the machine goes down."""
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def never(_config: RunConfig, _paths: ProjectPaths, _run_name: str) -> Outcome:
    """A training that must not start."""
    raise AssertionError


@step
def train_cnn(splits: Splits) -> Annotated[str, "trained"]:
    """A network."""
    return splits.digests[0]


@step(enable_cache=False)
def refuse(_before: Splits | str, *, foreseen: bool) -> None:
    """Data that are refused, or a crash."""
    raise TooFewImagesError("Class cobalt has 1 image.") if foreseen else RuntimeError("out of order")


@pipeline(name="training", execution_mode=ExecutionMode.FAIL_FAST)  # as the real one
def broken_training(config: RunConfig, source_digest: str, trains: bool, foreseen: bool) -> None:
    """The flow up to a step that fails, before a network is trained or after."""
    places = PATHS.relative(PATHS.data), PATHS.relative(PATHS.images)
    manifest, _ = keyed(ingest)(config.dataset, config.images, source_digest, *places)
    splits = validate(keyed(split)(manifest, config.split, config.seed, None))
    refuse(train_cnn(splits) if trains else splits, foreseen=foreseen)


def breaking(*, trains: bool, foreseen: bool) -> Train:
    """A training that fails in one of its steps."""

    def train(config: RunConfig, paths: ProjectPaths, run_name: str) -> Outcome:
        source_digest = digest_source(config.dataset, paths.data)
        flow = broken_training.with_options(run_name=run_name, enable_artifact_visualization=False)
        failure = catch_failure(paths, lambda: flow(config, source_digest, trains, foreseen))
        code = failure.exit_code if isinstance(failure, TaxonError) else 1
        return Outcome(run_name, paths.runs / run_name, code, str(failure))

    return train


def lack_weights(_config: RunConfig, _paths: ProjectPaths, _run_name: str) -> Outcome:
    """A training that is refused before there is a run."""
    raise ConfigError("No candidate can be trained on this machine.")


def try_to_retrain(config: RunConfig, hours: float, train: Train) -> dict[str, Any]:
    """A retraining that fails: its exit code, and the hours of the attempts that count after it."""
    try:
        code = launch_retraining(config, START + hours * HOUR, train).exit_code
    except ConfigError as error:
        code = error.exit_code
    return {"code": code, "hours": [each[0] for each in tell_attempts()]}


def draw_folder(name: str, seed: int, num_individuals: int) -> Path:
    """Two classes, an image of each individual."""
    folder = HOME / name
    for number, (class_name, colour) in enumerate(COLOURS.items()):
        (folder / class_name).mkdir(parents=True, exist_ok=True)
        for i in range(num_individuals):
            draw_image(folder / class_name / f"i{seed}-{number}-{i:02d}.png", colour, (seed, number, i))
    return folder


def configure(*new_images: Path, **retraining: Any) -> RunConfig:
    """The data set; 8 new images are enough."""
    on_drift = {"min_new_images_on_drift": 8, "min_new_groups_on_drift": 8}
    least = {"min_new_images": 8, "min_new_groups": 8, "max_age_days": None}
    tree = {
        "name": "toy",
        "dataset": {"source": "folder", "path": str(HOME / "photos")},
        "images": {"size": 16},
        "training": {"candidates": {"cnn": {"backbone": "cnn"}}},
        "retraining": {**least, **on_drift, "new_images": list(new_images), **retraining},
    }
    return RunConfig.model_validate(tree)


def crown() -> None:
    """A champion, and a retraining that is killed as its training begins."""
    draw_folder("photos", 0, 8)
    champion = configure()
    with_folder = ending(Verdict.PROMOTED)
    with_folder(champion, PATHS, "crowned")
    launch_retraining(configure(draw_folder("april", 1, 5)), START, kill)


def tell_attempts() -> list[list[Any]]:
    """Hours after the start, whether by itself, verdict."""
    return [
        [(each.time - START) / HOUR, each.automatic, each.verdict and each.verdict.value]
        for each in read_attempts("toy")
    ]


def tell_reused(training: dict[str, str] | None) -> list[str]:
    """Steps of the training that followed a decision which were taken from the cache."""
    steps = Client().get_pipeline_run(training["run"]).steps if training else {}
    return [name for name, step_run in steps.items() if step_run.status.value == "cached"]


def decide(config: RunConfig, hours: float, verdict: Verdict | None) -> dict[str, Any]:
    """One retraining, so many hours after the first, and what its folder says."""
    train = never if verdict is None else ending(verdict)
    outcome = launch_retraining(config, START + hours * HOUR, train)
    newest = max(PATHS.runs.glob("toy-retraining-*"), key=lambda folder: folder.name)
    summary = json.loads((newest / "summary.json").read_text(encoding="utf-8"))
    return {
        "code": outcome.exit_code,
        "message": outcome.message,
        "retrain": summary["decision"]["retrain"],
        "trigger": summary["decision"]["trigger"],
        "training": summary["training"] and summary["training"]["verdict"],
        "new": summary["decision"]["new_images"]["num_images"],
        "cached": summary["cached_steps"],
        "reused": tell_reused(summary["training"]),
    }


def leave_killed() -> None:
    """Crown a champion and be killed as a retraining begins, in a process of its own."""
    child = os.fork()
    if child == 0:
        crown()
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


def play(report: Path) -> None:
    """A champion, a retraining that is killed, and everything that follows, day by day."""
    leave_killed()
    april, may = HOME / "april", draw_folder("may", 2, 5)
    seen: dict[str, Any] = {"after_kill": tell_attempts()}
    (killed,) = PATHS.runs.glob("toy-retraining-*")
    seen["killed"] = json.loads((killed / "summary.json").read_text(encoding="utf-8"))["training"]
    seen["pause"] = decide(configure(april), 1, None)
    seen["no_weights"] = try_to_retrain(configure(april), 25, lack_weights)
    seen["refused_data"] = try_to_retrain(configure(april), 25, breaking(trains=False, foreseen=True))
    seen["kept"] = decide(configure(april), 25, Verdict.KEPT)
    forced = configure(april, force=True)
    seen["forced"] = decide(forced, 51, Verdict.REFUSED)
    seen["crashed"] = try_to_retrain(forced, 60, breaking(trains=False, foreseen=False))
    seen["refused_late"] = try_to_retrain(forced, 61, breaking(trains=True, foreseen=True))
    for number in (0, 1):
        watch(number)
    seen["monitoring_before"] = ask_monitoring()
    if_drifted = configure(april, may, min_new_images=1000, min_new_groups=1000)
    seen["promoted"] = decide(if_drifted, 100, Verdict.PROMOTED)
    seen["monitoring_after"] = ask_monitoring()
    seen["attempts"] = tell_attempts()
    champion = find_champion("toy")
    assert champion is not None
    seen["additions"] = [each.name for each in champion.additions()]
    try:
        decide(configure(may), 201, None)
    except ConfigError as error:
        seen["lost"] = str(error)
    summary = killed / "summary.json"
    before = summary.read_text(encoding="utf-8")
    summary.unlink()
    project_again(killed.name, PATHS)
    seen["written_again_alike"] = summary.read_text(encoding="utf-8") == before
    seen["runs"] = [[row.pipeline, row.verdict] for row in list_runs()]
    clean(PATHS, keep=0)
    seen["left"] = [row.pipeline for row in list_runs()]
    seen["attempts_after_clean"] = tell_attempts()
    seen["after_clean"] = decide(configure(april, may), 203, None)
    seen["materializers"] = sorted(
        {str(found.materializer.attribute) for found in Client().list_artifact_versions(size=500).items}
    )
    report.write_text(json.dumps(seen), encoding="utf-8")


if __name__ == "__main__":
    sys.modules["tests.orchestration.flows.retraining_toy"] = sys.modules["__main__"]
    play(Path(sys.argv[1]))
