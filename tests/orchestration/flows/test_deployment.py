"""What is in production and what answers, on a real ZenML store with real services.

`tests/orchestration/deployment_toy.py` plays the story in a process of its own and writes down what it saw.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.processes import play_story

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    loaded, _ = play_story("tests.orchestration.flows.deployment_toy", tmp_path_factory.mktemp("home"))
    return loaded


def test_without_a_champion_there_is_nothing_to_deploy_or_to_watch(seen: dict[str, Any]) -> None:
    for code, message in (seen["no_champion"], seen["nothing_to_watch"]):
        assert code == 2
        assert "No model toy is in production" in message
        assert "No other model is in production either. Train it: python run.py" in message


def test_a_config_that_names_another_model_is_told_which_are_in_production(seen: dict[str, Any]) -> None:
    consequences = "is nothing to serve", "are no answers to judge", "is nothing to go back from"
    for (code, message), consequence in zip(seen["misnamed"], consequences, strict=True):
        assert code == 2
        assert f"No model elsewhere is in production, so there {consequence}. In production: toy" in message
        assert "said by the config's `name`, here elsewhere. If" in message
        assert "give it here too: --set name=toy. Or train it" in message


def test_without_a_log_there_is_too_little_to_judge_and_that_is_no_failure(seen: dict[str, Any]) -> None:
    code, message = seen["no_answers"]
    assert code == 0
    assert "there is no prediction log" in message


def test_a_champion_is_deployed_and_answers_as_the_pipeline_does(seen: dict[str, Any]) -> None:
    code, message, state = seen["first"]
    assert code == 0
    assert "deployed: toy version 1 answers on" in message
    assert (state["answered_by"], state["served"], state["said"]) == ("1", seen["digests"][0], "unknown")
    deployment = seen["deployment"]
    assert (deployment["num_images"], deployment["num_equal_decisions"]) == (6, 6)
    assert deployment["num_unknown_images"] == 2
    assert deployment["max_probability_difference"] == 0.0
    assert (deployment["digest"], deployment["url"]) == (seen["digests"][0], state["url"])


@pytest.mark.parametrize("asked", ["report", "report_by_prefix"])
def test_the_report_of_a_deployment_is_refused_with_where_to_look(seen: dict[str, Any], asked: str) -> None:
    code, said = seen[asked][:2]
    assert code == 2
    assert "is of the pipeline deployment, whose runs have no folder" in said
    assert "python run.py service status" in said
    assert "run it again" not in said
    assert seen["report"][2] is False


def test_the_report_of_a_monitoring_run_is_written_again(seen: dict[str, Any]) -> None:
    code, said, folder = seen["report_of_monitoring"]
    assert (code, said.replace(" ", "")) == (0, f"Wrote{folder}")  # a terminal breaks a long path
    assert (Path(folder) / "summary.json").is_file()


def test_there_is_nothing_to_go_back_to_from_the_first_champion(seen: dict[str, Any]) -> None:
    code, message, state = seen["nothing_to_go_back_to"]
    assert (code, state) == (2, seen["first"][2])
    assert "There is no earlier champion of toy than version 1" in message


def test_a_deployment_that_cannot_succeed_is_refused_in_one_message_and_leaves_no_run(
    seen: dict[str, Any],
) -> None:
    code, message, state = seen["wrong_variable"]
    assert (code, state) == (2, seen["first"][2])
    assert message.startswith("ConfigError: ")
    assert "TAXON_API_KEYS: expected name:key" in message
    assert seen["runs_of_refusals"] == 0


def test_starting_a_service_that_runs_changes_nothing_and_has_nothing_more_to_tell(
    seen: dict[str, Any],
) -> None:
    code, said = seen["start_again"]
    assert code == 0
    assert seen["first"][2]["url"] in said
    assert "Not served yet" not in said
    assert "not moved" not in said
    assert "python run.py deploy" not in said
    assert seen["start_of_other_code"][0] == 0
    assert "other code" in seen["start_of_other_code"][1]
    assert "python run.py deploy NAME" in seen["start_of_other_code"][1]
    assert seen["wrong_variable"][2]["pid"] == seen["first"][2]["pid"]


def test_starting_a_service_that_runs_somewhere_else_does_not_move_it_and_says_so(
    seen: dict[str, Any],
) -> None:
    code, said, state = seen["start_elsewhere"]
    assert (code, state) == (0, seen["first"][2])
    assert "It ran already and was not moved to 127.0.0.1:1. To move it: python run.py service stop" in said


def test_starting_a_service_tells_of_a_champion_that_is_not_served_yet(seen: dict[str, Any]) -> None:
    code, said = seen["start"]
    assert code == 0
    assert seen["first"][2]["url"] in said
    assert f"Not served yet: version 2, digest {seen['digests'][1][:16]}" in said


def test_a_second_champion_replaces_the_first_on_its_port_and_no_other_process(seen: dict[str, Any]) -> None:
    code, message, state = seen["second"]
    assert code == 0
    assert message.startswith("promoted: better.\ndeployed: toy version 2")
    assert (state["answered_by"], state["served"]) == ("2", seen["digests"][1])
    assert seen["digests"][0] != seen["digests"][1]
    assert state["url"] == seen["first"][2]["url"]
    assert state["pid"] != seen["first"][2]["pid"]
    assert seen["stranger_lives"]


def test_a_rollback_puts_the_previous_champion_into_production_and_service(seen: dict[str, Any]) -> None:
    code, message, state = seen["back"]
    assert code == 0
    assert "toy version 1 is in production again, version 2 is archived" in message
    assert "rolled back before" not in message
    assert "in place of" not in message
    assert (state["version"], state["answered_by"]) == ("1", "1")
    assert (state["champion"], state["served"]) == (seen["digests"][0], seen["digests"][0])


def test_a_second_rollback_says_that_it_goes_forward(seen: dict[str, Any]) -> None:
    code, message = seen["forward"]
    assert code == 0
    assert "version 1 is archived. Version 2 is the newer of the two: it was rolled back before." in message


def test_a_rollback_leaves_a_trace_at_both_versions(seen: dict[str, Any]) -> None:
    for audit in seen["audit"].values():
        assert (audit["withdrawn_version"], audit["restored_version"]) == ("2", "1")
        assert audit["time"].startswith("20")


def test_a_rollback_to_a_tampered_bundle_changes_nothing(seen: dict[str, Any]) -> None:
    code, message, state = seen["back_to_tampered"]
    assert (code, state) == (1, seen["back"][2])
    assert "BundleError" in message
    assert "fp32.tflite" in message


def test_a_deployment_that_fails_after_a_promotion_says_so_and_keeps_the_old_service(
    seen: dict[str, Any],
) -> None:
    code, message, state = seen["tampered"]
    assert (code, state) == (1, seen["back"][2])
    assert message.startswith("promoted: better.\nThe promotion stands, but the new champion is not served: ")
    assert "fp32.tflite" in message
    assert "python run.py --pipeline deployment" in message
    assert seen["deployed"]
