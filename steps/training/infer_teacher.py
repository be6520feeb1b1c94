"""What the model in production says of the training images, for a student to learn from."""

from typing import Annotated

from zenml import step

from materializers.names import ArtifactName
from vision.base.errors import ConfigError
from vision.base.outputs import ModelOutputs
from vision.bundle.assembly import load_bundle
from vision.bundle.engine import run_engine
from vision.bundle.records import Bundle
from vision.data.labelled import rows_of
from vision.data.records import DatasetRef, Split, Splits
from vision.data.store import open_images


@step
def infer_teacher(
    champion: Bundle, digest: str, dataset: DatasetRef, splits: Splits
) -> Annotated[ModelOutputs, ArtifactName.OUTPUTS]:
    """Logits of the training images by the champion, which must know the same classes at the same size."""
    bundle, images = load_bundle(champion.root, digest), open_images(dataset)
    contract = bundle.contract
    if contract.class_names != splits.class_names or contract.image_size != images.shape[1]:
        raise ConfigError(
            f"distil_from: champion, but the model in production knows {', '.join(contract.class_names)} at "
            f"{contract.image_size} px, and what is trained {', '.join(splits.class_names)} at "
            f"{images.shape[1]} px. Expected the same classes and size: name another candidate as teacher."
        )
    return run_engine(bundle.engine, images, rows_of(splits, Split.TRAIN))
