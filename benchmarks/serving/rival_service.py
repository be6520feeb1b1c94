"""The rival: what a careful but ordinary engineer writes around the same trained network.

FastAPI and uvicorn, one worker, the .keras file loaded once and warmed up, Pillow to decode and resize,
`model.predict` on a batch of one in FastAPI's pool of threads. It has no key, limits, calibration, unknown
score or prediction log: what the product does beyond this, the product pays for. Benchmarks alone start it.

    python -m benchmarks.serving.rival_service --keras model.keras --labels labels.json --port 8000

With `--graph model.tflite` it runs the exported graph on LiteRT instead: what the bare engine costs.
"""

from __future__ import annotations

import argparse
import json
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio.to_thread
import numpy as np
import uvicorn
from fastapi import FastAPI, HTTPException, UploadFile
from PIL import Image, ImageOps, UnidentifiedImageError

GREY = (128, 128, 128)


Predict = Callable[[Any], Any]
"""RGB images 0..255, (n, s, s, 3) float32 -> logits (n, k)."""


def make_application(run: Predict, size: int, class_names: list[str], resize: str, threads: int) -> FastAPI:
    """The service over a loaded and warmed-up model."""
    run(np.zeros((1, size, size, 3), np.float32))

    @asynccontextmanager
    async def lifespan(_application: FastAPI) -> AsyncIterator[None]:
        anyio.to_thread.current_default_thread_limiter().total_tokens = threads
        yield

    application = FastAPI(lifespan=lifespan)

    @application.get("/readyz")
    def tell_ready() -> dict[str, str]:
        return {"status": "ready"}

    @application.post("/predict")
    def predict(image: UploadFile) -> dict[str, Any]:
        try:
            picture = Image.open(image.file).convert("RGB")
        except (UnidentifiedImageError, OSError) as error:
            raise HTTPException(422, "not an image") from error
        batch = np.asarray(_fit(picture, size, resize), np.float32)[None]
        logits = run(batch)[0]
        shifted = np.exp(logits - logits.max())
        probs = shifted / shifted.sum()
        best = int(probs.argmax())
        return {"class_name": class_names[best], "confidence": float(probs[best])}

    return application


def _fit(picture: Image.Image, size: int, resize: str) -> Image.Image:
    """The picture as a square, as the network was trained."""
    sides, method = (size, size), Image.Resampling.BILINEAR
    if resize == "pad":
        return ImageOps.pad(picture, sides, method, color=GREY)
    if resize == "crop":
        return ImageOps.fit(picture, sides, method)
    return picture.resize(sides, method)


def _load_keras(path: Path, num_threads: int) -> tuple[Predict, int]:
    """The network, and the side of its images."""
    import keras
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(num_threads)
    tf.config.threading.set_inter_op_parallelism_threads(num_threads)
    model = keras.models.load_model(path, compile=False)
    return lambda batch: model.predict(batch, verbose=0), int(model.input.shape[1])


def _load_graph(path: Path) -> tuple[Predict, int]:
    """The graph, one call at a time, and the side of its images."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter, lock = Interpreter(str(path), num_threads=1), threading.Lock()
    runner = interpreter.get_signature_runner()

    def predict(batch: Any) -> Any:
        with lock:
            return np.array(runner(image=batch)["logits"])

    return predict, int(runner.get_input_details()["image"]["shape"][1])


def main() -> None:
    """Serve until stopped."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--keras", type=Path, help="the trained network")
    parser.add_argument("--graph", type=Path, help="the exported graph, to be run instead")
    parser.add_argument("--labels", type=Path, required=True, help="JSON list of class names")
    parser.add_argument("--resize", choices=["pad", "crop", "stretch"], default="pad")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--threads", type=int, default=40, help="requests computed at a time")
    parser.add_argument("--tensorflow-threads", type=int, default=0, help="0: as TensorFlow chooses")
    options = parser.parse_args()

    if options.graph is not None:
        predict, size = _load_graph(options.graph)
    else:
        predict, size = _load_keras(options.keras, options.tensorflow_threads)
    labels = json.loads(options.labels.read_text(encoding="utf-8"))
    application = make_application(predict, size, labels, options.resize, options.threads)
    uvicorn.run(application, host="127.0.0.1", port=options.port, access_log=False, log_level="warning")


if __name__ == "__main__":
    main()
