"""Values that cross steps, and stores that they are saved in."""

import errno
import hashlib
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
from zenml.io.local_filesystem import LocalFilesystem
from zenml.materializers.base_materializer import BaseMaterializer

from vision.base.outputs import ModelFile, ModelOutputs
from vision.base.record import Interval
from vision.bundle.records import Bundle
from vision.decision.records import Temperature


class FakeStore(LocalFilesystem):
    """A file system that calls itself local or remote."""

    SUPPORTED_SCHEMES: ClassVar[set[str]] = {""}

    def __init__(self, *, is_local: bool = True) -> None:
        self.config = SimpleNamespace(is_local=is_local)


class FullStore(FakeStore):
    """A file system without room."""

    @staticmethod
    def open(path: Any, mode: str = "r") -> Any:
        if "w" in mode:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
        return LocalFilesystem.open(path, mode)


def temperature(value: float = 1.5) -> Temperature:
    gain = Interval(value=0.1, low=0.05, high=float("nan"))
    return Temperature(
        value=value,
        applied=True,
        fitted_value=value,
        nll_before=0.9,
        nll_after=0.8,
        gain=gain,
        num_images=40,
        num_groups=20,
    )


def outputs(num: int = 6) -> ModelOutputs:
    rng = np.random.default_rng(1)
    return ModelOutputs(
        rows=np.arange(num, dtype=np.int64),
        logits=rng.normal(size=(num, 3)).astype(np.float32),
        embeddings=rng.normal(size=(num, 5)).astype(np.float32),
        quality=rng.normal(size=(num, 2)).astype(np.float32),
        kernel=rng.normal(size=(5, 3)).astype(np.float32),
        bias=np.zeros(3, dtype=np.float32),
    )


def model_file(folder: Path, content: bytes = b"weights") -> ModelFile:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.keras").write_bytes(content)
    return ModelFile(
        root=folder,
        files={"model.keras": hashlib.sha256(content).hexdigest()},
        candidate="cnn",
        backbone="cnn",
        num_parameters=7,
        embedding_width=5,
    )


def bundle(folder: Path) -> Bundle:
    (folder / "graphs").mkdir(parents=True)
    (folder / "graphs" / "fp16.tflite").write_bytes(b"graph")
    (folder / "contract.json").write_bytes(b"{}")
    digest = {
        name: hashlib.sha256((folder / name).read_bytes()).hexdigest()
        for name in ("graphs/fp16.tflite", "contract.json")
    }
    return Bundle(root=folder, files=digest, name="reef")


def store(
    kind: type[BaseMaterializer], value: Any, folder: Path, *, artifact_store: FakeStore | None = None
) -> Any:
    """Save a value as ZenML would; the materializer that reads it back."""
    folder.mkdir(parents=True, exist_ok=True)
    chosen: Any = artifact_store or FakeStore()
    kind(str(folder), chosen).save(value)
    return kind(str(folder), chosen)


def altered(materializer: BaseMaterializer, data: object, uri: Path) -> BaseMaterializer:
    """What loads an artifact with the recorded hash, after one byte in the middle of its file was changed."""
    materializer.expected_content_hash = materializer.compute_content_hash(data)
    (path,) = [each for each in uri.rglob("*") if each.is_file()]
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    return materializer
