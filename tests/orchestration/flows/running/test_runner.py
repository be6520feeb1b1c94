"""What happens to the run folder or the disk hides no verdict, and is told in one sentence."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from orchestration.commands.pipelines import tell_outcome
from orchestration.flows import training
from orchestration.flows.running import artifacts, failures, runner
from orchestration.flows.running.runner import Outcome, Plan, Run
from orchestration.flows.training_folder import point_latest_at
from orchestration.session.paths import ProjectPaths
from report.story import RunStory
from tests.example_data import make_config
from tests.example_evaluation import make_rule
from tests.example_story import make_story
from vision.base.errors import BundleError, ExportError, StorageError
from vision.gate.records import Promotion, Verdict

PLAN: Any = None  # what is patched reads none
UNTESTED = RunStory(run_name="reef-1", config=make_config())


def verdict(verdict: Verdict) -> Promotion:
    return Promotion(
        verdict=verdict, bundle_digest="b", champion_digest=None, checks=(), reasons=("for a reason",)
    )


def plan_of(paths: ProjectPaths, run_pipeline: Callable[[], None]) -> tuple[Run, Plan]:
    """A run of a DAG that does no more than call a function."""
    pipeline: Any = SimpleNamespace(name="deployment", with_options=lambda **_: run_pipeline)
    return Run("reef-1", make_config(), paths), Plan(pipeline, (), make_config())


def project(
    paths: ProjectPaths,
    monkeypatch: pytest.MonkeyPatch,
    *,
    trouble: Exception | None,
    promotion: Promotion | None,
    failure: Exception | None = None,
    story: RunStory = UNTESTED,
) -> Outcome:
    """The end of a run whose folder cannot be written for a reason, or can."""

    def project_training(name: str, paths: ProjectPaths) -> RunStory:
        if trouble is not None:
            raise trouble
        (paths.runs / name).mkdir(parents=True)
        (paths.runs / name / "summary.json").touch()
        return replace(story, promotion=promotion)

    monkeypatch.setattr(training, "project_training", project_training)
    monkeypatch.setattr(training, "load_output", lambda *_: promotion)
    monkeypatch.setattr(training.TrainingFlow, "prepare", lambda *_: PLAN)
    monkeypatch.setattr(runner, "run_known", lambda *_: failure)
    monkeypatch.setattr(runner, "record_run", lambda *_: None)
    monkeypatch.setattr("orchestration.store.lost.expire_lost_steps", lambda: None)
    return training.FLOW.carry_out(Run("reef-1", make_config(), paths))


@pytest.mark.parametrize(
    "trouble",
    [
        StorageError("runs/reef-1: no space."),
        OSError(28, "No space left on device"),
        OperationalError("INSERT", {}, Exception("database or disk is full")),
        BundleError("altered."),
        KeyError("a fault of the report"),
    ],
)
@pytest.mark.parametrize(("outcome", "code"), [(Verdict.PROMOTED, 0), (Verdict.REFUSED, 3)])
def test_a_run_folder_that_cannot_be_written_hides_no_verdict(
    trouble: Exception,
    outcome: Verdict,
    code: int,
    paths: ProjectPaths,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    told = project(paths, monkeypatch, trouble=trouble, promotion=verdict(outcome))
    promoted = outcome is Verdict.PROMOTED
    assert told == Outcome("reef-1", paths.runs / "reef-1", code, f"{outcome}: for a reason", promoted)
    assert "python run.py report --run reef-1 writes it again" in caplog.text


def test_the_terminal_tells_what_was_promoted_can_do_and_not_the_floors_it_passed(
    paths: ProjectPaths, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    story = replace(make_story(), rule=make_rule(attainable=False))
    outcome = project(paths, monkeypatch, trouble=None, promotion=verdict(Verdict.PROMOTED), story=story)
    assert tell_outcome(outcome, commands=(("make serve", "let it answer"),)) == 0
    said = capsys.readouterr().err
    assert "\n\n\n" not in said
    verdict_line, *lines = said.split("\n\n")[0].splitlines()
    assert verdict_line == "promoted: version 3 of reef is now in production."
    assert lines[0].startswith("It decides 90 of 100 ")
    assert lines[1].startswith("Right on ")
    assert lines[-1].startswith("It never answers unknown: ")
    assert "It takes about 253 groups in all, where there are 180 now" in lines[-1]
    assert not any("for a reason" in line for line in lines)


@pytest.mark.parametrize(("refused", "code"), [(Verdict.REFUSED, 3), (Verdict.KEPT, 0)])
def test_the_terminal_tells_why_a_model_was_not_promoted_and_what_it_can_do(
    refused: Verdict,
    code: int,
    paths: ProjectPaths,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    outcome = project(paths, monkeypatch, trouble=None, promotion=verdict(refused), story=make_story())
    assert tell_outcome(outcome) == code
    told = capsys.readouterr().err.splitlines()
    assert [line.strip() for line in told[:2]] == [f"{refused}:", "- for a reason"]
    assert told[2].startswith("It decides 90 of 100 ")
    assert [caution.partition(" ")[0] for caution in outcome.cautions] == [
        "Left"
    ]  # the file that is cut short


def test_a_failed_run_whose_folder_cannot_be_written_still_ends_with_its_own_error(
    paths: ProjectPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    failure = ExportError("no graph")
    told = project(paths, monkeypatch, trouble=StorageError("full"), promotion=None, failure=failure)
    assert (told.exit_code, told.message) == (1, "ExportError: no graph")


def test_latest_stays_at_the_last_run_with_a_model_where_one_fails_and_says_so(
    paths: ProjectPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    latest = paths.runs / "latest"
    failure = ExportError("no graph")
    failed = project(paths, monkeypatch, trouble=None, promotion=None, failure=failure)
    assert not latest.exists()
    assert failed.cautions == ()
    (paths.runs / "reef-0").mkdir()
    point_latest_at(paths.runs / "reef-0")
    shutil.rmtree(paths.runs / "reef-1")
    failed = project(paths, monkeypatch, trouble=None, promotion=None, failure=failure)
    assert (latest.resolve().name, failed.exit_code) == ("reef-0", 1)
    assert "latest still leads to reef-0" in failed.cautions[0]
    shutil.rmtree(paths.runs / "reef-1")
    project(paths, monkeypatch, trouble=None, promotion=verdict(Verdict.REFUSED))
    assert latest.resolve().name == "reef-1"


@pytest.mark.parametrize("failure", [None, ExportError("no graph")])
def test_a_disk_that_is_full_when_a_run_ended_stops_nothing_that_follows_it(
    failure: Exception | None,
    paths: ProjectPaths,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """What ended a run is handed on, also where a decided retraining is what follows."""

    def run_pipeline() -> None:
        if failure is not None:
            raise failure

    def record(*_: object) -> None:
        raise OperationalError("INSERT", {}, Exception("database or disk is full"))

    monkeypatch.setattr(artifacts, "run_exists", lambda _: True)
    monkeypatch.setattr(artifacts, "record_circumstances", record)
    run, plan = plan_of(paths, run_pipeline)
    assert runner.run_known(run, plan) is failure
    runner.record_run(run, plan, failure)
    assert "lacks its seconds and versions" in caplog.text
    assert "no space is left on the disk" in caplog.text


def test_a_run_that_zenml_never_knew_raises_what_ended_it(
    paths: ProjectPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run_pipeline() -> None:
        raise ExportError("no graph")

    monkeypatch.setattr(artifacts, "run_exists", lambda _: False)
    with pytest.raises(ExportError, match="no graph"):
        runner.run_known(*plan_of(paths, run_pipeline))


def test_a_folder_in_place_of_latest_is_a_warning_that_says_to_remove_it(
    paths: ProjectPaths, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (paths.runs / "latest").mkdir(parents=True)
    told = project(paths, monkeypatch, trouble=None, promotion=verdict(Verdict.KEPT))
    assert told.exit_code == 0
    assert "latest is a folder" in caplog.text
    assert "Remove that folder" in caplog.text
    with pytest.raises(StorageError, match="Remove that folder"):
        point_latest_at(paths.runs / "reef-1")
    assert {path.name for path in paths.runs.iterdir()} == {"latest", "reef-1"}


@pytest.mark.parametrize(
    ("told", "match"),
    [
        ("(sqlite3.OperationalError) database or disk is full", "no space is left"),
        ("attempt to write a readonly database", "cannot be written"),
    ],
)
def test_a_full_or_read_only_database_is_one_sentence_without_sql(
    told: str, match: str, paths: ProjectPaths
) -> None:
    with pytest.raises(StorageError, match=match) as caught, failures.database_errors(paths):
        raise OperationalError("INSERT INTO step_run VALUES " * 100, {}, Exception(told))
    assert "INSERT" not in str(caught.value)
    assert len(str(caught.value)) < 200 + len(str(paths.zenml))


def test_any_other_trouble_with_the_database_stays_as_it_is(paths: ProjectPaths) -> None:
    def ask() -> Any:
        with failures.database_errors(paths):
            raise OperationalError("SELECT", {}, Exception("no such table: run"))

    with pytest.raises(OperationalError, match="no such table"):
        ask()
