"""`serve` takes what was promoted last, says so, and deploys it by the config of its own training."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from orchestration.flows.running.runner import Outcome
from orchestration.servers import production, service
from orchestration.servers.production import serve_production
from orchestration.session.paths import ProjectPaths
from orchestration.store.rows import ChampionRow
from tests.example_data import make_config
from vision.base.errors import ConfigError

OLD = ChampionRow("reef", "3", "a" * 64, "2026-01-01 00:00:00")
NEW = ChampionRow("my-fish", "1", "b" * 64, "2026-02-01 00:00:00")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A project whose registry and service are told by the test; what was done is noted."""
    monkeypatch.setenv("TAXON_STATE", str(tmp_path))
    paths = ProjectPaths.of(tmp_path)
    done: list[Any] = []
    seen = SimpleNamespace(paths=paths, done=done, champions=(OLD, NEW), deployed=None)

    def launch(name: str, config: Any, _paths: ProjectPaths) -> Outcome:
        done.append((str(name), config.name))
        return Outcome("run", tmp_path, 0, "deployed")

    def start(*_: Any) -> int:
        done.append("started")
        return 0

    def read_deployed(_folder: Any) -> Any:
        model = SimpleNamespace(digest=seen.deployed)
        return seen.deployed and SimpleNamespace(bento=SimpleNamespace(model=model))

    def read_config(champion: ChampionRow) -> Any:
        return make_config().model_copy(update={"name": champion.model})

    monkeypatch.setattr(production, "prepare_environment", lambda _: None)
    monkeypatch.setattr(production, "list_history", lambda _: ((), seen.champions))
    monkeypatch.setattr(production, "read_deployed", read_deployed)
    monkeypatch.setattr(production, "_read_training_config", read_config)
    monkeypatch.setattr("orchestration.flows.running.runner.launch", launch)
    monkeypatch.setattr(service, "start", start)
    monkeypatch.setattr(service, "tell_status", lambda _: 0)
    return seen


def test_the_model_that_was_promoted_last_is_deployed_and_the_others_are_named(
    project: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert serve_production(project.paths, None) == 0
    assert project.done == [("deployment", "my-fish")]
    said = capsys.readouterr().out
    assert "my-fish version 1" in said
    assert "Also in production: reef; python run.py serve NAME" in said


@pytest.mark.parametrize(
    ("deployed", "done"), [(NEW.digest, ["started"]), (OLD.digest, [("deployment", "my-fish")])]
)
def test_what_is_deployed_already_is_only_started(project: Any, deployed: str, done: list[Any]) -> None:
    project.deployed = deployed
    serve_production(project.paths, None)
    assert project.done == done


def test_a_config_chooses_the_model(project: Any) -> None:
    project.deployed = NEW.digest
    serve_production(project.paths, make_config())
    assert project.done == [("deployment", "reef")]


def test_with_nothing_in_production_it_is_said_what_to_type(project: Any) -> None:
    project.champions = ()
    with pytest.raises(ConfigError, match=r"python run\.py train NAME"):
        serve_production(project.paths, None)
