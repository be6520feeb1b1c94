"""Put a promoted bundle into production."""

from typing import Annotated

from zenml import get_step_context, step

from materializers.names import ArtifactName
from materializers.registry import register_champion
from vision.bundle.records import Bundle
from vision.data.records import Manifest, Splits
from vision.gate.records import Promotion, Registration, Verdict


@step(enable_cache=False)
def register(
    name: str,
    bundle: Bundle,
    splits: Splits,  # noqa: ARG001  linked to the version as an artifact, by its id
    promotion: Promotion,
    manifest: Manifest,  # noqa: ARG001  likewise
) -> Annotated[Registration, ArtifactName.REGISTRATION]:
    """Where the model stands now; a kept or refused challenger leaves no version."""
    if promotion.verdict is not Verdict.PROMOTED:
        return Registration(model_name=name, version=None, stage=None, bundle_digest=bundle.digest)
    context = get_step_context()
    linked = (context.inputs[each][0] for each in ("bundle", "splits", "manifest"))
    return register_champion(name, bundle.digest, *linked, run_id=context.pipeline_run.id)
