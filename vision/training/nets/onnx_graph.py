"""The network as an ONNX graph, by tf2onnx in a process of its own: it prints much and keeps much memory.

The way is over a SavedModel with one signature: converting the Keras model itself loses the constants of
a Normalization layer (tf2onnx 1.17).
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import keras
import tensorflow as tf

from vision.base.errors import ExportError

_OPSET = 18
_TIMEOUT_SECONDS = 900


def convert_to_onnx(model: keras.Model) -> bytes:
    """The graph of a network with one input `image`, any number of images at a time, named outputs.

    Raises:
        ExportError: tf2onnx is missing, refused the network, or took over a quarter of an hour.
    """
    image = tf.TensorSpec(model.inputs[0].shape, tf.float32, name="image")

    answer = tf.function(lambda image: model({"image": image}, training=False), input_signature=[image])
    with tempfile.TemporaryDirectory(prefix="onnx-") as folder:
        saved, graph = Path(folder) / "saved", Path(folder) / "model.onnx"
        tf.saved_model.save(model, str(saved), signatures=answer)
        command = [sys.executable, "-m", "tf2onnx.convert", "--opset", str(_OPSET)]
        command += ["--saved-model", str(saved), "--signature_def", "serving_default", "--output", str(graph)]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, check=False, timeout=_TIMEOUT_SECONDS
            )
        except subprocess.TimeoutExpired as error:
            raise ExportError(
                f"tf2onnx was not done with the network after {_TIMEOUT_SECONDS} seconds. Set "
                "export.onnx=false, or choose another backbone."
            ) from error
        if done.returncode != 0 or "is not supported" in done.stderr:
            raise ExportError(
                "The network could not be written as ONNX. Expected tf2onnx of requirements-extras.txt and a "
                "backbone that it knows; set export.onnx=false, or choose another backbone. It said: "
                f"{done.stderr.strip()[-1000:]}"
            )
        return graph.read_bytes()
