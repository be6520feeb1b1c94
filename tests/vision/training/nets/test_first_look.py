"""The first look at images is what a training of strategy frozen finds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.vision.toy import make_splits
from vision.config.training import CandidateSettings, Strategy
from vision.data.labelled import rows_of
from vision.data.records import Split
from vision.training.nets.first_look import look
from vision.training.nets.fitting.fit import train_candidate
from vision.training.nets.fitting.state import TrainingInputs
from vision.training.nets.inference import run_model


@pytest.mark.slow
def test_a_first_look_says_what_a_frozen_training_says(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    uses = (Split.TRAIN, Split.TRAIN, Split.VALIDATION, Split.CALIBRATION, Split.TEST)
    rows: list[tuple[str, str, Split | None]]
    rows = [("ab"[i % 2], f"g{i // 2}", uses[i // 2 % 5]) for i in range(40)]
    splits = make_splits(rows, ("a", "b"))
    images = rng.integers(0, 255, (40, 32, 32, 3), dtype=np.uint8)
    images[1::2, :16] //= 4
    settings = CandidateSettings(
        backbone="efficientnet_lite0",
        weights="imagenet",
        strategy=Strategy.FROZEN,
        head_regularisation=(0.01, 0.1),
    )
    outside = rows_of(splits, Split.TRAIN, Split.VALIDATION, Split.CALIBRATION)

    outputs, heads = look(settings, images, splits, 3, outside, outside)

    model, trained_heads, _ = train_candidate(TrainingInputs("c", settings, images, splits, 3), tmp_path)
    trained = run_model(model, images, outside)
    np.testing.assert_allclose(outputs.logits, trained.logits, rtol=1e-4, atol=1e-4)
    assert outputs.early is not None
    assert trained.early is not None
    np.testing.assert_allclose(outputs.early, trained.early, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(heads.folds, trained_heads.folds)
    np.testing.assert_allclose(heads.kernels, trained_heads.kernels, rtol=1e-4, atol=1e-5)
