"""Make confidence mean what it says."""

from typing import Annotated

import numpy as np
from zenml import step

from materializers.names import ArtifactName
from vision.calibration import fit_temperature
from vision.config import BootstrapSettings
from vision.labelled import select
from vision.records import ModelOutputs, Split, Splits, Temperature


@step
def calibrate(
    outputs: ModelOutputs, splits: Splits, bootstrap: BootstrapSettings, seed: int
) -> Annotated[Temperature, ArtifactName.TEMPERATURE]:
    """The temperature, fitted on the calibration split."""
    known = select(outputs, splits, Split.CALIBRATION)
    rng = np.random.default_rng(seed)
    return fit_temperature(known.outputs.logits, known.labels, known.groups, bootstrap, rng)
