"""Where a training stands, in one file, so that one that was killed goes on with the same numbers.

The file is whole or absent: it is written beside its place, flushed to disk and renamed.
"""

from __future__ import annotations

import io
import logging
import shutil
import time
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from vision.base.files import write_atomically
from vision.base.record import Record, Value
from vision.training.records import EpochRecord

logger = logging.getLogger(__name__)

EVERY_SECONDS = 30.0
"""Between two checkpoints inside an epoch; every epoch ends with one."""
_FILE = "checkpoint.npz"
_STATE = "state"


class Standing(Value):
    """What a training has come to."""

    records: tuple[EpochRecord, ...]
    best_epoch: int
    best_loss: float
    num_seen: int
    seconds: float


class TrainingState(Record):
    """What a training needs to go on, beside the numbers of its network.

    Attributes:
        standing: inside the phase that goes on; None between phases.
        step: batches of that phase that are done.
        in_epoch: whether the running figures of an epoch are among the variables.
    """

    identity: str
    finished: tuple[Standing, ...] = ()
    standing: Standing | None = None
    step: int = 0
    batch_size: int
    in_epoch: bool = False


class Checkpoint:
    """The checkpoint of one training in a folder of its own; read at once, deleted when it is done."""

    def __init__(self, folder: Path, identity: str) -> None:
        """`identity`: a checkpoint of another one is left aside, which is told."""
        self.folder = folder
        self.state: TrainingState | None = None
        self._variables: list[NDArray[Any]] = []
        self._written = time.monotonic()
        self.identity = identity
        if (folder / _FILE).exists():
            self.read()

    @property
    def due(self) -> bool:
        """Whether the last one is some time ago."""
        return time.monotonic() - self._written >= EVERY_SECONDS

    def read(self) -> None:
        """Read the file; what is broken or of another training is told, and counts as absent."""
        path = self.folder / _FILE
        try:
            with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
                state = TrainingState.model_validate_json(file[_STATE].tobytes())
                self._variables = [file[str(i)] for i in range(len(file.files) - 1)]
        except (ValueError, OSError, KeyError, EOFError, zipfile.BadZipFile) as error:
            logger.warning("The checkpoint %s cannot be read: %s The training starts anew.", path, error)
            return
        if state.identity != self.identity:
            logger.warning("The checkpoint %s is of other settings or data; the training starts anew.", path)
            return
        self.state = state

    def write(self, state: TrainingState, variables: Sequence[Any] = ()) -> None:
        """Replace the file; StorageError if it cannot be written."""
        arrays = {str(i): np.asarray(each) for i, each in enumerate(variables)}
        packed = io.BytesIO()
        text = np.frombuffer(state.model_dump_json().encode(), np.uint8)
        np.savez(packed, allow_pickle=False, **{_STATE: text}, **arrays)
        write_atomically(self.folder / _FILE, packed.getvalue())
        self.state, self._variables, self._written = state, list(arrays.values()), time.monotonic()

    def restore(self, variables: Sequence[Any], first: int = 0) -> None:
        """Give variables the numbers of the checkpoint, from its `first` on."""
        for variable, value in zip(variables, self._variables[first:], strict=False):
            variable.assign(value)

    def delete(self) -> None:
        """Remove the folder: the training is done."""
        shutil.rmtree(self.folder, ignore_errors=True)


def lasting_variables(model: keras.Model) -> list[Any]:
    """All that the next step changes or depends on: weights, states of dropout, those of the optimiser."""
    return [*model.variables, *model.optimizer.variables]
