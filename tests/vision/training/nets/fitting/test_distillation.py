"""A student is drawn to its teacher, by weight and temperature, and judged on the true labels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose
from pydantic import ValidationError

from tests.vision.training.nets.toy import KERAS_WARNINGS, make_images, tiny_settings, train_tiny
from vision.base.outputs import ModelOutputs
from vision.base.record import FloatArray
from vision.base.softmax import softmax
from vision.config.augment import AugmentSettings
from vision.config.training import TrainingSettings
from vision.data.records import Split
from vision.training.nets.fitting.batches import Examples, training_batches
from vision.training.nets.fitting.distillation import TruthAccuracy, TruthNll
from vision.training.nets.fitting.fit import train_candidate
from vision.training.nets.fitting.recipe import make_loss
from vision.training.nets.fitting.state import TrainingInputs
from vision.training.nets.inference import run_model

pytestmark = [pytest.mark.slow, KERAS_WARNINGS]

LOGITS = np.array([[2.0, 0.0, -1.0], [0.5, 1.0, 0.0]], "f")
LABELS = np.eye(3, dtype="f")[[0, 2]]
TEACHER = np.array([[0.5, 0.3, 0.2], [0.1, 0.2, 0.7]], "f")


def cross_entropy(targets: FloatArray, logits: FloatArray) -> float:
    return float(-(targets * np.log(softmax(logits))).sum(axis=1).mean())


def test_the_loss_weighs_labels_and_teacher_softened_on_both_sides() -> None:
    loss = make_loss(tiny_settings(distil_from="big", distil_temperature=3.0, distil_weight=0.25))
    expected = 0.75 * cross_entropy(LABELS, LOGITS) + 0.25 * 9 * cross_entropy(TEACHER, LOGITS / 3)
    assert_allclose(float(loss(np.hstack([LABELS, TEACHER]), LOGITS)), expected, rtol=1e-5)
    assert_allclose(float(loss(LABELS, LOGITS)), cross_entropy(LABELS, LOGITS), rtol=1e-5)


def test_accuracy_and_nll_are_those_of_the_labels() -> None:
    accuracy, nll = TruthAccuracy(), TruthNll(from_logits=True)
    for metric in (accuracy, nll):
        metric.update_state(np.hstack([LABELS, TEACHER]), LOGITS)
    assert float(accuracy.result()) == 0.5
    assert_allclose(float(nll.result()), cross_entropy(LABELS, LOGITS), rtol=1e-5)


@pytest.mark.parametrize("policy", ["none", "mixup"])
def test_each_image_keeps_its_own_teacher_and_mixed_images_mix_theirs(policy: str) -> None:
    labels = np.arange(8) % 2
    images = np.repeat(labels * 200, 8 * 8 * 3).reshape(8, 8, 8, 3).astype(np.uint8)
    teacher = np.eye(2, dtype="f")[1 - labels] * 0.6 + 0.2
    settings = AugmentSettings.model_validate(
        {"policy": "none"} | ({"mixup": 1.0} if policy != "none" else {})
    )
    examples = Examples(images, np.arange(8), labels, 2, np.ones(8, "f"), teacher)
    ((inputs, targets, weights),) = training_batches(examples, 8, 1, 1, settings)[0].as_numpy_iterator()
    share = inputs.mean(axis=(1, 2, 3)) / 200
    assert_allclose(targets[:, 1], share, atol=1e-5)
    assert_allclose(targets[:, 2], 0.2 + 0.6 * share, atol=1e-5)
    assert_allclose(weights, 1.0, atol=1e-6)


def test_a_student_that_learns_from_the_teacher_alone_answers_as_it_does(tmp_path: Path) -> None:
    """The teacher calls every class by the name of the next, which no label says."""
    images, splits = make_images()
    rows = splits.rows(Split.TRAIN)
    truth = splits.labels()
    plain = run_model(train_tiny()[0], images, rows)
    swapped = 8 * np.eye(3, dtype="f")[(truth[rows] + 1) % 3]
    teacher: ModelOutputs = replace(plain, logits=swapped)
    settings = tiny_settings(backbone="cnn", epochs=8, distil_from="big", distil_weight=1.0)
    _, _, history = train_candidate(
        TrainingInputs("tiny", settings, images, splits, 3, teacher), tmp_path / "b"
    )
    assert history.epochs[-1].accuracy < 0.1
    assert any("100% learned from big at temperature 2" in each for each in history.recipe)


def test_teachers_come_first_and_only_candidates_or_the_champion_teach() -> None:
    def settings(**teachers: str | None) -> TrainingSettings:
        return TrainingSettings.model_validate(
            {
                "candidates": {
                    name: {"backbone": "cnn", "distil_from": teacher} for name, teacher in teachers.items()
                }
            }
        )

    assert list(settings(small="big", big=None, other="champion").in_order()) == ["big", "small", "other"]
    for wrong, words in (
        ({"small": "bigg", "big": None}, "another candidate"),
        ({"small": "small"}, "there is none"),
        ({"a": "b", "b": "c", "c": None}, "teacher itself"),
        ({"champion": None}, "is taken"),
    ):
        with pytest.raises(ValidationError, match=words):
            settings(**wrong)
    with pytest.raises(ValidationError, match="distil_weight is read by distil_from"):
        tiny_settings(distil_weight=0.9)
