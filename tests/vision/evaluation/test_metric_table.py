"""What every metric keeps to, whoever adds it."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import numpy as np
import pytest

from vision.base.record import Interval
from vision.base.resampling import GroupResamples, resample_groups
from vision.config.evaluation import BootstrapSettings, ComparisonSettings
from vision.evaluation.metric_table import METRICS, Answers, Metric
from vision.evaluation.records import Evaluation

EVERY = pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
LABELS = np.arange(60) // 4 % 3
GOOD = Answers(4.0 * np.eye(3)[LABELS], LABELS, 1.0)


def spoil(num: int) -> Answers:
    """The good answers, the first `num` of them wrong."""
    classes = np.where(np.arange(60) < num, (LABELS + 1) % 3, LABELS)
    return replace(GOOD, logits=4.0 * np.eye(3)[classes])


def draw(frames: int) -> GroupResamples:
    groups = (np.arange(60) // frames).astype(np.str_)
    return resample_groups(groups, BootstrapSettings(resamples=200), np.random.default_rng(0))


def width(interval: Interval) -> float:
    return interval.high - interval.low


def test_the_comparison_chooses_among_metrics_of_the_table() -> None:
    assert set(get_args(ComparisonSettings.model_fields["metric"].annotation)) <= set(METRICS)


@EVERY
def test_a_row_has_one_function_and_a_field_of_the_evaluation(metric: Metric) -> None:
    assert METRICS[metric.name] is metric
    assert (metric.per_image is None) != (metric.of_counts is None)
    assert Evaluation.model_fields[metric.name].annotation is Interval


@EVERY
def test_the_better_answers_are_favoured(metric: Metric) -> None:
    drawn = draw(1)
    values = [metric.favour(metric.estimate(spoil(num), drawn).value) for num in (0, 10, 40)]
    assert values == sorted(values, reverse=True)
    assert values[0] > values[2]


@EVERY
def test_a_difference_is_that_of_the_figures_and_positive_for_the_better(metric: Metric) -> None:
    drawn, bad = draw(1), spoil(20)
    found = metric.compare(GOOD, bad, drawn)
    figures = [metric.favour(metric.estimate(each, drawn).value) for each in (GOOD, bad)]
    assert found.value == pytest.approx(figures[0] - figures[1])
    assert 0 < found.low <= found.value <= found.high
    assert metric.compare(bad, GOOD, drawn).value == pytest.approx(-found.value)
    assert metric.compare(bad, bad, drawn) == Interval(value=0.0, low=0.0, high=0.0)


@EVERY
def test_images_of_a_group_that_answer_alike_count_as_one(metric: Metric) -> None:
    assert width(metric.estimate(spoil(20), draw(4))) > 1.3 * width(metric.estimate(spoil(20), draw(1)))


@EVERY
def test_one_group_gives_no_interval(metric: Metric) -> None:
    found = metric.estimate(spoil(20), draw(60))
    assert np.isfinite(found.value)
    assert np.isnan([found.low, found.high]).all()
