"""What one backbone declares: what is asked of it elsewhere follows from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Build = Callable[[Any, float], Any]
"""Input tensor (n, s, s, 3) in 0..255 and width -> feature map (n, h, w, d); scaling is part of it."""


NO_GELU = "tf2onnx 1.17 cannot write its activation (GELU)"
"""Why a network with GELU is not exported as ONNX."""


@dataclass(frozen=True)
class KerasWeights:
    """Pretrained no_top weights that Keras serves, and reads.

    Attributes:
        locate: width and image size in pixels -> path on the server and file name.
        adapt: changes the loaded network to what the weights expect; None where there is nothing to do.
        digests: file name -> MD5 (32 digits) or SHA-256 (64) in hex, for the files that Keras lists.
    """

    locate: Callable[[float, int], tuple[str, str]]
    adapt: Callable[[Any], None] | None = None
    digests: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class PackagedWeights:
    """Pretrained weights that an installed package brings.

    Attributes:
        find: the file; raises ConfigError without the package.
        load: reads a file into the network; raises ConfigError if it is of another one.
    """

    find: Callable[[], Path]
    digest: str
    load: Callable[[Any, Path], None]


@dataclass(frozen=True)
class Backbone:
    """One network without its head.

    Attributes:
        channels: what `width` multiplies, in words.
        early: layer whose channels' mean and standard deviation tell pictures of another kind: the second
            stage of a small network, about a third of the depth of a pretrained one.
        widths: those that there are; None: any.
        cut: output of the last layer that strategy `partial` leaves as it is; None: it has no such strategy.
        weights: its pretrained weights; None: it is trained from scratch alone.
        fine_tuning_rate: peak learning rate at which all of its pretrained weights are trained safely; used
            where the configuration names none.
        min_size: smallest image side in pixels that it takes.
        refused: graphs that are not worth exporting or cannot be, by name, and why.
    """

    name: str
    build: Build
    channels: str
    early: str
    widths: tuple[float, ...] | None = None
    cut: str | None = None
    weights: KerasWeights | PackagedWeights | None = None
    fine_tuning_rate: float = 1e-4
    min_size: int = 16
    refused: Mapping[str, str] = field(default_factory=dict)
