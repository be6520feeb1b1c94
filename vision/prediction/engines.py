"""Files to answers by an executor: each worker reads, decodes and asks a graph of its own, a chunk at a time.

The answer is the service's: the same decoder, graph and rule. A graph's answer to an image does not depend on
what else is in its batch (LiteRT on the CPU, one thread a graph).
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image
from threadpoolctl import threadpool_limits

from vision.base.errors import BundleError, ImageError
from vision.base.files import storage_errors
from vision.base.record import FloatArray, ImageArray
from vision.bundle.assembly import LoadedBundle, load_bundle
from vision.bundle.engine import Engine
from vision.bundle.heat_map import heat_map, overlay
from vision.bundle.pictures import decode_for
from vision.bundle.records import ExportedGraphs, SimilarImage
from vision.data.images import MAX_MEGAPIXELS
from vision.data.quality import QUALITY_COLUMNS, measure_quality
from vision.decision.predictor import Inference, Predictor, make_predictions
from vision.decision.records import Prediction
from vision.prediction.items import Item
from vision.prediction.records import Row
from vision.prediction.views import average_views, tell_by_views
from vision.work.chunks import Lost
from vision.work.current import current_work

CHUNK = 16
"""Files that a worker asks its graph about at once."""

SENT = 64
"""Files that are sent to a worker at once, of many."""

HEAT_MAPS_FOLDER = "heat_maps"

_JPEG_QUALITY = 90


@dataclass(frozen=True)
class Wanted:
    """What is wanted of each file beside its decision.

    Attributes:
        top_k: most probable classes that are told.
        heat_maps: write each image under a heat map of its class.
        quality: measure what monitoring compares.
        max_megapixels: of a picture; larger ones are not decoded.
        views: of each picture that are asked; 1 is the picture as it is.
        similar: known images that are told as most like it.
    """

    top_k: int = 3
    heat_maps: bool = False
    quality: bool = False
    max_megapixels: float = MAX_MEGAPIXELS
    views: int = 1
    similar: int = 0


@dataclass(frozen=True, eq=False)
class Answered:
    """The row of one file, and what the network gave where it could be read.

    Attributes:
        row: its answer.
        logits: (k,); None where it could not be read, or no quality was wanted, as the others.
        embedding: (d,).
        quality: (q,).
        seconds: that its chunk took, a file.
    """

    row: Row
    logits: FloatArray | None = None
    embedding: FloatArray | None = None
    quality: FloatArray | None = None
    seconds: float = 0.0


@dataclass(frozen=True)
class Asking:
    """The model that answers and what is wanted of it, as other processes are told it.

    Attributes:
        root: the bundle's folder.
        digest: its pinned one.
        wanted: of each file.
        folder: in which overlays are written.
    """

    root: Path
    digest: str
    wanted: Wanted
    folder: Path


class Engines:
    """A verified bundle, whose graph answers by the executor of this process."""

    def __init__(self, root: Path, digest: str, wanted: Wanted, folder: Path) -> None:
        """Load the bundle at `root`, whose digest is pinned; overlays go into `folder`.

        Raises:
            BundleError: it is not, byte for byte, the registered one; or similar images are wanted of one
                that keeps no known images.
        """
        self._asking = Asking(root.absolute(), digest, wanted, folder.absolute() / HEAT_MAPS_FOLDER)
        _load.cache_clear()
        with threadpool_limits(1):  # whose end undoes what `_load` sets
            self.bundle: LoadedBundle = _load(root.absolute(), digest)
        if wanted.similar and self.bundle.neighbours is None:
            raise BundleError(
                "Similar images were asked for (--similar), and this model keeps no known images. Train it "
                "again with export.similar: 50."
            )

    def answer(self, items: Sequence[Item]) -> Generator[list[Answered], None, None]:
        """Chunks of answers, in the order of the items; few are held at a time.

        Raises:
            ExecutorError: workers do not see the files, the bundle or the folder of heat maps, or none lives.
            TaxonError: the network gave values that are not finite.
            StorageError: a heat map could not be written.
        """
        executor = current_work().executor
        executor.require_folders(self._list_folders(items))
        size = SENT if len(items) > SENT * SENT else CHUNK
        starts = range(0, len(items), size)
        chunks = (items[start : start + size] for start in starts)
        answer = partial(answer_items, self._asking)
        with threadpool_limits(1), closing(executor.map_chunks(answer, chunks, len(items))) as answered:
            for start, chunk in zip(starts, answered, strict=True):
                yield [
                    Answered(Row(path=item.path, group=item.group, fault=str(each)))
                    if isinstance(each, Lost)
                    else each
                    for item, each in zip(items[start : start + size], chunk, strict=True)
                ]

    def _list_folders(self, items: Sequence[Item]) -> Iterator[Path]:
        """Folders that a worker reads or writes."""
        yield self._asking.root
        if self._asking.wanted.heat_maps:
            yield self._asking.folder.parent
        yield from map(Path, sorted({item.folder for item in items} - {""}))


def answer_items(asking: Asking, items: Sequence[Item]) -> list[Answered]:
    """The answers to some files, by this thread's own graph, which is kept for the next."""
    worker = getattr(_local, "worker", None)
    if worker is None or worker.asking != asking:
        worker = _local.worker = _Worker(asking)
    return [
        each for start in range(0, len(items), CHUNK) for each in worker.answer(items[start : start + CHUNK])
    ]


_local = threading.local()


@lru_cache(maxsize=1)
def _load(root: Path, digest: str) -> LoadedBundle:
    """The bundle, which the threads of a process share; its matrices are multiplied by one thread each."""
    threadpool_limits(1)
    return load_bundle(root, digest)


class _Worker:
    """One graph of a bundle, for one thread."""

    def __init__(self, asking: Asking) -> None:
        self.asking = asking
        self.bundle = _load(asking.root, asking.digest)
        self._wanted = asking.wanted
        contract = self.bundle.contract
        engine = Engine(asking.root / ExportedGraphs.file_name(contract.precision))
        measure = measure_quality if asking.wanted.quality else _measure_nothing
        self._predictor = Predictor(contract.rule, self.bundle.detector, engine.forward, measure)

    def answer(self, items: Sequence[Item]) -> list[Answered]:
        """The answers to files that are asked at once."""
        started = time.perf_counter()
        read: list[tuple[str, ImageArray]] = []
        faults: dict[int, str] = {}
        for place, item in enumerate(items):
            try:
                read.append(self._read(item))
            except (ImageError, OSError) as error:
                faults[place] = _describe(error)
        inference, predictions = self._run(np.stack([image for _, image in read])) if read else (None, [])
        seconds = (time.perf_counter() - started) / len(items)
        answered: list[Answered] = []
        row = 0
        for place, item in enumerate(items):
            if place in faults or inference is None:
                answered.append(Answered(Row(path=item.path, group=item.group, fault=faults[place])))
                continue
            drawn = self._draw(item, read[row][1], inference, row, predictions[row])
            told = Row(
                path=item.path,
                group=item.group,
                prediction=predictions[row],
                heat_map=drawn,
                digest=read[row][0],
                similar=self._find_similar(inference.forward.embeddings[row]),
            )
            answered.append(self._join(told, inference, row, seconds))
            row += 1
        return answered

    def _join(self, told: Row, inference: Inference, row: int, seconds: float) -> Answered:
        if not self._wanted.quality:
            return Answered(told, seconds=seconds)
        return Answered(
            told,
            logits=inference.forward.logits[row],
            embedding=inference.forward.embeddings[row],
            quality=inference.quality[row],
            seconds=seconds,
        )

    def _read(self, item: Item) -> tuple[str, ImageArray]:
        """Digest of the file's bytes, and the picture."""
        raw = item.read()
        picture = decode_for(self.bundle.contract, raw, self._wanted.max_megapixels)
        return hashlib.sha256(raw).hexdigest(), picture

    def _run(self, images: ImageArray) -> tuple[Inference, list[Prediction]]:
        predictor, wanted = self._predictor, self._wanted
        inference = predictor.run(images)
        predictions = make_predictions(predictor.rule, inference.decisions, wanted.top_k)
        if wanted.views > 1:
            first, temperature = inference.decisions.probs, predictor.rule.temperature.value
            probs = average_views(images, first, predictor.forward, wanted.views, temperature)
            predictions = tell_by_views(predictor.rule, predictions, probs, wanted.views, wanted.top_k)
        return inference, predictions

    def _find_similar(self, embedding: FloatArray) -> tuple[SimilarImage, ...]:
        known, number = self.bundle.neighbours, self._wanted.similar
        return tuple(each for each, _ in known.nearest(embedding, number)) if known and number else ()

    def _draw(
        self, item: Item, image: ImageArray, inference: Inference, row: int, prediction: Prediction
    ) -> str:
        """Write the overlay of one picture; its name in the output folder."""
        cams = inference.forward.cam
        if not self._wanted.heat_maps or cams is None:
            return ""
        label = self.bundle.contract.class_names.index(prediction.class_name)
        path = self.asking.folder / name_heat_map(item.path)
        with storage_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            drawn = Image.fromarray(overlay(image, heat_map(cams[row], label)))
            drawn.save(path, "JPEG", quality=_JPEG_QUALITY)
        return f"{HEAT_MAPS_FOLDER}/{path.name}"


def name_heat_map(path: str) -> str:
    """A file name of its own for each path: the file's stem, and a digest of the whole path.

    A stem of 40 characters has at most 160 bytes; file systems take names of 255.
    """
    stem = "".join(each if each.isalnum() or each in "-_" else "_" for each in PurePosixPath(path).stem)
    return f"{stem[:40]}-{hashlib.sha256(path.encode()).hexdigest()[:12]}.jpg"


def _describe(error: ImageError | OSError) -> str:
    return str(error) if isinstance(error, ImageError) else f"cannot be read: {error.strerror or error}"


def _measure_nothing(images: ImageArray) -> FloatArray:
    return np.zeros((len(images), len(QUALITY_COLUMNS)), np.float32)


Listen = Callable[[Sequence[Answered]], None]
"""Is given each chunk of new answers before it is written down."""
