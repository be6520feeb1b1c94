"""Measure one model on one split, by the rule that is served."""

from typing import Annotated

from zenml import step

from materializers.names import ArtifactName
from vision.base.outputs import ModelOutputs
from vision.config.evaluation import BootstrapSettings
from vision.data.labelled import select
from vision.data.records import Split, Splits
from vision.decision.held_out import HeldOut
from vision.decision.records import DecisionRule, OodDetector
from vision.evaluation.answered import Images
from vision.evaluation.evaluate import Subject
from vision.evaluation.evaluate import evaluate as evaluate_outputs
from vision.evaluation.records import Evaluation


@step
def evaluate(
    candidate: str,
    outputs: ModelOutputs,
    splits: Splits,
    split: Split,
    form: str,
    rule: DecisionRule,
    detector: OodDetector,
    bootstrap: BootstrapSettings,
    seed: int,
    far: dict[str, ModelOutputs] | None = None,
    held_out: HeldOut | None = None,
    dropouts: dict[str, float] | None = None,
) -> Annotated[Evaluation, ArtifactName.EVALUATION]:
    """Everything measured: accuracy, calibration, unknowns, decisions, with intervals.

    `dropouts` has the rate of each candidate whose last layer was trained with dropout.
    """
    dropout = (dropouts or {}).get(candidate, 0.0)
    unknown = select(outputs, splits, split, unknown=True)
    if held_out is None:
        images = Images(select(outputs, splits, split), unknown, far, dropout=dropout)
    else:
        known = held_out.at(splits.rows(split))
        labelled = known.label(outputs, splits)
        images = Images(labelled, unknown, far, known.scores, known.stranger_scores, dropout)
    return evaluate_outputs(images, rule, detector, Subject(candidate, split, form), bootstrap, seed)
