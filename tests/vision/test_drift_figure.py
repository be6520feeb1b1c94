"""A verdict is drawn and tabulated whatever it says, and its title says it."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from report.figures import draw_views, style
from report.figures.drift import draw_drift, title_drift
from tests.vision.drift.test_verdict import PLAIN, REFERENCE, Sample, judge, make_window, take
from vision.drift.records import DriftReport
from vision.drift.window import Window

WINDOWS = {
    "quiet": PLAIN,
    "capture": make_window(Sample(1, 40, 3, brightness=1.5)),
    "novelty": make_window(Sample(1, 40, 3, unknown=0.5)),
    "covariate": make_window(Sample(1, 40, 3, embedding=1.0)),
    "label_mix": make_window(Sample(1, 40, 3, mix=(0.8, 0.1, 0.1))),
    "insufficient": take(PLAIN, np.arange(60)),
    "empty": take(PLAIN, np.arange(0)),
}


@pytest.mark.parametrize("window", WINDOWS.values(), ids=WINDOWS)
def test_every_verdict_has_a_picture_and_a_text(window: Window) -> None:
    report = judge(window)
    views = draw_views(report)
    assert set(views) == {"drift.md", "drift.png"}
    picture = views["drift.png"]
    assert isinstance(picture, bytes)
    image = Image.open(io.BytesIO(picture))
    assert image.width == round(style.WIDTH * style.DOTS_PER_INCH)
    assert np.asarray(image.convert("L")).std() > 1
    assert all(f"- {reason}" in str(views["drift.md"]) for reason in report.reasons)


def test_the_same_report_gives_the_same_bytes() -> None:
    assert draw_drift(judge(PLAIN)) == draw_drift(judge(PLAIN))


def test_the_title_says_the_verdict_and_what_moved() -> None:
    assert title_drift(judge(PLAIN)) == "Quiet: 120 answers are like the reference"
    assert title_drift(judge(WINDOWS["capture"])) == "Drift of capture: brightness moved"
    assert title_drift(judge(WINDOWS["insufficient"])) == "Too little to judge: 60 images in 20 groups"


def test_the_title_says_that_nobody_named_the_groups() -> None:
    times = PLAIN.times + 1000.0 * np.repeat(np.arange(40), 3)
    report = judge(replace(PLAIN, groups=np.full(120, ""), times=times))
    assert title_drift(report).startswith("Quiet (unverified)")


def moved_report(num: int) -> DriftReport:
    """A report in which the first `num` columns moved, each more than the next."""
    window = replace(PLAIN, quality=PLAIN.quality.copy())
    for column in range(num):
        window.quality[:, column] += 3.0 - 0.3 * column
    return judge(window, REFERENCE)


def test_of_many_columns_that_moved_the_title_names_two() -> None:
    names = title_drift(moved_report(2)).removeprefix("Drift of capture: ")
    assert set(names.removesuffix(" moved").split(" and ")) == {"brightness", "contrast"}
    assert title_drift(moved_report(5)).endswith("and 3 more moved")


def test_the_table_tells_medians_tests_and_estimates() -> None:
    text = str(draw_views(judge(PLAIN))["drift.md"])
    assert "| brightness | no |" in text
    assert "| unknown rate | no |" in text
    assert "| bream | 0." in text
