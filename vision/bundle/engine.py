"""An exported graph as a function of images: on the CPU, safe to call from several threads.

LiteRT runs what is served, ONNX Runtime (an extra) a graph to take away when it is measured.

No TensorFlow here: the service loads this module. One interpreter serves one call at a time; without the
lock, threads get each other's answers (measured: 133 of 180 wrong, without any exception).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from vision.base.arrays import unpack_arrays
from vision.base.errors import BundleError
from vision.base.native import quiet_native_log
from vision.base.outputs import Forward, ModelOutputs
from vision.base.record import FloatArray, ImageArray, IntArray
from vision.bundle.records import HEAD_NAME, ExportedGraphs
from vision.config.export import Precision
from vision.data.quality import measure_quality

BATCH_SIZE = 32

_Run = Callable[[FloatArray], Mapping[str, FloatArray]]

_OUTPUTS = {"logits", "embedding", "cam", "early"}
_OUTPUTS_BEFORE = _OUTPUTS - {"early"}  # of graphs exported before strangers were told apart


class Engine:
    """One graph and what runs it; `image_size` is s, pixels of the square input."""

    def __init__(self, path: Path, num_threads: int = 1, head: Path | None = None) -> None:
        """Load the graph at `path`; `head` is the `head.npz` of the same network, where it is needed.

        Raises:
            BundleError: the file is no such graph, or ONNX Runtime is not installed.
        """
        kind, load = ("ONNX", _load_onnx) if path.suffix == ".onnx" else ("TFLite", _load_tflite)
        try:
            self._run, given, self.image_size = load(path, num_threads)
        except (ValueError, RuntimeError, OSError) as error:
            raise BundleError(
                f"{path} is no {kind} graph that can be loaded: {error}. Export the network again."
            ) from error
        if given not in (_OUTPUTS, _OUTPUTS_BEFORE):
            raise BundleError(
                f"{path} gives {sorted(given)}; expected {sorted(_OUTPUTS)}. Export the network again."
            )
        self._head = head
        self._lock = threading.Lock()

    @classmethod
    def of(cls, graphs: ExportedGraphs, precision: Precision, num_threads: int = 1) -> Engine:
        """The engine of one precision of an export.

        Raises:
            BundleError: that precision was not exported, or was found to be unusable.
        """
        name = ExportedGraphs.file_name(precision)
        if precision in graphs.unusable:
            raise BundleError(
                f"{graphs.path(name)} cannot be run: {graphs.unusable[precision]}. Name another precision in "
                "export.precision."
            )
        if name not in graphs.files:
            raise BundleError(
                f"{graphs.root} holds {', '.join(sorted(graphs.files))}; expected {name}. Add {precision} to "
                "export.precisions."
            )
        return cls(graphs.path(name), num_threads, graphs.path(HEAD_NAME))

    def forward(self, images: ImageArray) -> Forward:
        """What the graph gives for uint8 RGB images (n, s, s, 3), any n.

        Raises:
            ValueError: the images are of another shape or type.
        """
        size = self.image_size
        if images.shape[1:] != (size, size, 3) or images.dtype != np.uint8:
            raise ValueError(
                f"Images have shape {images.shape} and type {images.dtype}; expected uint8 "
                f"(n, {size}, {size}, 3). Use vision.data.images.decode_image."
            )
        num_images = len(images)
        batch = np.asarray(images, np.float32)
        if num_images == 0:
            batch = np.zeros((1, size, size, 3), np.float32)
        with self._lock:
            outputs = self._run(batch)
        given = {name: np.array(values[:num_images], np.float32) for name, values in outputs.items()}
        return Forward(given["logits"], given["embedding"], given["cam"], given.get("early"))

    def read_head(self) -> tuple[FloatArray, FloatArray]:
        """Kernel (d, k) and bias (k,) of the last layer, float32.

        Raises:
            BundleError: the engine was made without a head, or the file is damaged.
        """
        if self._head is None:
            raise BundleError("This engine was loaded without head.npz; pass `head` to have the last layer.")
        arrays = unpack_arrays(self._head)
        return arrays["kernel"], arrays["bias"]


def _load_tflite(path: Path, num_threads: int) -> tuple[_Run, set[str], int]:
    """What runs a TFLite graph, the names of its outputs, its image size."""
    with quiet_native_log():
        interpreter = Interpreter(model_content=path.read_bytes(), num_threads=num_threads)
        interpreter.allocate_tensors()  # here it makes, and announces, its delegate
    runner = interpreter.get_signature_runner()  # keeps the interpreter
    size = int(runner.get_input_details()["image"]["shape"][1])
    return lambda batch: runner(image=batch), set(runner.get_output_details()), size


def _load_onnx(path: Path, num_threads: int) -> tuple[_Run, set[str], int]:
    """The same of an ONNX graph."""
    try:
        import onnxruntime
    except ImportError as error:
        raise BundleError(
            f"{path} needs ONNX Runtime: {error}. Type pip install -r requirements-extras.txt, or set "
            "export.onnx=false."
        ) from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = num_threads
    try:
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its errors have no other class in common
        raise RuntimeError(str(error)) from error
    names = [each.name for each in session.get_outputs()]

    def run(batch: FloatArray) -> dict[str, FloatArray]:
        return dict(zip(names, session.run(names, {"image": batch}), strict=True))

    return run, set(names), int(session.get_inputs()[0].shape[1])


def run_engine(
    engine: Engine, images: ImageArray, rows: IntArray, batch_size: int = BATCH_SIZE
) -> ModelOutputs:
    """What the exported graph gives for rows (m,), ascending, of images (n, s, s, 3) uint8; their quality."""
    kernel, bias = engine.read_head()
    given, quality = [], []
    for start in range(0, max(1, len(rows)), batch_size):
        batch = np.asarray(images[rows[start : start + batch_size]])
        given.append(engine.forward(batch)._replace(cam=None))
        quality.append(measure_quality(batch))
    early = [each.early for each in given if each.early is not None]
    return ModelOutputs(
        rows=np.asarray(rows, np.int64),
        logits=np.concatenate([each.logits for each in given]),
        embeddings=np.concatenate([each.embeddings for each in given]),
        quality=np.concatenate(quality),
        kernel=kernel,
        bias=bias,
        early=np.concatenate(early) if early else None,
    )
