"""What the command line takes and refuses; the scheduler's process stays slim."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

import run
from orchestration.commands.command import Command
from orchestration.commands.parsing import build_help, parse
from orchestration.commands.pipelines import list_next
from orchestration.commands.registry import COMMANDS
from orchestration.commands.schedule import read_schedule
from orchestration.flows.running.runner import Outcome
from orchestration.schedule.config import ScheduleConfig
from orchestration.schedule.runner import find_commands
from orchestration.session.paths import ProjectPaths
from tests.orchestration.imports import run_and_list_imports
from vision.base.errors import RunLockedError
from vision.base.lock import RunLock
from vision.config.reading.loading import load_settings

SHIPPED = run.ROOT / "configs" / "schedule.yaml"


def test_the_shipped_schedule_starts_monitoring_and_retraining_by_commands_that_exist() -> None:
    config = load_settings(ScheduleConfig, SHIPPED)
    project = ProjectPaths.of(run.ROOT)
    commands = find_commands(config, project)
    assert {job.pipeline for job in config.jobs.values()} == {"monitoring", "retraining"}
    for name, job in config.jobs.items():
        command, options = parse([str(part) for part in commands[name][2:]])
        assert command.name == job.pipeline
        assert options.config == str(run.ROOT / "configs" / "fast.yaml")
    own = read_schedule(parse(["schedule", "smoke", "--set", "timezone=Asia/Tokyo"])[1], project)
    assert {name: job.config for name, job in own.jobs.items()} == {
        "monitoring-smoke": "smoke",
        "retraining-smoke": "smoke",
    }
    assert own.timezone == "Asia/Tokyo"
    for each in ([], ["schedule"], ["--config", "schedule.yaml"]):
        assert read_schedule(parse(["schedule", *each])[1], project) == config


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "expected either --pipeline NAME --config NAME.yaml, or one command"),
        (["service"], "expected one of start, status, logs, stop after service"),
        (["service", "strat"], "expected one of start, status, logs, stop after service"),
        (["runs", "start"], "runs takes no word 'start'"),
        (["trian", "my-fish"], "there is no command trian. Did you mean train?"),
        (["--pipeline", "trainig", "--config", "fast.yaml"], "Did you mean training?"),
        (["train"], "--pipeline training needs --config NAME.yaml, or just NAME"),
        (["train", "my-fish", "--config", "fast.yaml"], "two configs were given, my-fish and fast.yaml"),
        (["train", "fast", "--no-cahce"], "Did you mean --no-cache?"),
        (["rollback"], "rollback needs --config"),
        (["--pipeline", "deployment"], "--pipeline deployment needs --config"),
        (
            ["service", "start", "--set", "serve.port=3001"],
            "Expected: service start --config NAME.yaml --set serve.port=3001",
        ),
        (
            ["service", "stop", "--config", "fast.yaml", "--set", "serve.port=1"],
            "service stop reads no settings",
        ),
        (["clean", "--no-cache"], "it is for --pipeline training and --pipeline retraining"),
        (["clean", "--tail", "3"], "--tail has no effect on clean: it is for service logs"),
        (["runs", "--port", "3"], "--port has no effect on runs: it is for ui and dashboard"),
        (["service", "start", "--config", "fast.yaml", "--port", "3001"], "its port is --set serve.port=N"),
        (["--pipeline", "training", "--config", "fast.yaml", "--run", "x"], "--run has no effect"),
        (
            ["runs", "--set", "images.size=64", "--set", "seed=1"],
            "--set has no effect: runs reads no settings",
        ),
    ],
)
def test_a_command_line_that_says_too_little_or_too_much_is_refused(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        run.main(arguments)
    assert caught.value.code == 2
    assert words in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    "arguments",
    [
        ["--pipeline", "training", "--config", "my-fish.yaml"],
        ["--config=my-fish.yaml", "--pipeline=training"],
        ["training", "my-fish.yaml"],
        ["train", "my-fish.yaml"],
    ],
)
def test_a_pipeline_can_be_asked_for_in_either_grammar(arguments: list[str]) -> None:
    command, options = parse([*arguments, "--set", "seed=1", "--no-cache"])
    assert (command.name, options.config, options.no_cache) == ("training", "my-fish.yaml", True)
    assert options.overrides == ["seed=1"]


def test_an_option_may_stand_between_a_name_and_the_pictures() -> None:
    _, options = parse(["predict", "my-fish", "--run", "latest", "photos", "--top", "2", "more.zip"])
    assert (options.what, options.run, options.top) == (["my-fish", "photos", "more.zip"], "latest", 2)


@pytest.mark.parametrize("command", COMMANDS, ids=[each.name for each in COMMANDS])
def test_every_command_is_in_the_help_and_has_one_of_its_own(
    command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    assert f"{command.text}\n" in build_help().format_help()
    with pytest.raises(SystemExit) as caught:
        parse([*command.name.split(), "--help"])
    assert caught.value.code == 0
    said = capsys.readouterr().out
    assert all(
        each.name in said or each.settings.get("metavar", "") in said for each in command.all_arguments
    )


def test_a_folder_in_the_place_of_a_config_is_answered_with_the_command_that_writes_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run.main(["train", str(tmp_path)]) == 2
    assert f"python run.py new NAME {tmp_path}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "promoted", "words"),
    [
        ("training", True, ["make serve", "make ui", "python run.py predict fast PICTURES"]),
        ("training", False, ["python run.py predict --run reef-1 PICTURES", "python run.py runs"]),
        ("deployment", False, ["make ui", "python run.py runs"]),
    ],
)
def test_the_commands_that_come_next_exist(
    name: str, promoted: bool, words: list[str], tmp_path: Path
) -> None:
    outcome = Outcome("reef-1", tmp_path, 0, "done", promoted)
    commands = [command for command, _ in list_next(name, outcome, "fast")]
    assert commands == words
    for each in commands:
        if each.startswith("python run.py "):
            parse(each.split()[2:])
    asked = replace(outcome, promoted=False, following=(("python run.py retrain NAME", "if it stays"),))
    assert list_next("monitoring", asked, "a b.yaml")[0][0] == "python run.py retrain --config 'a b.yaml'"
    assert list_next(name, Outcome.of_failure("reef-1", tmp_path, ValueError()), "fast") == ()


@pytest.mark.parametrize(
    ("words", "told"), [(["2"], "2 was typed, and TF_CONFIG"), ([], "neither --machines nor")]
)
def test_a_worker_that_is_told_two_numbers_or_is_the_first_machine_is_refused(
    words: list[str], told: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    task = {"type": "worker", "index": 1 if words else 0}
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": {"worker": ["a:1", "b:2", "c:3"]}, "task": task}))
    assert run.main(["worker", *words]) == 2
    assert told in capsys.readouterr().err


def test_before_anything_is_deployed_there_is_nothing_to_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TAXON_STATE", str(tmp_path))
    assert run.main(["service", "start"]) == 2
    assert "No model was deployed yet" in capsys.readouterr().err
    assert run.main(["service", "status"]) == 1
    assert "No service is running" in capsys.readouterr().out
    assert run.main(["service", "stop"]) == 0
    assert "No service was running" in capsys.readouterr().out
    assert run.main(["service", "logs"]) == 0
    assert "no service was started yet" in capsys.readouterr().out
    assert run.main(["service", "logs", "--tail", "0"]) == 2
    assert "1 or more lines" in capsys.readouterr().err


TRAINING = ["--pipeline", "training", "--config", "fast.yaml"]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["schedule", "--config", "schedule.yaml", "--once"], 0, "is new"),
        (["schedule", "smoke", "--status"], 0, "No scheduler is running"),
        (["service", "status"], 1, "No service is running"),
        (["runs"], 0, "No runs yet"),
        ([*TRAINING, "--set", "images.siz=3"], 2, "did you mean size?"),
        ([*TRAINING, "--set", "dataset={source: folder, path: /nowhere}"], 2, "there is no such folder"),
        (TRAINING, RunLockedError.exit_code, "cannot start: run other"),
    ],
    ids=[
        "schedule once",
        "schedule status",
        "service status",
        "runs",
        "wrong key",
        "no folder",
        "second run",
    ],
)
def test_what_needs_no_zenml_imports_nothing_heavy(
    arguments: list[str], code: int, words: str, tmp_path: Path
) -> None:
    """A scheduler waits for days between runs; the others should answer at once."""
    (tmp_path / "state").mkdir()
    with RunLock(tmp_path / "state" / "lock", "other"):
        said = run_and_list_imports(arguments, tmp_path, code)
    assert "heavy: []" in said
    assert words in " ".join(said.split())
