"""Each step looks at the splits that it is meant for and at no other.

The outputs given to a step hold just the rows that it may read: `ModelOutputs.take` refuses all others.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from steps.decision.calibrate import calibrate
from steps.decision.fit_unknowns import fit_unknowns
from steps.decision.set_thresholds import set_thresholds
from steps.evaluation.evaluate import evaluate
from tests.vision.toy import MSP, make_rule, make_splits
from vision.base.outputs import FoldHeads, ModelOutputs
from vision.bundle import parity
from vision.bundle.differences import Draws
from vision.bundle.engine import Engine
from vision.bundle.records import ExportedGraphs, PrecisionReport
from vision.config.decision import ReviewSettings, UnknownSettings
from vision.config.evaluation import BootstrapSettings
from vision.config.export import ExportSettings, Precision
from vision.data.labelled import rows_of
from vision.data.quality import QUALITY_COLUMNS
from vision.data.records import Split
from vision.decision.held_out import HeldOut
from vision.decision.records import OodDetector
from vision.decision.scores import OodScore, stack_parts
from vision.decision.served import Served

NAMES = ("bream", "cod")
PER_SPLIT = 24
BOOTSTRAP = BootstrapSettings(resamples=100)
SPLITS = make_splits(
    [(NAMES[i % 2], f"{split}{i // 2}", split) for split in Split for i in range(PER_SPLIT)], NAMES
)


def make_all_outputs() -> ModelOutputs:
    """Outputs of every row: two clusters, wider from split to split, so that no two splits are alike."""
    rng = np.random.default_rng(4)
    labels = SPLITS.labels()
    width = np.repeat([0.2, 0.5, 0.8, 1.1], PER_SPLIT)[:, None]
    embeddings = np.eye(2)[labels] * 2 + rng.normal(size=(len(labels), 2)) * width
    kernel = np.array([[1.5, -1.5], [-1.5, 1.5]])
    return ModelOutputs(
        rows=np.arange(len(labels)),
        logits=(embeddings @ kernel).astype(np.float32),
        embeddings=embeddings.astype(np.float32),
        quality=rng.normal(size=(len(labels), len(QUALITY_COLUMNS))).astype(np.float32),
        kernel=kernel.astype(np.float32),
        bias=np.zeros(2, dtype=np.float32),
    )


def outputs_of(*splits: Split) -> ModelOutputs:
    """Outputs of the rows of some splits, and of no other."""
    return make_all_outputs().take(rows_of(SPLITS, *splits))


def hold_out_from(outputs: ModelOutputs, score: str = "msp") -> tuple[OodDetector, HeldOut]:
    """Detector and held-out answers of a network that was not cross-fitted."""
    detector, held_out = fit_unknowns.entrypoint(outputs, FoldHeads.none(), SPLITS, score, seed=0)
    return detector, held_out


def test_without_folds_the_rule_is_fitted_on_the_calibration_split_alone() -> None:
    rule_of = set_thresholds.entrypoint
    arguments = (
        SPLITS,
        make_rule(NAMES).temperature,
        UnknownSettings(score="msp"),
        ReviewSettings(target_risk=0.3),
    )
    _, held_out = hold_out_from(make_all_outputs())
    known = outputs_of(Split.CALIBRATION)
    np.testing.assert_array_equal(held_out.for_fitting().rows, known.rows)
    np.testing.assert_array_equal(held_out.for_fitting().logits, known.logits)
    assert calibrate.entrypoint(held_out, BOOTSTRAP, seed=0).num_images == PER_SPLIT
    rule = rule_of(held_out, *arguments)
    assert rule.unknown.num_images == rule.review.num_images == PER_SPLIT


def test_the_detector_is_fitted_on_train_and_scaled_on_validation() -> None:
    outputs = outputs_of(Split.TRAIN, Split.VALIDATION, Split.CALIBRATION)
    detector, _ = hold_out_from(outputs, "ewk")
    train, validation = outputs_of(Split.TRAIN), outputs_of(Split.VALIDATION)
    parts = stack_parts(detector.arrays, OodScore.EWK, validation.logits, validation.embeddings)
    assert detector.score_name == OodScore.EWK
    np.testing.assert_allclose(detector.arrays["embedding_mean"], train.embeddings.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(detector.arrays["ewk_location"], parts.mean(axis=0))
    np.testing.assert_allclose(detector.arrays["ewk_scale"], parts.std(axis=0))


@pytest.mark.parametrize("split", [Split.VALIDATION, Split.TEST])
def test_an_evaluation_is_of_the_split_asked_for_alone(split: Split) -> None:
    detector, _ = hold_out_from(outputs_of(Split.TRAIN, Split.VALIDATION, Split.CALIBRATION))
    arguments = (SPLITS, split, "fp16", make_rule(NAMES), detector, BOOTSTRAP, 0)
    evaluation = evaluate.entrypoint("cnn", outputs_of(split), *arguments)
    assert evaluation.split == split
    assert evaluation.num_images == PER_SPLIT
    of_all = evaluate.entrypoint("cnn", make_all_outputs(), *arguments)
    assert evaluation.model_dump_json() == of_all.model_dump_json()


def check_fp16(monkeypatch: pytest.MonkeyPatch, folder: Path, exported: ModelOutputs) -> PrecisionReport:
    """The report on a graph that gives these outputs."""
    monkeypatch.setattr(Engine, "of", lambda *_: None)
    monkeypatch.setattr(parity, "run_engine", lambda _engine, _images, rows: exported.take(rows))
    images = np.zeros((0, 8, 8, 3), dtype=np.uint8)
    (folder / "fp16.tflite").write_bytes(b"graph")
    graphs = ExportedGraphs(
        root=folder, files={"fp16.tflite": "0"}, candidate="cnn", image_size=8, num_parameters=1
    )
    return parity.check_graphs(
        graphs,
        parity.run_graphs(graphs, images, SPLITS),
        Served(outputs_of(Split.TRAIN, Split.VALIDATION, Split.CALIBRATION), make_rule(NAMES), MSP),
        SPLITS,
        ExportSettings(),
        Draws.of(SPLITS, BOOTSTRAP, 0),
    )


def test_exported_precisions_are_compared_on_the_validation_split_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    report = check_fp16(monkeypatch, tmp_path, outputs_of(Split.VALIDATION))
    assert report.num_images == PER_SPLIT
    assert [(row.precision, row.num_bytes, row.within_tolerance) for row in report.rows] == [
        (Precision.FP16, 5, True)
    ]
    assert report.rows[0].max_probability_difference == 0.0


@pytest.mark.parametrize("part", ["logits", "early"])
def test_a_precision_that_overflows_is_a_row_and_ends_nothing(
    part: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    outputs = outputs_of(Split.VALIDATION)
    outputs = dataclasses.replace(outputs, early=np.ones((len(outputs.rows), 4), np.float32))
    values = getattr(outputs, part).copy()
    values[0, 0] = np.inf
    (row,) = check_fp16(monkeypatch, tmp_path, dataclasses.replace(outputs, **{part: values})).rows
    assert not row.runs
    assert not row.within_tolerance
    assert "not finite" in row.reasons[0]
