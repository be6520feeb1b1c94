"""Each pipeline once, really run: training and deployment, monitoring, the decision on retraining."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.end_to_end.loop import Loop, run_loop
from vision.config.loading import load_config

pytestmark = [pytest.mark.end_to_end, pytest.mark.slow]


@pytest.fixture(scope="module")
def loop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loop]:
    with run_loop(tmp_path_factory.mktemp("project")) as made:
        yield made


def test_a_training_that_promotes_is_deployed_and_answers_as_the_pipeline(loop: Loop) -> None:
    assert loop.trained.code == 0, loop.trained.output[-4000:]
    gate = loop.project.summary()["gate"]
    assert (gate["verdict"], gate["bundle_digest"]) == ("promoted", loop.served())


def test_a_search_of_settings_ends_with_a_page_and_a_config_that_training_takes(loop: Loop) -> None:
    settings = ("tuning.trials=2", "tuning.space.augment=[light]", "training.candidates.cnn.epochs=2")
    overrides = [part for each in settings for part in ("--set", each)]
    done = loop.command("--pipeline", "tuning", *overrides)
    assert done.code == 0, done.output[-4000:]
    folder = loop.newest("tuning")
    assert len(json.loads((folder / "summary.json").read_text())["trials"]) == 2
    assert (folder / "tuning.html").is_file()
    for config in folder.glob("*-tuned.yaml"):  # none where no trial was better
        assert set(load_config(config).training.candidates) == {"cnn", "cnn_tuned"}


def test_answers_to_images_like_those_of_calibration_are_quiet(loop: Loop) -> None:
    answers = loop.ask(range(40), dimmed=False)
    assert answers.num_right == len(answers.given)
    verdict = loop.monitor()["verdict"]
    assert (verdict["status"], verdict["verified"]) == ("quiet", True)


def test_without_drift_and_new_images_nothing_is_trained_again(loop: Loop) -> None:
    summary = loop.retrain()
    assert (summary["training"], summary["decision"]["trigger"]) == (None, "none")
