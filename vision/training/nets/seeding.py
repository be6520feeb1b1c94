"""Seeds a training, and restores the process's random state after it."""

from __future__ import annotations

import gc
import random
from collections.abc import Iterator
from contextlib import contextmanager

import keras
import numpy as np
import tensorflow as tf


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """A Keras session of its own: seeded, named from scratch, and given back with its memory.

    Python's and NumPy's global generators, which Keras draws its initial weights from, are put back
    afterwards, as are Keras' own seed and number policy. Where there is a GPU, deterministic operations are
    switched on for the rest of the process (TensorFlow has no way back); not tested on one.
    """
    python_state, numpy_state = random.getstate(), np.random.get_state()  # noqa: NPY002
    policy = keras.config.dtype_policy()
    keras.backend.clear_session(free_memory=True)
    try:
        keras.utils.set_random_seed(seed)
        if tf.config.list_physical_devices("GPU"):
            tf.config.experimental.enable_op_determinism()
        keras.config.set_dtype_policy("float32")
        yield
    finally:
        keras.config.set_dtype_policy(policy)
        keras.backend.clear_session(free_memory=True)
        random.setstate(python_state)
        np.random.set_state(numpy_state)  # noqa: NPY002
        gc.collect()
