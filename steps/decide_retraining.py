"""Retrain now, or say why not."""

from typing import Annotated

from zenml import step

from materializers.names import ArtifactName
from vision import retraining
from vision.config import GateSettings, RetrainingSettings
from vision.records import NewImages, RetrainDecision, RetrainingEvidence


@step(enable_cache=False)
def decide_retraining(
    settings: RetrainingSettings,
    gate: GateSettings,
    evidence: RetrainingEvidence,
    new_images: NewImages,
    source_digest: str,
) -> Annotated[RetrainDecision, ArtifactName.RETRAIN_DECISION]:
    """The decision, with everything that was considered."""
    return retraining.decide_retraining(
        settings,
        evidence.now,
        evidence.champion,
        evidence.verdicts,
        new_images,
        source_digest,
        retraining.digest_gate(gate),
        evidence.attempts,
    )
