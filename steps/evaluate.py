"""Measure one model on one split, by the rule that is served."""

from typing import Annotated

from zenml import step

from materializers.names import ArtifactName
from vision.config import BootstrapSettings
from vision.evaluation import evaluate as evaluate_outputs
from vision.labelled import select
from vision.records import DecisionRule, Evaluation, ModelOutputs, OodDetector, Split, Splits


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
) -> Annotated[Evaluation, ArtifactName.EVALUATION]:
    """Everything measured: accuracy, calibration, unknowns, decisions, with intervals."""
    return evaluate_outputs(
        select(outputs, splits, split),
        select(outputs, splits, split, unknown=True),
        far or {},
        rule,
        detector,
        candidate=candidate,
        split=split,
        form=form,
        bootstrap=bootstrap,
        seed=seed,
    )
