"""The command and the pipeline give one table; answers are logged once however often they are asked for."""

from __future__ import annotations

import csv
from typing import Any

import pytest

from tests.processes import play_story

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    loaded, said = play_story("tests.orchestration.flows.prediction_toy", tmp_path_factory.mktemp("home"))
    return loaded | {"said": said}


def _table(seen: dict[str, Any], name: str) -> str:
    (table,) = seen[name]["tables"].values()
    return str(table)


def test_the_champion_answers_every_file(seen: dict[str, Any]) -> None:
    assert seen["champion"]["code"] == 0
    rows = {each["path"]: each for each in csv.DictReader(_table(seen, "champion").splitlines())}
    assert {path: row["decision"] for path, row in rows.items()} == {
        "black.png": "unknown",
        "blue.png": "accept",
        "green.png": "accept",
        "red.png": "accept",
        "torn.png": "unreadable",
    }
    assert "toy version 1, in production" in seen["said"]


def test_the_winner_of_a_run_answers_alike(seen: dict[str, Any]) -> None:
    assert _table(seen, "winner") == _table(seen, "champion")
    assert "the winner of first" in seen["said"]


@pytest.mark.parametrize("asked", ["nothing", "other", "taken", "unreadable"])
def test_what_cannot_be_answered_is_an_error(seen: dict[str, Any], asked: str) -> None:
    assert seen[asked]["code"] == 2


def test_the_pipeline_gives_the_same_table_as_an_artifact(seen: dict[str, Any]) -> None:
    assert seen["pipeline"]["code"] == 0
    assert seen["pipeline"]["table"] == _table(seen, "champion")
    assert "3 decided alone, 0 for a person, 1 unknown, 1 not readable" in seen["pipeline"]["message"]


def test_the_pipeline_answers_by_the_executor_of_its_configuration(seen: dict[str, Any]) -> None:
    assert seen["two processes"]["table"] == seen["pipeline"]["table"]
    assert seen["no cluster"]["code"] == 1
    assert "no Dask scheduler answers" in seen["no cluster"]["message"] + seen["said"]


def test_answers_are_logged_once(seen: dict[str, Any]) -> None:
    logged = seen["pipeline"]["logged"]
    assert logged == ["black.png unknown", "blue.png accept", "green.png accept", "red.png accept"]
    assert seen["pipeline again"]["logged"] == logged
