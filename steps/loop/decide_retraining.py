"""Retrain now, or say why not."""

from typing import Annotated

from zenml import step

from materializers.names import ArtifactName
from vision.config.gate import GateSettings
from vision.config.retraining import RetrainingSettings
from vision.retraining import decide as retraining
from vision.retraining.records import NewImages, RetrainDecision, RetrainingEvidence


@step(enable_cache=False)
def decide_retraining(
    settings: RetrainingSettings,
    gate: GateSettings,
    evidence: RetrainingEvidence,
    new_images: NewImages,
    source_digest: str,
) -> Annotated[RetrainDecision, ArtifactName.RETRAIN_DECISION]:
    """The decision, with everything that was considered."""
    gate_digest = retraining.digest_gate(gate)
    return retraining.decide_retraining(settings, evidence, new_images, source_digest, gate_digest)
