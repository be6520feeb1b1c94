"""A pipeline of seconds whose artifacts have the real names, run by tests in processes of their own.

python -m tests.orchestration.toy run NAME CONTENT [PROMOTE]
python -m tests.orchestration.toy visit NAME CONTENT FILE
python -m tests.orchestration.toy scenario FILE
"""

import hashlib
import json
import os
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import Annotated

from orchestration.session.environment import prepare_environment
from orchestration.session.paths import ProjectPaths

PATHS = ProjectPaths.of(Path(__file__).resolve().parents[2])
prepare_environment(PATHS)

from zenml import get_step_context, pipeline, step  # noqa: E402  the environment comes first
from zenml.client import Client  # noqa: E402
from zenml.enums import ExecutionStatus  # noqa: E402
from zenml.orchestrators.publish_utils import publish_pipeline_run_status_update  # noqa: E402

from materializers.names import ArtifactName  # noqa: E402
from materializers.registry import register_champion  # noqa: E402
from pipelines import caching  # noqa: E402, F401  ZenML's cache key without the project's place
from vision.base.home import project_home  # noqa: E402
from vision.base.lock import RunLock  # noqa: E402
from vision.bundle.records import Bundle  # noqa: E402
from vision.data.records import DatasetRef, Manifest, Split, Splits  # noqa: E402
from vision.evaluation.records import Comparison  # noqa: E402
from vision.gate.records import Promotion, Registration, Verdict  # noqa: E402


@step
def ingest(
    content: str, data_folder: str, store_folder: str
) -> tuple[Annotated[Manifest, ArtifactName.MANIFEST], Annotated[DatasetRef, ArtifactName.DATASET]]:
    """A painted folder and a decoded store named by the content."""
    painted = project_home() / data_folder / f"reef-{content * 16}"
    store = project_home() / store_folder / (content * 32)
    for folder in (painted, store):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "pixels").write_bytes(b"0" * 1000)
    (painted / "reef.json").write_text("{}", encoding="utf-8")
    manifest = Manifest(root=str(painted), source_digest=content, class_names=("cod",), entries=())
    return manifest, DatasetRef(
        path=str(store), content_hash=content, num_images=0, image_size=8, resize="pad"
    )


@step
def validate(manifest: Manifest) -> Annotated[Splits, ArtifactName.SPLITS]:
    """One image in train."""
    return Splits(
        class_names=manifest.class_names,
        digests=("d",),
        groups=("g",),
        image_classes=("cod",),
        splits=(Split.TRAIN,),
    )


@step
def compare(manifest: Manifest) -> Annotated[Comparison, ArtifactName.COMPARISON]:
    """The winner; waits where the test says so, to be killed or until the test removes the file."""
    flag = os.environ.get("TOY_HANG")
    if flag:
        Path(flag).touch()
        end = time.monotonic() + 60
        while Path(flag).exists() and time.monotonic() < end:
            time.sleep(0.05)
    return Comparison(
        metric="accuracy", winner=f"cnn_{manifest.source_digest}", reason="", candidates=(), differences=()
    )


@step
def assemble(comparison: Comparison) -> Annotated[Bundle, ArtifactName.BUNDLE]:
    """A bundle of one file."""
    folder = PATHS.scratch / f"assemble-{comparison.winner}"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "contract.json").write_text(comparison.winner, encoding="utf-8")
    digest = hashlib.sha256(comparison.winner.encode()).hexdigest()
    return Bundle(root=folder, files={"contract.json": digest}, name="toy")


@step(enable_cache=False)
def promote(bundle: Bundle, *, promoted: bool) -> Annotated[Promotion, ArtifactName.PROMOTION]:
    """The verdict that the test asks for."""
    verdict = Verdict.PROMOTED if promoted else Verdict.KEPT
    return Promotion(
        verdict=verdict, bundle_digest=bundle.digest, champion_digest=None, checks=(), reasons=()
    )


@step(enable_cache=False)
def register(
    bundle: Bundle, splits: Splits, promotion: Promotion, manifest: Manifest
) -> Annotated[Registration, ArtifactName.REGISTRATION]:
    """Put a promoted bundle into production."""
    if promotion.verdict is not Verdict.PROMOTED:
        return Registration(model_name="toy", version=None, stage=None, bundle_digest=bundle.digest)
    assert splits.class_names == manifest.class_names
    context = get_step_context()
    linked = (context.inputs[each][0] for each in ("bundle", "splits", "manifest"))
    return register_champion("toy", bundle.digest, *linked, run_id=context.pipeline_run.id)


@pipeline(name="training")
def training(content: str, *, promoted: bool) -> None:
    """The flow in small."""
    manifest, _ = ingest(content, PATHS.relative(PATHS.data), PATHS.relative(PATHS.images))
    splits = validate(manifest)
    bundle = assemble(compare(manifest))
    register(bundle, splits, promote(bundle, promoted=promoted), manifest)


def run(name: str, content: str, *, promoted: bool = False) -> None:
    """One run and its folder."""
    training.with_options(run_name=name, enable_artifact_visualization=False)(content, promoted=promoted)
    folder = PATHS.runs / name
    folder.mkdir(parents=True)
    (folder / "summary.json").write_text("{}", encoding="utf-8")
    latest = PATHS.runs / "latest"
    latest.unlink(missing_ok=True)
    latest.symlink_to(name)


def status_of_steps(name: str) -> dict[str, str]:
    """Step -> status of one run."""
    found = Client().get_pipeline_run(name)
    return {step_name: step_run.status.value for step_name, step_run in found.steps.items()}


def visit(name: str, content: str, report: Path) -> None:
    """Reap, run once, and write down what this project knows."""
    from orchestration.store.history import list_champions, list_runs
    from orchestration.store.reaper import reap_dead_runs

    seen: dict[str, object] = {}
    with RunLock(PATHS.lock, name):
        seen["reaped"] = reap_dead_runs()
        run(name, content, promoted=True)
    seen["runs"] = {row.name: row.status for row in list_runs()}
    seen["steps"] = status_of_steps(name)
    seen["champions"] = [row.version for row in list_champions()]
    bundle = Client().get_model_version("toy", "production").get_artifact("bundle")
    assert bundle is not None
    seen["bundle"] = str(bundle.load().root)
    report.write_text(json.dumps(seen), encoding="utf-8")


def leave_killed(name: str, content: str) -> None:
    """A run that kill -9 ends in its second step, in a process of its own; before ZenML's client is made."""
    flag = PATHS.home / "hangs"
    os.environ["TOY_HANG"] = str(flag)
    child = os.fork()
    if child == 0:
        run(name, content)
        os._exit(1)
    del os.environ["TOY_HANG"]
    while not flag.exists():
        assert os.waitpid(child, os.WNOHANG) == (0, 0), "the run ended before its time"
        time.sleep(0.05)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def lose_and_run() -> list[dict[str, str]]:
    """Delete what a step made; the steps of a run after it, of one more, and of one that uses no cache."""
    from orchestration.store.lost import expire_lost_steps

    (comparison,) = Client().get_pipeline_run("recrowned").steps["compare"].outputs["comparison"]
    shutil.rmtree(comparison.uri)
    steps = []
    for name in ("lost", "found"):
        expire_lost_steps()
        run(name, "d")
        steps.append(status_of_steps(name))
    training.with_options(run_name="anew", enable_cache=False, enable_artifact_visualization=False)(
        "d", promoted=False
    )
    return [*steps, status_of_steps("anew")]


def clean_up() -> dict[str, object]:
    """Clean beside what no run left; what went and what stayed."""
    from orchestration.store.disk import clean
    from orchestration.store.history import list_runs

    orphan = Path(Client().active_stack.artifact_store.path) / "compare" / "comparison" / "dead"
    orphan.mkdir(parents=True)
    (orphan / "half").write_bytes(b"0" * 100)
    (PATHS.runs / "notes").mkdir()
    (PATHS.data / "photos").mkdir()
    (PATHS.data / "photos.csv").touch()
    freed = clean(PATHS, keep=1)
    seen: dict[str, object] = {}
    seen["freed"] = [freed.num_bytes, freed.num_runs]
    seen["told"] = freed.tell()
    seen["orphan_left"] = orphan.exists()
    seen["left_runs"] = sorted(row.name for row in list_runs())
    seen["left_folders"] = sorted(path.name for path in PATHS.runs.iterdir())
    seen["left_images"] = sorted(path.name for path in PATHS.images.iterdir())
    seen["left_data"] = sorted(path.name for path in PATHS.data.iterdir())
    return seen


def play(report: Path) -> None:
    """Reap a killed run, go on after it, crown a champion, overtake it, clean; what was seen as JSON."""
    leave_killed("killed", "a")
    from orchestration.store.disk import clean
    from orchestration.store.history import list_champions, list_runs
    from orchestration.store.listing import list_history
    from orchestration.store.reaper import find_unwritten, reap_dead_runs

    seen: dict[str, object] = {}
    with RunLock(PATHS.lock, "scenario"):
        seen["reaped"] = reap_dead_runs()
        seen["reaped_again"] = reap_dead_runs()
        dead = Client().get_pipeline_run("killed")
        seen["killed_status"] = dead.status.value
        seen["killed_steps"] = status_of_steps("killed")
        run("after", "a")
        seen["after_steps"] = status_of_steps("after")
        unwritten = [find_unwritten(PATHS)]
        summary = PATHS.runs / "after" / "summary.json"
        summary.rename(PATHS.home / "summary.json")
        seen["unwritten"] = [*unwritten, find_unwritten(PATHS)]
        (PATHS.home / "summary.json").rename(summary)
        run("crowned", "b", promoted=True)
        for name in ("later", "last"):
            run(name, "d")
        seen["all_finished_untouched"] = reap_dead_runs()
        last = Client().get_pipeline_run("last")
        publish_pipeline_run_status_update(last.id, ExecutionStatus.RUNNING)  # as if killed after its steps
        seen["done_is_not_dead"] = [reap_dead_runs(), Client().get_pipeline_run("last").status.value]
    seen["runs"] = [[row.name, row.status, row.winner, row.verdict] for row in list_runs()]
    seen["champions"] = [[row.model, row.version, row.digest] for row in list_champions()]
    seen["read_alike"] = list_history(PATHS) == (list_runs(), list_champions())
    seen |= clean_up()
    version = Client().get_model_version("toy", "production")
    bundle, splits = version.get_artifact("bundle"), version.get_artifact("splits")
    assert bundle is not None
    assert splits is not None
    seen["champion_bundle"] = bundle.load().path("contract.json").read_text(encoding="utf-8")
    seen["champion_splits"] = splits.load().class_names
    seen["materializers"] = sorted(
        {str(found.materializer.attribute) for found in Client().list_artifact_versions(size=500).items}
    )
    run("recrowned", "d", promoted=True)  # all its artifacts come from the cache
    seen["recrowned_steps"] = status_of_steps("recrowned")
    seen["told_of_none"] = clean(PATHS, keep=0).tell()
    seen["left_of_champion"] = sorted(row.name for row in list_runs())
    seen["lost"] = lose_and_run()
    report.write_text(json.dumps(seen), encoding="utf-8")


if __name__ == "__main__":
    sys.modules["tests.orchestration.toy"] = sys.modules["__main__"]
    if sys.argv[1] == "run":
        with RunLock(PATHS.lock, sys.argv[2]):
            run(sys.argv[2], sys.argv[3], promoted=len(sys.argv) > 4)
    elif sys.argv[1] == "visit":
        visit(sys.argv[2], sys.argv[3], Path(sys.argv[4]))
    else:
        play(Path(sys.argv[2]))
