"""What views of a picture and an ensemble of the candidates gain on test, and what they cost."""

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Annotated, Any

import numpy as np
from zenml import step

from materializers.names import ArtifactName
from vision.base.outputs import ModelFile, ModelOutputs
from vision.base.record import IntArray
from vision.bundle.engine import Engine, run_engine
from vision.bundle.records import ExportedGraphs
from vision.config.decision import UnknownSettings
from vision.config.evaluation import BootstrapSettings, EvaluationSettings
from vision.config.export import Precision
from vision.data.labelled import rows_of, select
from vision.data.records import DatasetRef, Split, Splits
from vision.data.store import open_images, settings_of
from vision.data.views import ViewedImages
from vision.decision.records import DecisionRule, OodDetector
from vision.evaluation.answered import FAR, NEAR, pool_far
from vision.evaluation.far import make_all_far
from vision.evaluation.gains import Shown, average_opinions, form_opinion
from vision.evaluation.gains import measure_gains as compare_opinions
from vision.evaluation.records import Gains

Run = Callable[[Any, IntArray], ModelOutputs]
"""A network on some rows of images (n, s, s, 3)."""


@step
def measure_gains(
    graphs: ExportedGraphs,
    precision: str,
    dataset: DatasetRef,
    splits: Splits,
    unknowns: UnknownSettings,
    rule: DecisionRule,
    detector: OodDetector,
    candidates: list[ModelFile],
    rules: list[DecisionRule],
    detectors: list[OodDetector],
    settings: EvaluationSettings,
    bootstrap: BootstrapSettings,
    seed: int,
) -> Annotated[Gains, ArtifactName.GAINS]:
    """The served graph once, the mean over its views and the mean over all candidates, paired."""
    from vision.training.nets.inference import run_model

    test = open_images(dataset)
    far = make_all_far(unknowns.num_far, settings_of(dataset), seed, unknowns.strangers)
    engine = Engine.of(graphs, Precision(precision))

    def show(run: Run, view: int = 0) -> Shown:
        return _show(
            run,
            {"test": ViewedImages(test, view)} | {k: ViewedImages(v, view) for k, v in far.items()},
            splits,
        )

    shown = [show(partial(run_engine, engine), view) for view in range(settings.views)]
    views = [form_opinion("one answer", each, rule, detector) for each in shown]
    several = [average_opinions(f"{settings.views} views of each picture", views)]
    if len(candidates) > 1:
        opinions = [
            form_opinion(each.candidate, _untimed(show(partial(run_model, each))), own, its_detector)
            for each, own, its_detector in zip(candidates, rules, detectors, strict=True)
        ]
        several.append(
            average_opinions(f"all candidates: {', '.join(each.name for each in opinions)}", opinions)
        )
    return compare_opinions(views[0], several, shown[0].known, shown[0].others, bootstrap, seed)


def _untimed(shown: Shown) -> Shown:
    """What Keras says, without its time: loading and compiling it say nothing of a service."""
    return replace(shown, ms=float("nan"))


def _show(run: Run, shown: dict[str, ViewedImages], splits: Splits) -> Shown:
    """What a network says of the test images, known and held out, and of far ones, and how long it took."""
    started = time.perf_counter()
    rows = {kind: np.arange(len(each)) for kind, each in shown.items()} | {
        "test": rows_of(splits, Split.TEST)
    }
    outputs = {kind: run(each, rows[kind]) for kind, each in shown.items()}
    seconds = time.perf_counter() - started
    tested = outputs.pop("test")
    near = select(tested, splits, Split.TEST, unknown=True)
    others = ({NEAR: near} if len(near.groups) else {}) | {FAR: pool_far(outputs)}
    number = sum(len(each) for each in rows.values())
    return Shown(select(tested, splits, Split.TEST), others, 1000 * seconds / number)
