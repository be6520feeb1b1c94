"""How long exported graphs take for one picture, on this machine and one thread."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping

from vision.base.record import ImageArray
from vision.bundle.engine import Engine
from vision.config.export import Precision

ROUNDS = 21


def time_engines(
    engines: Mapping[Precision, Engine], images: ImageArray, rounds: int = ROUNDS
) -> dict[Precision, float]:
    """Median milliseconds of one of the images (n, s, s, 3); the first round is not counted.

    The graphs take turns in every round, so that other load falls on all of them.
    """
    seconds: dict[Precision, list[float]] = {each: [] for each in engines}
    for i in range(rounds + 1):
        for precision, engine in engines.items():
            started = time.perf_counter()
            engine.forward(images[i % len(images)][None])
            seconds[precision].append(time.perf_counter() - started)
    return {each: 1000 * statistics.median(found[1:]) for each, found in seconds.items()}
