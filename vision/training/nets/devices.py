"""What a network is trained on: one device, all GPUs of the machine, or one device of each machine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import tensorflow as tf

from vision.training.machines import read_machines


@contextmanager
def placed_on(devices: Literal["all", "one"], num_machines: int = 1) -> Iterator[str]:
    """Build and fit what is built and fitted inside on these devices; yields them in words.

    With several, each batch is divided among them and their gradients are added up (MirroredStrategy), on
    one of them: collective operations keep state that outlives a training which ran out of memory, and
    that the next training of the process trips over. Of several machines each uses one device.
    """
    chosen = _list_own("GPU") or _list_own("CPU")
    if num_machines > 1:
        yield f"{num_machines} machines, each {_describe(chosen[:1])}"
        return
    if devices == "one" or len(chosen) == 1:
        yield _describe(chosen[:1])
        return
    names, reduction = [each.name for each in chosen], tf.distribute.ReductionToOneDevice()
    with tf.distribute.MirroredStrategy(names, reduction).scope():
        yield _describe(chosen)


def _list_own(kind: str) -> list[tf.config.LogicalDevice]:
    """Devices of this machine; once TensorFlow has connected several, it lists those of all."""
    machines, found = read_machines(), tf.config.list_logical_devices(kind)
    task = None if machines is None else f"/task:{machines.index}/"
    return [each for each in found if "/task:" not in each.name or task is None or task in each.name]


def _describe(chosen: list[tf.config.LogicalDevice]) -> str:
    """As in "CPU, 2 cores" and "2 GPUs, NVIDIA H100 80GB HBM3"."""
    kind = chosen[0].device_type
    number = kind if len(chosen) == 1 else f"{len(chosen)} {kind}s"
    if kind == "CPU":
        return f"{number}, {os.cpu_count()} cores"
    details = tf.config.experimental.get_device_details(tf.config.list_physical_devices(kind)[0])
    return f"{number}, {details.get('device_name', 'of unknown name')}"
