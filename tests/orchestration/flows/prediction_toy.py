"""Pictures answered by the toy's champion: by the command and by the pipeline, on a real ZenML store.

python -m tests.orchestration.flows.prediction_toy FILE
"""

import json
import shutil
import sys
from contextlib import closing
from pathlib import Path

from tests.orchestration.toy import PATHS  # prepares ZenML's environment: the first import

# isort: split
from orchestration.flows.running.runner import launch
from pipelines.names import PipelineName
from run import main
from serving.log.prediction_log import PredictionLog
from tests.orchestration.flows.deployment_toy import COLOURS, crown, make_config
from tests.serving.toy import paint
from vision.config.prediction import BatchSettings
from vision.config.work import ExecutorSettings


def ask(*arguments: str) -> dict[str, object]:
    """Exit code of `predict`, and the table of each folder below `predictions`."""
    code = main(["predict", *arguments])
    tables = {each.parent.name: each.read_text() for each in PATHS.home.glob("predictions/*/*.csv")}
    return {"code": code, "tables": tables}


def answer(photos: Path, executor: str | dict[str, int] = "process") -> dict[str, object]:
    """Message and table of a run of the pipeline, and the number of answers in the log."""
    settings = BatchSettings(path=photos, log=True)
    who = ExecutorSettings.model_validate(executor)
    config = make_config(3999).model_copy(update={"prediction": settings, "executor": who})
    outcome = launch(PipelineName.BATCH_PREDICTION, config, PATHS)
    with closing(PredictionLog(f"sqlite:///{PATHS.state}/predictions.sqlite")) as log:
        entries = log.read_newest(digest, 100)
    table = outcome.folder / "predictions.csv"
    return {
        "code": outcome.exit_code,
        "message": outcome.message,
        "table": table.read_text() if table.exists() else "",
        "logged": sorted(f"{each.file_name} {each.decision}" for each in entries),
    }


if __name__ == "__main__":
    folder = PATHS.home / "pictures"
    folder.mkdir()
    for name, colour in COLOURS.items():
        (folder / f"{name}.png").write_bytes(paint(colour))
    (folder / "torn.png").write_bytes(paint((255, 0, 0))[:40])
    seen: dict[str, object] = {"nothing": ask(str(folder))}
    digest = crown("first")
    seen["champion"] = ask(str(folder))
    shutil.rmtree(PATHS.home / "predictions")
    seen["winner"] = ask(str(folder), "--run", "first")
    seen["other"] = ask(str(folder), "--model", "other")
    seen["taken"] = ask(str(folder), "--out", str(folder))
    seen["unreadable"] = ask(str(folder / "torn.png"))
    seen["pipeline"] = answer(folder)
    seen["pipeline again"] = answer(Path(shutil.copytree(folder, PATHS.home / "moved")))
    seen["two processes"] = answer(folder, {"workers": 2})
    seen["no cluster"] = answer(folder, "tcp://127.0.0.1:9")
    Path(sys.argv[1]).write_text(json.dumps(seen))
