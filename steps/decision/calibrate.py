"""Make confidence mean what it says."""

from typing import Annotated

import numpy as np
from zenml import step

from materializers.names import ArtifactName
from vision.base.outputs import ModelOutputs
from vision.config.evaluation import BootstrapSettings
from vision.data.labelled import select
from vision.data.records import Split, Splits
from vision.decision.calibration import fit_temperature
from vision.decision.records import Temperature


@step
def calibrate(
    outputs: ModelOutputs, splits: Splits, bootstrap: BootstrapSettings, seed: int
) -> Annotated[Temperature, ArtifactName.TEMPERATURE]:
    """The temperature, fitted on the calibration split."""
    known = select(outputs, splits, Split.CALIBRATION)
    rng = np.random.default_rng(seed)
    return fit_temperature(known.outputs.logits, known.labels, known.groups, bootstrap, rng)
