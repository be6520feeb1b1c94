"""What a going run shows: which step of how many, how far it is, how long it will take."""

from __future__ import annotations

import logging
from io import StringIO

import pytest
from rich.console import Console

from orchestration.session.estimate import Estimate
from orchestration.session.steps import STEPS, describe_step
from orchestration.session.view import LOGGERS, RunView
from vision.base.closure import ROOT
from vision.base.progress import FIELD, Progress

NAMES = ("ingest", "train_cnn", "infer_cnn", "export")
KNOWN = {"ingest": 10.0, "train_cnn": 60.0, "infer_cnn": 10.0, "export": 20.0}


class Going:
    """A run's view with a clock that is set by hand."""

    def __init__(self, *, terminal: bool, estimate: Estimate | None = None) -> None:
        self.now = 0.0
        self.stream = StringIO()
        self.console = Console(file=self.stream, width=100, force_terminal=terminal, color_system=None)
        self.view = RunView(self.console, lambda: NAMES, estimate or Estimate(KNOWN), lambda: self.now)

    def event(self, message: str) -> bool:
        return self.view.take(logging.makeLogRecord({"name": LOGGERS[0], "msg": message}))

    def report(self, progress: Progress) -> None:
        self.view.take(logging.makeLogRecord({"name": "vision.base.progress", "msg": "", FIELD: progress}))

    def step(self, name: str, seconds: float) -> None:
        self.event(f"Step `{name}` has started.")
        self.now += seconds
        self.event(f"Step `{name}` has finished in `1s`.")

    @property
    def lines(self) -> list[str]:
        return self.stream.getvalue().splitlines()

    def draw(self) -> str:
        self.stream.truncate(0)
        self.console.print(self.view)
        return self.stream.getvalue()


def test_where_there_is_no_terminal_each_step_is_one_line_with_the_time_left_in_all() -> None:
    run = Going(terminal=False)
    run.step("ingest", 10)
    run.event("Step `train_cnn` has started.")
    for second in range(40):
        run.now += 1
        run.report(Progress(f"epoch {second + 1} of 60", 59.0 - second))
    assert run.lines == [
        "Step 1 of 4: reading the images (about 2 min left)",
        "Step 2 of 4: training cnn (about 2 min left)",
        "  epoch 15 of 60 (about 75 s left)",
        "  epoch 30 of 60 (about 60 s left)",
    ]


def test_steps_that_an_earlier_run_did_are_counted_and_told_in_one_line() -> None:
    run = Going(terminal=False)
    run.event("Using cached version of step `ingest`.")
    run.event("Using cached version of step `train_cnn`.")
    run.event("Step `infer_cnn` has started.")
    assert run.lines == [
        "2 finished steps of earlier runs are used again.",
        "Step 3 of 4: asking cnn (about 30 s left)",
    ]


def test_a_terminal_shows_the_going_step_and_keeps_a_line_of_each_that_took_its_time() -> None:
    run = Going(terminal=True)
    run.step("ingest", 10)
    run.step("train_cnn", 0.5)
    run.event("Step `infer_cnn` has started.")
    run.report(Progress("300 of 900, 80/s", 7.0))
    assert run.lines == ["✓ reading the images: 10 s"]
    run.now += 2
    drawn = run.draw()
    assert "Step 3 of 4" in drawn
    assert "asking cnn" in drawn
    assert "2 s  300 of 900, 80/s" in drawn


def test_other_words_of_zenml_are_no_progress() -> None:
    assert not Going(terminal=False).event("Models can be viewed in the dashboard using ZenML Pro.")


def seconds_left(estimate: Estimate, going: str, *waiting: str) -> tuple[float, bool]:
    left = estimate.left(going, 0.0, None, waiting)
    return left.seconds, left.at_least


def test_the_pace_of_finished_steps_corrects_what_earlier_runs_took() -> None:
    estimate = Estimate(KNOWN)
    assert seconds_left(estimate, "train_cnn", "export") == (80.0, False)
    estimate.finish("ingest", 20.0)
    assert seconds_left(estimate, "train_cnn", "export") == (160.0, False)


def test_a_training_by_epochs_makes_a_first_estimate_a_lower_bound_until_it_tells_how_long() -> None:
    estimate = Estimate({}, unknown=("train_cnn",))
    assert seconds_left(estimate, "ingest", "train_cnn")[1]
    assert str(estimate.left("train_cnn", 5.0, None, ("export",))) == "over 20 s left"
    assert str(estimate.left("train_cnn", 5.0, 100.0, ("export",))) == "about 2 min left"


def test_more_images_take_longer_where_nothing_else_is_known() -> None:
    few, many = Estimate({}), Estimate({})
    many.count_images(10_000)
    assert seconds_left(many, "infer_cnn")[0] > 3 * seconds_left(few, "infer_cnn")[0]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("train_efficientnet_lite0", "training efficientnet_lite0"),
        ("fit_unknowns_exported", "learning what the exported network should not know"),
        ("infer_exported", "asking the exported network"),
        ("brand_new_step", "brand new step"),
    ],
)
def test_steps_have_words(name: str, words: str) -> None:
    assert describe_step(name).words == words


def test_every_step_has_words() -> None:
    files = [path.stem for path in (ROOT / "steps").glob("*/*.py") if path.stem != "__init__"]
    assert set(files) - set(STEPS) == set()
