"""What a challenger must show to go into production."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from vision.config.base import Fraction, OpenFraction, Settings

UseName = Literal["decided_rightly", "known_called_unknown", "near_found", "far_found"]
"""What a model is used for beside naming classes; rows of `vision.gate.use.USES`."""


class GateSettings(Settings):
    """What a challenger must show: floors on test, and the duel with the champion."""

    min_accuracy: Fraction = Field(default=0.5, description="share of known test images named rightly")
    min_gain_over_majority: Fraction = Field(
        default=0.05, description="accuracy above the majority class; the lower bound decides"
    )
    min_gain_over_pixels: Fraction = Field(
        default=0.0,
        description="accuracy above logistic regression on raw 32x32 pixels; the upper bound decides",
    )
    max_known_called_unknown: Fraction = Field(
        default=0.2, description="upper bound on test; none of 17 groups is 0.195 at most"
    )
    min_decided: Fraction = Field(
        default=0.0,
        description="lower bound on test of known images decided rightly without a person; at 0, a model "
        "that decides nothing alone is promoted as a helper: it suggests, a person decides",
    )
    max_loss_in_use: Fraction = Field(
        default=0.02,
        description="what may be lost beyond doubt, against the champion, of known images decided rightly "
        "without a person, of look-alikes or strangers found, or to known images called unknown",
    )
    may_lose: tuple[UseName, ...] = Field(
        default=(), description="uses in which a loss is wanted, since alpha or the promised risk was changed"
    )
    min_test_groups: int = Field(default=10, ge=2, le=100_000, description="fewer groups are no evidence")
    max_loss_on_original: Fraction = Field(
        default=0.01,
        description="accuracy that a challenger may lose on the champion's own test groups without counting "
        "as worse",
    )
    loss_per_gain: Fraction = Field(
        default=0.05,
        description="what may be lost there beyond that, for each unit of accuracy that is gained beyond "
        "doubt on the other test images",
    )
    sure_from: OpenFraction = Field(
        default=0.9, description="calibrated confidence from which the champion's word weighs against a label"
    )
    ordinary_from: Fraction = Field(
        default=0.2, description="p-value from which a new image looks ordinary to the champion"
    )
    max_contradicted: Fraction = Field(
        default=0.2,
        description="share of groups of new images, in all or of a class, whose labels a sure champion may "
        "contradict; the lower bound decides; 1 once a person has seen that the labels are right",
    )
