"""One machine of several, as a process with the arguments FOLDER CHANGES KILL.

It trains the toy network with the settings of CHANGES (JSON), ends itself after KILL batches if that is not
0, and prints a line of JSON: the losses of its epochs and logits, or its error.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np

from tests.vision.training.nets.toy import make_images, tiny_settings
from vision.base.errors import TaxonError
from vision.base.progress import TrainingProgress
from vision.training.machines import read_machines, read_wait
from vision.training.nets.fitting import checkpoint
from vision.training.nets.fitting.cluster import Cluster
from vision.training.nets.fitting.fit import train_candidate
from vision.training.nets.fitting.state import TrainingInputs
from vision.training.nets.inference import run_model


def train(folder: Path, changes: dict[str, Any], kill: int) -> dict[str, Any]:
    """What the training came to."""
    (folder / "work").mkdir(parents=True, exist_ok=True)
    images, splits = make_images()
    seed = int(str(changes.pop("seed", 3)))
    left = [kill]

    def end(_progress: TrainingProgress) -> None:
        left[0] -= 1
        if left[0] == 0:
            os._exit(9)

    machines = read_machines()
    cluster = None if machines is None else Cluster(machines, read_wait())
    model, _, history = train_candidate(
        TrainingInputs("tiny", tiny_settings(**changes), images, splits, seed),
        folder / "work",
        end,
        checkpoints=folder / "checkpoint",
        cluster=cluster,
    )
    return {
        "device": history.device,
        "losses": [[row.loss, row.validation_loss] for row in history.epochs],
        "phases": [row.phase for row in history.epochs],
        "logits": run_model(model, images, np.arange(9)).logits.tolist(),
    }


def main() -> None:
    """Print a line of JSON."""
    checkpoint.EVERY_SECONDS = 0.0
    folder, changes, kill = Path(sys.argv[1]), json.loads(sys.argv[2]), int(sys.argv[3])
    try:
        found: dict[str, Any] = train(folder, changes, kill)
    except TaxonError as error:
        found = {"error": str(error)}
    sys.stdout.write(f"\n{json.dumps(found)}\n")


if __name__ == "__main__":
    main()
