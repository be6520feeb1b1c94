"""A run's story: every record that a report is told from, gathered in one place.

What a run that failed halfway did not reach is None or empty; `failure` then says why it ended.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from vision.base.record import FloatArray, ImageArray
from vision.bundle.records import PrecisionReport
from vision.config.run import RunConfig
from vision.data.records import DataReport, Manifest, Splits
from vision.decision.records import DecisionRule
from vision.evaluation.records import Comparison, Evaluation, Gains
from vision.evaluation.split_inflation import SplitInflation
from vision.gate.records import Promotion, Registration
from vision.training.records import TrainingHistory

MACHINE = ("python", "platform", "processor", "instructions", "cpus", "threads", "onednn")
"""What a run records of its machine; one of an earlier version has some of it."""


@dataclass(frozen=True)
class LeftOut:
    """A candidate that this machine cannot train, and why."""

    name: str
    reason: str


@dataclass(frozen=True, eq=False)
class RunStory:
    """What happened in one run, in the order of the run.

    Attributes:
        left_out: candidates that the machine could not train.
        failure: why the run ended early; None when it reached a verdict.
        evaluations: one per candidate, on validation.
        weights: candidate that was trained -> where its weights came from.
        test: the served graph on test.
        step_seconds: step -> seconds; a cached step has 0.
        orchestration_seconds: what the run took beyond its steps' own work.
        machine: what of the machine the figures depend on, by the names in `MACHINE`; empty of a killed run.
        images: (n, s, s, 3) uint8, row i is manifest entry i; may be a memmap.
        far_images: far kind -> row -> (s, s, 3) uint8, as it was judged; those that the page shows.
        heat_maps: data-set row -> (h, w) in 0..1, where in the image the answer comes from (see
            `vision.bundle.heat_map`); of the images that the report shows large.
    """

    run_name: str
    config: RunConfig
    left_out: tuple[LeftOut, ...] = ()
    failure: str | None = None
    failed_step: str | None = None
    manifest: Manifest | None = None
    splits: Splits | None = None
    data_report: DataReport | None = None
    histories: tuple[TrainingHistory, ...] = ()
    evaluations: tuple[Evaluation, ...] = ()
    weights: dict[str, str] = field(default_factory=dict)
    comparison: Comparison | None = None
    gains: Gains | None = None
    precision_report: PrecisionReport | None = None
    inflation: SplitInflation | None = None
    rule: DecisionRule | None = None
    test: Evaluation | None = None
    promotion: Promotion | None = None
    registration: Registration | None = None
    step_seconds: dict[str, float] = field(default_factory=dict)
    cached_steps: tuple[str, ...] = ()
    orchestration_seconds: float | None = None
    versions: dict[str, str] = field(default_factory=dict)
    machine: dict[str, str | int | bool] = field(default_factory=dict)
    images_digest: str | None = None
    images: ImageArray | None = None
    far_images: Mapping[str, Mapping[int, ImageArray]] | None = None
    heat_maps: dict[int, FloatArray] = field(default_factory=dict)
