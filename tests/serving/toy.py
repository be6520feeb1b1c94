"""A bundle whose answers can be told by eye: logits are 20 times the mean red, green and blue of an image.

A red image is accepted as red, a grey one is as much of every class and goes to review, a black one is like
none and unknown (energy -log 3, threshold -5).
"""

from __future__ import annotations

import io
import socket
import struct
import tempfile
import threading
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from itertools import cycle
from pathlib import Path

import numpy as np
from PIL import Image

from serving.api.answering.answers import Answerer
from serving.api.answering.loading import load_answerer
from serving.api.answering.pinned import PinnedModel
from serving.api.metrics import ServiceMetrics
from serving.api.settings import ServiceSettings
from tests.toys import make_once
from tests.vision.data.entries import entry, manifest_of
from tests.vision.decision.test_predictor import make_rule
from tests.vision.toy import make_contract
from vision.base.arrays import pack_arrays
from vision.base.files import digest_file
from vision.bundle.assembly import write_bundle
from vision.bundle.neighbours import Neighbours
from vision.bundle.records import HEAD_NAME, Bundle, Contract, ExportedGraphs
from vision.config.export import Precision
from vision.data.quality import QUALITY_COLUMNS
from vision.data.records import Manifest, Split, Splits
from vision.decision.passport import ClassFigures, KindFigures, Passport, PromiseFigures
from vision.decision.records import OodDetector, WeakClass
from vision.drift.reference import DriftReference

SIZE = 32
_MAKING = threading.Lock()
NAMES = ("red", "green", "blue")
KEY = "0123456789abcdef-team"
OTHER_KEY = "0123456789abcdef-other"
KEYS = f"team:{KEY},other:{OTHER_KEY}"
RED, GREEN, BLUE, GREY, BLACK = (255, 0, 0), (0, 255, 0), (0, 0, 255), (128, 128, 128), (0, 0, 0)


def make_bundle() -> Bundle:
    """The toy's bundle, made once a process, whichever of its threads asks first."""
    with _MAKING:
        return _make_bundle()


@cache
def _make_bundle() -> Bundle:
    folder = Path(tempfile.mkdtemp(prefix="taxon-test-"))
    graph = folder / "graphs" / ExportedGraphs.file_name(Precision.FP32)
    graph.parent.mkdir()
    graph.write_bytes(make_once("eye", _convert_graph))
    kernel, bias = 20 * np.eye(3, dtype=np.float32), np.zeros(3, np.float32)
    (graph.parent / HEAD_NAME).write_bytes(pack_arrays({"kernel": kernel, "bias": bias}))
    files = {each.name: digest_file(each) for each in graph.parent.iterdir()}
    graphs = ExportedGraphs(
        root=graph.parent, files=files, candidate="eye", image_size=SIZE, num_parameters=9
    )
    detector = OodDetector(
        "energy",
        {
            "fdbd_inverse_distances": 1.0 - np.eye(3),
            "embedding_mean": np.zeros(3),
        },
    )
    return write_bundle(
        folder / "bundle", graphs, detector, _make_reference(), _make_contract(), make_known_images()
    )


def make_known_images() -> Neighbours:
    """Eight images of each class, as the toy sees them: its embedding is the mean colour."""
    spread = np.random.default_rng(0).uniform(0, 0.1, (24, 3))
    spread[::8] = 0  # the first of each class is pure
    return Neighbours(
        embeddings=(np.repeat(np.eye(3), 8, axis=0) + spread).astype(np.float16),
        labels=np.repeat(np.arange(3), 8),
        groups=np.arange(24),
        paths=[f"{name}/{number}.png" for name in NAMES for number in range(1, 9)],
        pictures=[paint(colour, "JPEG") for colour in (RED, GREEN, BLUE) for _ in range(8)],
        class_names=NAMES,
    )


def make_pin(bundle: Bundle) -> PinnedModel:
    """The pin of a bundle, as the registry's version 3."""
    return PinnedModel(name=bundle.name, version="3", digest=bundle.digest, tag="toy:1")


def make_answerer(settings: ServiceSettings | None = None, metrics: ServiceMetrics | None = None) -> Answerer:
    """An answerer over the toy, without a log."""
    bundle = make_bundle()
    told = metrics or ServiceMetrics()
    return load_answerer(bundle.root, make_pin(bundle), settings or ServiceSettings(), told)


def paint(colour: tuple[int, int, int], form: str = "PNG", sides: tuple[int, int] = (40, 40)) -> bytes:
    """A file of one colour."""
    buffer = io.BytesIO()
    Image.new("RGB", sides, colour).save(buffer, form)
    return buffer.getvalue()


@cache
def make_bomb() -> bytes:
    """A whole PNG of 900 black megapixels in less than a megabyte."""
    side, head = 30_000, paint(BLACK)[:8]
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)  # one bit of grey a pixel
    rows = zlib.compress(bytes((1 + side // 8) * side), 1)
    parts = (b"IHDR", header), (b"IDAT", rows), (b"IEND", b"")
    return head + b"".join(
        struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in parts
    )


@contextmanager
def nobody_connects() -> Iterator[str]:
    """A URL of a picture on this machine; the block fails if anybody connected to it, whatever was asked."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/a.png"
        listener.settimeout(0.2)
        with suppress(TimeoutError):
            _, address = listener.accept()
            raise AssertionError(f"{address} connected")


def _make_reference() -> DriftReference:
    """Nothing was calibrated here: no rows."""
    return DriftReference(
        embeddings=np.empty((0, 3), np.float16),
        quality=np.empty((0, len(QUALITY_COLUMNS)), np.float32),
        logits=np.empty((0, 3), np.float32),
        called_unknown=np.empty(0, bool),
        groups=np.empty(0, np.int64),
        temperature=1.0,
        class_names=NAMES,
        quality_columns=QUALITY_COLUMNS,
    )


def _make_contract() -> Contract:
    rule = make_rule(names=NAMES, unknown=-5.0, calibration=(-20.0, -15.0, -12.0))
    return make_contract(
        rule.model_copy(update={"prediction_set": rule.unknown.model_copy(update={"value": 0.9})}),
        candidate="eye",
        image_size=SIZE,
        weak_classes=(WeakClass(class_name=NAMES[2], num_right=2, num_images=9),),
        passport=make_passport(),
    )


def make_passport() -> Passport:
    """Figures as test could have given them: blue is mostly missed, of green there was nothing."""
    counts, recalls = (9, 0, 9), (1.0, None, 2 / 9)
    rows = zip(NAMES, counts, recalls, strict=True)
    return Passport(
        accuracy=11 / 18,
        accuracy_low=0.4,
        accuracy_high=0.8,
        num_images=18,
        num_groups=6,
        classes=tuple(
            ClassFigures(class_name=name, num_images=count, num_groups=count // 3, recall=recall)
            for name, count, recall in rows
        ),
        kinds=(
            KindFigures(
                kind="known", num_images=18, accept=0.5, review=0.4, unknown=0.1, wrong_among_accepted=0.02
            ),
            KindFigures(kind="far", num_images=10, accept=0.0, review=0.1, unknown=0.9),
        ),
        promises=(PromiseFigures(target_risk=0.05, attainable=True, accepted=0.5, wrong=0.02),),
        unknown_auroc={"far": 0.98},
        decision_agreement=1.0,
    )


def _convert_graph(_folder: Path) -> bytes:
    import keras
    import tensorflow as tf

    image = keras.Input((SIZE, SIZE, 3), name="image")
    features = keras.layers.AveragePooling2D(8)(keras.layers.Rescaling(1 / 255)(image))
    embedding = keras.layers.GlobalAveragePooling2D()(features)
    eye = keras.initializers.Constant(20 * np.eye(3))
    cam = keras.layers.Conv2D(3, 1, use_bias=False, kernel_initializer=_eye_kernel, name="cam")(features)
    logits = keras.layers.Dense(3, use_bias=False, kernel_initializer=eye)(embedding)
    model = keras.Model(image, {"logits": logits, "embedding": embedding, "cam": cam})
    content: bytes = tf.lite.TFLiteConverter.from_keras_model(model).convert()
    return content


def _eye_kernel(shape: tuple[int, ...], dtype: str | None = None) -> object:
    return np.reshape(20 * np.eye(3, dtype=dtype or "float32"), shape)


def paint_manifest(
    root: Path, colours: Mapping[str, tuple[int, int, int]], number: int, sides: tuple[int, int] = (40, 40)
) -> Manifest:
    """So many pictures of each colour in a folder a class, each a pixel wider; black is held out."""
    entries = []
    for name, colour in sorted(colours.items()):
        for place in range(number):
            path, width = root / name / f"{place:02d}.png", sides[0] + place
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(paint(colour, sides=(width, sides[1])))
            made = entry(
                path.relative_to(root).as_posix(), is_unknown=name == "black", sides=(width, sides[1])
            )
            of_file = {"digest": digest_file(path), "num_bytes": path.stat().st_size}
            entries.append(made.model_copy(update=of_file))
    return manifest_of(entries).model_copy(update={"root": str(root), "source_digest": "s"})


def split_manifest(manifest: Manifest, *uses: Split) -> Splits:
    """Every image is a group of its own; the uses are given in turn."""
    return Splits(
        class_names=manifest.class_names,
        unknown_class_names=manifest.unknown_class_names,
        digests=tuple(each.digest for each in manifest.entries),
        groups=tuple(each.path for each in manifest.entries),
        image_classes=tuple(each.class_name for each in manifest.entries),
        splits=tuple(use for use, _ in zip(cycle(uses), manifest.entries, strict=False)),
    )
