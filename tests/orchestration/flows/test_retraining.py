"""On a real ZenML store: what starts, what does not and why, over days; the first training is killed with -9.

One store for all tests: `tests/orchestration/retraining_toy.py` plays the days and writes down what it saw.
"""

from __future__ import annotations

from typing import Any

import pytest

from orchestration.flows.retraining import tell_decision
from tests.processes import play_story
from vision.retraining.records import NewImages, RetrainDecision, Trigger

Seen = dict[str, Any]


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Seen:
    loaded, _ = play_story("tests.orchestration.flows.retraining_toy", tmp_path_factory.mktemp("home"))
    return loaded


pytestmark = pytest.mark.slow


def test_a_killed_retraining_is_written_down_without_a_verdict_and_its_folder_names_the_training(
    seen: Seen,
) -> None:
    assert seen["after_kill"] == [[0.0, True, None]]
    assert seen["killed"]["verdict"] is None
    assert seen["killed"]["run"].startswith("toy-")


def test_the_pause_counts_from_a_retraining_that_was_killed(seen: Seen) -> None:
    assert not seen["pause"]["retrain"]
    assert seen["pause"]["code"] == 0
    assert seen["pause"]["trigger"] == "new_images"
    assert "after a pause of 24 hours" in seen["pause"]["message"]


@pytest.mark.parametrize("ending", ["no_weights", "refused_data"])
def test_what_is_refused_before_a_network_is_trained_counts_neither_against_pause_nor_budget(
    seen: Seen, ending: str
) -> None:
    assert seen[ending] == {"code": 2, "hours": [0.0]}
    assert seen["kept"]["retrain"]  # in the same hour


def test_a_crash_and_a_refusal_after_the_training_count(seen: Seen) -> None:
    assert seen["crashed"] == {"code": 1, "hours": [0.0, 25.0, 51.0, 60.0]}
    assert seen["refused_late"] == {"code": 2, "hours": [0.0, 25.0, 51.0, 60.0, 61.0]}


def test_images_of_a_killed_retraining_are_learned_from_after_the_pause(seen: Seen) -> None:
    kept = seen["kept"]
    assert (kept["retrain"], kept["trigger"], kept["training"], kept["code"]) == (
        True,
        "new_images",
        "kept",
        0,
    )
    assert kept["new"] == 10


def test_a_forced_one_starts_all_the_same_and_a_refusal_of_the_gate_is_its_exit_code(seen: Seen) -> None:
    forced = seen["forced"]
    assert (forced["retrain"], forced["trigger"]) == (True, "forced")
    assert (forced["training"], forced["code"]) == ("refused", 3)


def test_two_drifts_that_monitoring_judged_start_a_retraining(seen: Seen) -> None:
    assert (seen["promoted"]["retrain"], seen["promoted"]["trigger"]) == (True, "drift")


def test_monitoring_goes_on_from_the_last_window_of_this_champion_and_of_no_former_one(seen: Seen) -> None:
    before, after = seen["monitoring_before"], seen["monitoring_after"]
    assert (before["windows"], before["previous"]) == ([2, 2, 0], 101)
    assert (after["windows"], after["previous"]) == ([2, 0, 0], None)


def test_the_log_is_trimmed_only_after_it_was_read_and_judged(seen: Seen) -> None:
    order = seen["monitoring_after"]["order"]
    assert order == {"read_window": [], "monitor": ["read_window"], "trim_log": ["monitor"]}


def test_attempts_of_former_champions_are_remembered(seen: Seen) -> None:
    assert seen["promoted"]["training"] == "promoted"
    assert seen["attempts"] == [
        [0.0, True, None],
        [25.0, True, "kept"],
        [51.0, False, "refused"],
        [60.0, False, None],
        [61.0, False, None],
        [100.0, True, "promoted"],
    ]


def test_after_a_promotion_the_folders_belong_to_the_data_set_and_nothing_is_new(seen: Seen) -> None:
    assert seen["additions"] == ["april", "may"]
    after = seen["after_clean"]
    assert (after["retrain"], after["new"], after["code"]) == (False, 0, 0)


def test_a_folder_that_the_champion_learned_from_is_not_lost_by_leaving_it_out(seen: Seen) -> None:
    assert "retraining.forget: [april]" in seen["lost"]


def test_cleaning_removes_decisions_and_no_attempt_and_leaves_the_champion_its_additions(seen: Seen) -> None:
    assert seen["attempts_after_clean"] == seen["attempts"]
    assert len(seen["left"]) < len(seen["runs"])


def test_the_training_of_a_retraining_reads_no_image_again(seen: Seen) -> None:
    assert {"ingest", "split", "count_new_images"} <= set(seen["kept"]["cached"])
    for name in ("kept", "promoted"):
        assert {"ingest", "split"} <= set(seen[name]["reused"])


def test_the_folder_of_a_decision_can_be_written_again_from_the_store(seen: Seen) -> None:
    assert seen["written_again_alike"]


def test_history_tells_decisions_and_verdicts_apart(seen: Seen) -> None:
    assert ["retraining", "no retraining"] in seen["runs"]
    assert ["retraining", "retrain: new_images"] in seen["runs"]
    assert ["training", "refused"] in seen["runs"]


def test_no_artifact_fell_back_to_pickle(seen: Seen) -> None:
    assert seen["materializers"] == ["FilesMaterializer", "FolderMaterializer", "RecordMaterializer"]


@pytest.mark.parametrize(
    ("retrain", "trigger", "words"),
    [
        (False, Trigger.NONE, "No retraining. Nothing is new. Nothing drifted."),
        (False, Trigger.DRIFT, "No retraining (asked by: drift). Nothing is new. Nothing drifted."),
        (True, Trigger.AGE, "A retraining starts (asked by: age). Nothing is new. Nothing drifted."),
    ],
)
def test_a_decision_is_told_with_who_asked_and_every_reason(
    retrain: bool, trigger: Trigger, words: str
) -> None:
    decision = RetrainDecision(
        retrain=retrain,
        trigger=trigger,
        reasons=("Nothing is new.", "Nothing drifted."),
        champion_digest="c",
        new_images=NewImages(),
        considered=(),
    )
    assert tell_decision(decision) == words
