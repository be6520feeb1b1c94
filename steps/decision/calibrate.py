"""Fit the temperature that calibrates confidence."""

from typing import Annotated

import numpy as np
from zenml import step

from materializers.names import ArtifactName
from vision.config.evaluation import BootstrapSettings
from vision.decision.calibration import fit_temperature
from vision.decision.held_out import HeldOut
from vision.decision.records import Temperature


@step
def calibrate(
    held_out: HeldOut, bootstrap: BootstrapSettings, seed: int
) -> Annotated[Temperature, ArtifactName.TEMPERATURE]:
    """The temperature, fitted on held-out images."""
    known = held_out.for_fitting()
    return fit_temperature(known.logits, known.labels, known.groups, bootstrap, np.random.default_rng(seed))
