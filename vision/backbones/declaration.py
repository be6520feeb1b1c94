"""What one backbone declares: what is asked of it elsewhere follows from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Build = Callable[[Any, float], Any]
"""Input tensor (n, s, s, 3) in 0..255 and width -> feature map (n, h, w, d); scaling is part of it."""


@dataclass(frozen=True)
class Weights:
    """Pretrained no_top weights of a backbone.

    Attributes:
        locate: width and image size in pixels -> path on Keras' server and file name; None where a package
            brings the file.
        adapt: changes the loaded network to what the weights expect; None where there is nothing to do.
        packaged: the file that an installed package brings; raises ConfigError without the package.
        digest: SHA-256 of that file.
        load: reads a file into the network; None: Keras does.
    """

    locate: Callable[[float, int], tuple[str, str]] | None = None
    adapt: Callable[[Any], None] | None = None
    packaged: Callable[[], Path] | None = None
    digest: str | None = None
    load: Callable[[Any, Path], None] | None = None


@dataclass(frozen=True)
class Backbone:
    """One network without its head.

    Attributes:
        name: as configurations call it.
        build: makes it, with random weights.
        channels: what `width` multiplies, in words.
        early: layer whose channels' mean and standard deviation tell pictures of another kind: the second
            stage of a small network, about a third of the depth of a pretrained one.
        widths: those that there are; None: any.
        cut: output of the last layer that strategy `partial` leaves as it is; None: it has no such strategy.
        weights: its pretrained weights; None: it is trained from scratch alone.
        fine_tuning_rate: peak learning rate at which all of its pretrained weights are trained safely; used
            where the configuration names none.
    """

    name: str
    build: Build
    channels: str
    early: str
    widths: tuple[float, ...] | None = None
    cut: str | None = None
    weights: Weights | None = None
    fine_tuning_rate: float = 1e-4
