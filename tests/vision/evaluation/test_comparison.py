from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from tests.vision.toy import make_held_out, make_rule
from vision.base.errors import DataError
from vision.base.outputs import ModelFile, ModelOutputs
from vision.base.record import Interval
from vision.base.softmax import nll
from vision.config.evaluation import BootstrapSettings, ComparisonSettings
from vision.data.records import Split, Splits
from vision.decision.held_out import HeldOut
from vision.evaluation.comparison import (
    choose_winner,
    line_up,
    paired_difference,
    winner_index,
)
from vision.evaluation.metrics import class_counts, class_indicators
from vision.evaluation.records import Comparison, Evaluation, UnknownRow

Array = npt.NDArray[Any]
NUM = 240
CLASSES = ("angler", "bream", "cod")
BOOTSTRAP = BootstrapSettings(resamples=400)
LABELS = np.arange(NUM) % 3
SPLITS = Splits(
    class_names=CLASSES,
    digests=tuple(f"d{i}" for i in range(NUM + 10)),
    groups=tuple(f"g{i // 2}" for i in range(NUM + 10)),
    image_classes=tuple(CLASSES[i % 3] for i in range(NUM + 10)),
    splits=(Split.VALIDATION,) * NUM + (Split.TRAIN,) * 10,
)


def flat(value: float) -> Interval:
    return Interval(value=value, low=value, high=value)


def make_outputs(num_wrong: int, sharpness: float = 3.0, start: int = 0) -> ModelOutputs:
    """Logits that favour the true class, but the next one for `num_wrong` images."""
    labels = np.arange(NUM + 10) % 3
    said = labels.copy()
    said[start : start + num_wrong] = (said[start : start + num_wrong] + 1) % 3
    logits = (sharpness * np.eye(3)[said]).astype(np.float32)
    nothing = np.zeros((NUM + 10, 2), dtype=np.float32)
    return ModelOutputs(np.arange(NUM + 10), logits, nothing, nothing, np.zeros((2, 3)), np.zeros(3))


def make_evaluation(name: str, outputs: ModelOutputs) -> Evaluation:
    logits = outputs.logits[:NUM]
    predictions = logits.argmax(axis=1)
    counts = class_counts(class_indicators(LABELS, predictions, 3).sum(axis=0))
    rows = [("fwk", 0.8, 0.4), ("msp", 0.7, np.nan)]
    return Evaluation(
        candidate=name,
        split="validation",
        form="keras",
        num_images=NUM,
        num_groups=NUM // 2,
        accuracy=flat(float(np.mean(predictions == LABELS))),
        macro_f1=flat(float(counts.macro_f1())),
        weighted_f1=flat(0.5),
        nll=flat(nll(logits, LABELS)),
        brier=flat(0.1),
        ece=0.01,
        ece_floor=0.02,
        adaptive_ece=0.01,
        class_names=CLASSES,
        confusion=((1, 0, 0), (0, 1, 0), (0, 0, 1)),
        classes=(),
        reliability=(),
        confidence_correct=(),
        confidence_wrong=(),
        confidence_unknown=(),
        unknown=tuple(
            UnknownRow(
                class_name="all",
                kind="near",
                score_name=score,
                auroc=flat(value),
                fpr_at_95_tpr=0.5,
                found=found,
                num_images=9,
            )
            for score, value, found in rows
        ),
        roc=(),
        rates=(),
        mistakes=(),
        examples=(),
    )


def make_model(name: str, num_parameters: int) -> ModelFile:
    return ModelFile(
        root=Path("unused"),
        files={},
        candidate=name,
        backbone="cnn",
        num_parameters=num_parameters,
        embedding_width=2,
        strategy="frozen" if name == "frozen" else "two_phase",
        head_only=name in {"frozen", "failed"},
    )


def held_out_of(outputs: ModelOutputs) -> HeldOut:
    return make_held_out(outputs.logits, SPLITS.labels(), SPLITS.groups)


def run(
    candidates: dict[str, tuple[ModelOutputs, int]],
    metric: str = "accuracy",
    promises: dict[str, dict[str, Any]] | None = None,
) -> Comparison:
    rule = make_rule(CLASSES)
    rules = [
        rule.model_copy(update={"review": rule.review.model_copy(update=(promises or {}).get(name, {}))})
        for name in candidates
    ]
    contenders, truth = line_up(
        [make_evaluation(name, outputs) for name, (outputs, _) in candidates.items()],
        [make_model(name, size) for name, (_, size) in candidates.items()],
        [held_out_of(outputs) for outputs, _ in candidates.values()],
        rules,
        SPLITS,
    )
    settings = ComparisonSettings.model_validate({"metric": metric})
    return choose_winner(contenders, truth, settings, BOOTSTRAP, seed=0)


@pytest.mark.parametrize(
    ("less", "words"),
    [
        ({"attainable": False}, "decides more alone"),
        ({"coverage": 0.1}, "decides more alone"),
        ({"target_risk": 0.2}, "strictest promise"),
    ],
)
def test_of_those_that_cannot_be_told_apart_the_most_useful_wins(less: dict[str, Any], words: str) -> None:
    better, worse = make_outputs(10, sharpness=3.0), make_outputs(12, sharpness=2.0, start=100)
    result = run({"fine": (better, 10), "frozen_": (worse, 1000)}, promises={"fine": less})
    assert result.winner == "frozen_"
    assert words in result.reason
    fine, frozen = result.candidates
    assert frozen.decided_alone == 0.9
    assert frozen.promised_risk == 0.02
    assert fine.promised_risk == (None if "attainable" in less else less.get("target_risk", 0.02))


def test_what_is_decided_alone_does_not_outweigh_a_proven_accuracy() -> None:
    candidates = {"right": (make_outputs(10), 1), "wrong": (make_outputs(60), 1)}
    assert run(candidates, promises={"right": {"attainable": False}}).winner == "right"


def test_the_clearly_best_wins_whatever_its_nll_and_size() -> None:
    good, bad = make_outputs(6, sharpness=9.0), make_outputs(60)
    result = run({"small": (bad, 10), "large": (good, 1000)})
    assert result.winner == "large"
    assert winner_index(result) == 1
    assert "beyond doubt" in result.reason
    accuracy = result.differences[0]
    assert (accuracy.metric, accuracy.first, accuracy.second) == ("accuracy", "large", "small")
    assert accuracy.difference.value == pytest.approx(54 / 240)
    assert accuracy.difference.low > 0


def test_of_those_that_cannot_be_told_apart_the_lowest_nll_wins() -> None:
    leader = make_outputs(10, sharpness=12.0)
    calibrated = make_outputs(12, sharpness=3.0, start=100)
    result = run({"leader": (leader, 10), "calibrated": (calibrated, 1000)})
    assert result.winner == "calibrated"
    assert "leader has the best accuracy" in result.reason
    assert "lowest calibrated NLL" in result.reason
    loss = next(d for d in result.differences if d.metric == "nll")
    assert (loss.first, loss.second) == ("calibrated", "leader")
    assert loss.difference.value > 0


def test_a_low_nll_does_not_save_a_candidate_that_is_clearly_worse() -> None:
    result = run({"wrong": (make_outputs(60, 1.0), 1), "right": (make_outputs(10, 30.0), 1)})
    assert result.winner == "right"


def test_equal_networks_are_told_apart_by_their_size_and_then_their_name() -> None:
    same = make_outputs(20)
    result = run({"big": (same, 50), "small": (same, 5), "also_small": (same, 5)})
    assert result.winner == "also_small"
    assert "fewest parameters" in result.reason


def test_a_single_candidate_wins_without_differences() -> None:
    result = run({"only": (make_outputs(20), 5)})
    assert result.winner == "only"
    assert result.differences == ()
    assert "only candidate" in result.reason


@pytest.mark.parametrize("metric", ["accuracy", "macro_f1", "nll"])
def test_a_difference_is_positive_where_the_first_is_better(metric: str) -> None:
    result = run({"good": (make_outputs(6), 10), "bad": (make_outputs(60), 10)}, metric)
    assert result.winner == "good"
    assert all(d.first == "good" and d.difference.low > 0 for d in result.differences)
    own = [getattr(make_evaluation("x", make_outputs(n)), metric).value for n in (6, 60)]
    expected = own[1] - own[0] if metric == "nll" else own[0] - own[1]
    assert result.differences[0].difference.value == pytest.approx(expected)


def test_the_row_of_a_candidate_shows_the_deciding_unknown_score() -> None:
    row = run({"only": (make_outputs(20), 5)}).candidates[0]
    assert row.unknown_auroc == 0.8
    assert (row.backbone, row.num_parameters) == ("cnn", 5)


def test_the_order_of_candidates_does_not_change_the_winner() -> None:
    first = {"a": (make_outputs(10, 12.0), 10), "b": (make_outputs(12, 3.0, 100), 20)}
    backwards = dict(reversed(first.items()))
    assert run(first).winner == run(backwards).winner


def test_fine_tuning_that_failed_is_no_candidate_beside_the_frozen_one() -> None:
    same, worse = make_outputs(20, sharpness=9.0), make_outputs(60)
    result = run({"failed": (same, 10), "frozen": (same, 10), "other": (worse, 20)})
    assert result.winner == "frozen"
    assert "cannot be told" not in result.reason
    assert "did not help failed" in result.reason
    assert [row.fine_tuning_failed for row in result.candidates] == [True, False, False]
    assert "failed" not in {name for each in result.differences for name in (each.first, each.second)}
    alone = run({"failed": (same, 10), "other": (worse, 20)})
    assert alone.winner == "failed"


def test_no_candidate_is_refused() -> None:
    with pytest.raises(DataError, match="at least one"):
        run({})


def test_paired_differences_shrink_with_what_both_share() -> None:
    rng = np.random.default_rng(0)
    shared = rng.random(300) < 0.7
    first, second = shared.copy(), shared.copy()
    second[:6] = False
    paired = paired_difference(first, second, np.arange(300), BOOTSTRAP, rng)
    alone = paired_difference(first, np.zeros(300), np.arange(300), BOOTSTRAP, rng)
    assert paired.value == pytest.approx(first.mean() - second.mean())
    assert paired.high - paired.low < 0.5 * (alone.high - alone.low)


def test_paired_values_of_different_images_are_refused() -> None:
    with pytest.raises(ValueError, match="same images on both sides"):
        paired_difference(np.ones(3), np.ones(4), np.arange(3), BOOTSTRAP, np.random.default_rng(0))


def test_equal_candidates_are_not_told_apart_by_their_position() -> None:
    same = make_outputs(20)
    assert winner_index(run({"b": (same, 5), "a": (same, 5)})) == 1
