"""What a network is trained on: one device, or all GPUs of the machine side by side."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import tensorflow as tf


@contextmanager
def placed_on(devices: Literal["all", "one"]) -> Iterator[str]:
    """Build and fit what is built and fitted inside on these devices; yields them in words.

    With several, each batch is divided among them and their gradients are added up (MirroredStrategy), on
    one of them: collective operations keep state that outlives a training which ran out of memory, and
    that the next training of the process trips over.
    """
    chosen = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    if devices == "one" or len(chosen) == 1:
        yield _describe(chosen[:1])
        return
    names, reduction = [each.name for each in chosen], tf.distribute.ReductionToOneDevice()
    with tf.distribute.MirroredStrategy(names, reduction).scope():
        yield _describe(chosen)


def _describe(chosen: list[tf.config.LogicalDevice]) -> str:
    """As in "CPU, 2 cores" and "2 GPUs, NVIDIA H100 80GB HBM3"."""
    kind = chosen[0].device_type
    number = kind if len(chosen) == 1 else f"{len(chosen)} {kind}s"
    if kind == "CPU":
        return f"{number}, {os.cpu_count()} cores"
    details = tf.config.experimental.get_device_details(tf.config.list_physical_devices(kind)[0])
    return f"{number}, {details.get('device_name', 'of unknown name')}"
