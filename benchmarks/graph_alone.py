"""What an answer costs without any service: the decoder, the graph and the decision of a bundle, timed alone.

The same functions as in the service, one thread of the graph as served by default, in a process of its own.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path

from serving.api.settings import ServiceSettings
from vision.bundle.assembly import LoadedBundle, load_bundle
from vision.config.data import Resize
from vision.data.images import decode_image
from vision.data.quality import measure_quality
from vision.decision.predictor import decide, make_predictions


@dataclass(frozen=True)
class Parts:
    """Milliseconds of one image, part by part."""

    decode_ms: float
    graph_ms: float
    quality_ms: float
    decision_ms: float

    @property
    def decode_and_graph_ms(self) -> float:
        """What the service's latency is held against."""
        return self.decode_ms + self.graph_ms

    @property
    def all_ms(self) -> float:
        """All that the service computes for an image."""
        return self.decode_and_graph_ms + self.quality_ms + self.decision_ms


def time_alone(
    root: Path, digest: str, images: Sequence[bytes], count: int, num_ignored: int = 3
) -> list[Parts]:
    """The parts of `count` images in rotation; some beforehand are not counted.

    Raises:
        BundleError: the bundle is not the pinned one.
    """
    bundle, settings = _load(root, digest), ServiceSettings()
    parts = [_time_one(bundle, settings, images[i % len(images)]) for i in range(num_ignored + count)]
    return parts[num_ignored:]


@cache
def _load(root: Path, digest: str) -> LoadedBundle:
    return load_bundle(root, digest, ServiceSettings().engine_threads)


def _time_one(bundle: LoadedBundle, settings: ServiceSettings, raw: bytes) -> Parts:
    contract = bundle.contract
    marks = [time.perf_counter()]
    image = decode_image(
        raw,
        size=contract.image_size,
        resize=Resize(contract.resize),
        max_megapixels=settings.max_megapixels,
    )
    marks.append(time.perf_counter())
    forward = bundle.engine.forward(image[None])
    marks.append(time.perf_counter())
    measure_quality(image[None])
    marks.append(time.perf_counter())
    decisions = decide(contract.rule, bundle.detector, forward.logits, forward.embeddings, forward.early)
    make_predictions(contract.rule, decisions, settings.top_k)
    marks.append(time.perf_counter())
    decode, graph, measuring, deciding = ((later - earlier) * 1000.0 for earlier, later in pairwise(marks))
    return Parts(decode, graph, measuring, deciding)
