"""Where a network can be cut in two, so that one tensor is all that passes from below to above."""

from __future__ import annotations

from collections.abc import Iterator

import keras
from keras import layers

from vision.training.nets.models import LOGITS


def find_cuts(model: keras.Model, num_stages: int) -> tuple[keras.KerasTensor | None, ...]:
    """Cuts that leave the last 1, 2, ... of `num_stages` equal shares of the layers with weights above them.

    The last is None, the whole network. Inside a block of several branches there is no cut; the nearest one
    is taken.
    """
    cuts = [(tensor, num_below) for tensor, num_below in _all_cuts(model) if num_below > 0]
    total = sum(_has_kernel(each) for each in model.operations)
    found = [
        min(cuts, key=lambda cut: abs(cut[1] - total * (1 - stage / num_stages)))[0]
        for stage in range(1, num_stages)
    ]
    return (*found, None)


def fix_below(model: keras.Model, cut: keras.KerasTensor | None) -> None:
    """Let every layer below a cut keep its weights."""
    if cut is None:
        return
    for layer in keras.Model(model.input, cut).layers:
        layer.trainable = False


def _all_cuts(model: keras.Model) -> Iterator[tuple[keras.KerasTensor, int]]:
    """Tensors that everything passes through, from below, and how many layers with kernels lie below each."""
    operations = model.operations  # every one after those that it needs
    last_use: dict[int, int] = {}
    for place, operation in enumerate(operations):
        for tensor in operation._inbound_nodes[0].input_tensors:
            last_use[id(tensor)] = place
    needed: set[int] = set()
    num_below = 0
    for place, operation in enumerate(operations[:-1]):
        output = operation.output
        num_below += _has_kernel(operation)
        needed = {each for each in needed if last_use[each] > place} | {id(output)}
        if needed == {id(output)}:
            yield output, num_below


def _has_kernel(operation: object) -> bool:
    if not isinstance(operation, layers.Layer) or isinstance(operation, layers.BatchNormalization):
        return False
    return bool(operation.weights) and operation.name != LOGITS
