"""Runs of one step that ends in different ways, told as the command line tells them, on a real ZenML store.

python -m tests.orchestration.flows.refusal_toy       what is printed of each run stands below its name
"""

import sys
from pathlib import Path

from orchestration.session.environment import prepare_environment
from orchestration.session.paths import ProjectPaths

PATHS = ProjectPaths.of(Path(__file__).resolve().parents[3])
prepare_environment(PATHS)

from sqlalchemy.exc import OperationalError  # noqa: E402
from zenml import pipeline, step  # noqa: E402  the environment comes first
from zenml.enums import ExecutionMode  # noqa: E402

from orchestration.commands.pipelines import tell_outcome  # noqa: E402
from orchestration.flows.running.runner import Outcome, Plan, Run, run_known  # noqa: E402
from orchestration.session.terminal import open_terminal  # noqa: E402
from tests.example_data import make_config  # noqa: E402
from vision.base.errors import TooFewImagesError  # noqa: E402

ENDINGS = ("refused", "crashed", "crashed_while_refusing", "full")


def refuse() -> None:
    """Say what is wrong, after a fault of a library."""
    try:
        int("cobalt")
    except ValueError as error:
        raise TooFewImagesError("Class cobalt has 1 image.") from error


@step(enable_cache=False)
def end(ending: str) -> None:
    """A refusal, a crash, a crash that a refusal led to, a full disk."""
    if ending == "refused":
        refuse()
    if ending == "full":
        raise OperationalError("INSERT INTO step_run", {}, Exception("database or disk is full"))
    if ending == "crashed_while_refusing":
        try:
            refuse()
        except TooFewImagesError as error:
            raise RuntimeError("out of order") from error
    raise RuntimeError("out of order")


@pipeline(name="training", execution_mode=ExecutionMode.FAIL_FAST)  # as the real ones
def ends(ending: str) -> None:
    """One step."""
    end(ending)


def run(ending: str) -> None:
    """One run, as a command of the command line."""
    sys.stdout.write(f"=== run {ending}\n")
    config = make_config()
    with open_terminal():
        failure = run_known(Run(ending, config, PATHS), Plan(ends, (ending,), config))
    assert failure is not None
    code = tell_outcome(Outcome.of_failure(ending, PATHS.runs / ending, failure))
    sys.stdout.write(f"exit code {code}\n")


if __name__ == "__main__":
    sys.modules["tests.orchestration.flows.refusal_toy"] = sys.modules["__main__"]
    for each in ENDINGS:
        run(each)
