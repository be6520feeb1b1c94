"""Champions of a network that can be told by eye, deployed, watched and rolled back on a real ZenML store.

python -m tests.orchestration.flows.deployment_toy FILE
"""

import io
import json
import os
import shutil
import socket
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Annotated, Any
from unittest.mock import patch

from tests.orchestration.toy import PATHS, promote, register  # prepares ZenML's environment: the first import

# isort: split
from zenml import pipeline, step
from zenml.client import Client

from materializers.names import ArtifactName
from materializers.registry import ROLLBACK_KEY, find_champion, find_version_number
from orchestration.flows.deployment import follow_promotion
from orchestration.flows.running.artifacts import load_output
from orchestration.flows.running.runner import Outcome, Run, guard_run, launch
from orchestration.servers import service
from run import main
from serving.client import ask_service
from serving.runtime.process import service_status, stop_service
from serving.runtime.running import ServiceFolder, find_service, read_deployed
from tests.serving.toy import BLACK, NAMES, RED, make_bundle, paint, paint_manifest, split_manifest
from vision.base.errors import TaxonError
from vision.base.files import digest_file
from vision.bundle.assembly import read_contract
from vision.bundle.records import Bundle, Contract
from vision.config.run import RunConfig
from vision.data.records import Manifest, Split, Splits

FOLDER = ServiceFolder(PATHS.home)
COLOURS = {"black": BLACK, "blue": (0, 0, 255), "green": (0, 255, 0), "red": RED}


@step
def ingest(root: str) -> Annotated[Manifest, ArtifactName.MANIFEST]:
    """Two images of each colour; black is held out."""
    manifest = paint_manifest(Path(root), COLOURS, 2)
    return manifest.model_copy(update={"class_names": NAMES})


@step
def validate(manifest: Manifest) -> Annotated[Splits, ArtifactName.SPLITS]:
    """Every image is for testing."""
    return split_manifest(manifest, Split.TEST)


@step
def assemble(candidate: str) -> Annotated[Bundle, ArtifactName.BUNDLE]:
    """The toy's bundle, whose contract names another candidate, which makes it another bundle."""
    made, folder = make_bundle(), PATHS.scratch / candidate
    shutil.copytree(made.root, folder)
    contract = read_contract(folder).model_copy(update={"candidate": candidate})
    (folder / Bundle.CONTRACT_NAME).write_text(Contract.model_dump_json(contract), encoding="utf-8")
    files = {name: digest_file(folder / name) for name in made.files}
    return Bundle(root=folder, files=files, name="toy")


@pipeline(name="training", enable_cache=False)
def training(root: str, candidate: str) -> None:
    """The end of a training."""
    manifest = ingest(root)
    splits = validate(manifest)
    bundle = assemble(candidate)
    register(bundle, splits, promote(bundle, promoted=True), manifest)


def crown(candidate: str) -> str:
    """Put a bundle into production; its digest."""
    with guard_run(f"crown-{candidate}", PATHS):
        training.with_options(run_name=candidate, enable_artifact_visualization=False)(
            str(PATHS.data / "photos"), candidate
        )
    champion = find_champion("toy")
    assert champion is not None
    return champion.digest


def make_config(port: int) -> RunConfig:
    """A configuration that serves on a port."""
    return RunConfig.model_validate(
        {
            "name": "toy",
            "dataset": {"source": "folder", "path": "unused"},
            "training": {"candidates": {"cnn": {"backbone": "cnn"}}},
            "deploy": True,
            "serve": {"port": port, "check_images": 6},
        }
    )


def tamper(version: str) -> None:
    """Change one byte of a version's graph in the artifact store."""
    artifact = Client().get_model_version("toy", version).get_artifact(ArtifactName.BUNDLE)
    assert artifact is not None
    (graph,) = Path(artifact.uri).rglob("fp32.tflite")
    content = bytearray(graph.read_bytes())
    content[len(content) // 2] ^= 1
    graph.write_bytes(content)


def look() -> dict[str, Any]:
    """What is in production and what answers, asked of both."""
    status, champion = service_status(FOLDER), find_champion("toy")
    seen: dict[str, Any] = {
        "version": find_version_number("toy"),
        "champion": champion.digest if champion else None,
        "ready": status.ready,
    }
    if status.running is not None and status.ready:
        answer = ask_service(status.running.url, FOLDER.key.read_text().strip(), paint(BLACK))
        seen |= {"pid": status.running.pid, "answered_by": answer.model.version, "said": answer.decision}
        seen |= {"served": answer.model.digest, "url": status.running.url}
    return seen


def attempt(action: Any) -> list[Any]:
    """Exit code and message of an action, whether it returns or raises."""
    try:
        outcome: Outcome = action()
    except TaxonError as error:
        return [error.exit_code, f"{type(error).__name__}: {error}"]
    return [outcome.exit_code, outcome.message]


def tell_report(run_name: str) -> list[Any]:
    """Exit code of `run.py report --run NAME`, and what it printed."""
    with redirect_stdout(io.StringIO()) as said, redirect_stderr(said):
        code = main(["report", "--run", run_name])
    return [code, " ".join(said.getvalue().split())]


def start(config: RunConfig) -> list[Any]:
    """Exit code and words of `service start`."""
    with redirect_stdout(io.StringIO()) as said:
        return [service.start(PATHS, config), said.getvalue()]


def count_runs() -> int:
    """How many runs ZenML knows."""
    return Client().list_pipeline_runs(size=1).total


def misname(config: RunConfig) -> list[list[Any]]:
    """What the commands about a champion say where the config names a model that nobody trained."""
    other = config.model_copy(update={"name": "elsewhere"})
    return [
        attempt(lambda: launch("deployment", other, PATHS)),
        attempt(lambda: launch("monitoring", other, PATHS)),
        attempt(lambda: launch("rollback", other, PATHS)),
    ]


def deploy_with(variable: str, content: str, config: RunConfig) -> list[Any]:
    """A deployment with an environment variable set."""
    os.environ[variable] = content
    try:
        return attempt(lambda: launch("deployment", config, PATHS))
    finally:
        del os.environ[variable]


def play(report: Path) -> None:
    """Deploy, replace, roll back, be refused; what was seen as JSON."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        config = make_config(probe.getsockname()[1])
    make_bundle()  # once, and not among the temporary files of a run, which go with it
    seen: dict[str, Any] = {}
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) as stranger:
        try:
            seen["no_champion"] = attempt(lambda: launch("deployment", config, PATHS))
            seen["nothing_to_watch"] = attempt(lambda: launch("monitoring", config, PATHS))
            seen["digests"] = [crown("first")]
            monitored = launch("monitoring", config, PATHS)
            seen["no_answers"] = [monitored.exit_code, monitored.message]
            shutil.rmtree(monitored.folder)
            seen["report_of_monitoring"] = [*tell_report(monitored.run_name), str(monitored.folder)]
            outcome = launch("deployment", config, PATHS)
            seen["first"] = [outcome.exit_code, outcome.message, look()]
            seen["report"] = [*tell_report(outcome.run_name), (PATHS.runs / outcome.run_name).exists()]
            seen["report_by_prefix"] = tell_report(outcome.run_name[:-1])
            seen["deployment"] = load_output(outcome.run_name, "deploy", ArtifactName.DEPLOYMENT).model_dump(
                mode="json"
            )
            seen["start_again"] = start(config)
            with patch.object(service, "is_of_this_code", return_value=False):
                seen["start_of_other_code"] = start(config)
            seen["start_elsewhere"] = [*start(make_config(1)), look()]
            seen["misnamed"] = misname(config)
            num_runs = count_runs()
            seen["wrong_variable"] = [*deploy_with("TAXON_API_KEYS", "short", config), look()]
            seen["runs_of_refusals"] = count_runs() - num_runs
            seen["nothing_to_go_back_to"] = [*attempt(lambda: launch("rollback", config, PATHS)), look()]

            seen["digests"].append(crown("second"))
            seen["start"] = start(config)
            promoted = Outcome("second", PATHS.runs / "second", 0, "promoted: better.", promoted=True)
            with guard_run("follow", PATHS):
                outcome = follow_promotion(promoted, Run("second", config, PATHS))
            seen["second"] = [outcome.exit_code, outcome.message, look()]
            seen["stranger_lives"] = stranger.poll() is None

            seen["back"] = [*attempt(lambda: launch("rollback", config, PATHS)), look()]
            seen["audit"] = {
                version: Client().get_model_version("toy", version).run_metadata.get(ROLLBACK_KEY)
                for version in ("1", "2")
            }
            tamper("2")
            seen["back_to_tampered"] = [*attempt(lambda: launch("rollback", config, PATHS)), look()]
            tamper("1")
            with guard_run("follow", PATHS):
                outcome = follow_promotion(promoted, Run("second", config, PATHS))
            seen["tampered"] = [outcome.exit_code, outcome.message, look()]
            tamper("2")  # whole again
            seen["forward"] = attempt(lambda: launch("rollback", config, PATHS))
            seen["deployed"] = read_deployed(FOLDER) is not None and find_service(FOLDER) is not None
        finally:
            stop_service(FOLDER)
            stranger.kill()
    report.write_text(json.dumps(seen), encoding="utf-8")


if __name__ == "__main__":
    sys.modules["tests.orchestration.flows.deployment_toy"] = sys.modules["__main__"]
    play(Path(sys.argv[1]))
