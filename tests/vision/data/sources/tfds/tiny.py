"""A set of TensorFlow Datasets whose makers publish two idx files, as those of Fashion-MNIST do."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

NAMES = ("boot", "bag", "T-shirt/top")
SIDE = 8


def write_tiles(folder: Path, num_tiles: int) -> None:
    """Two idx files: tiles of one grey each, and their classes in turn; the last tile has none."""
    folder.mkdir(parents=True, exist_ok=True)
    tiles = np.arange(num_tiles, dtype=np.uint8)[:, None, None] + np.zeros((1, SIDE, SIDE), np.uint8)
    labels = np.arange(num_tiles, dtype=np.uint8) % len(NAMES)
    labels[-1] = 255
    (folder / "tiles.gz").write_bytes(gzip.compress(bytes(16) + tiles.tobytes()))
    (folder / "labels.gz").write_bytes(gzip.compress(bytes(8) + labels.tobytes()))


class TinyTiles(tfds.core.GeneratorBasedBuilder):  # type: ignore[misc]
    """Two thirds of the tiles to train on, the rest to test."""

    VERSION = tfds.core.Version("1.0.0")
    MANUAL_DOWNLOAD_INSTRUCTIONS = "tiles.gz and labels.gz"

    def _info(self) -> Any:
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=(SIDE, SIDE, 1)),
                    "label": tfds.features.ClassLabel(names=NAMES),
                }
            ),
            supervised_keys=("image", "label"),
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
        folder = Path(dl_manager.manual_dir)
        tiles = np.frombuffer(gzip.decompress((folder / "tiles.gz").read_bytes())[16:], np.uint8)
        labels = np.frombuffer(gzip.decompress((folder / "labels.gz").read_bytes())[8:], np.uint8)
        rows = list(zip(tiles.reshape(-1, SIDE, SIDE, 1), labels.astype(int), strict=True))
        first = 2 * len(rows) // 3
        return {"train": self._generate_examples(rows[:first]), "test": self._generate_examples(rows[first:])}

    def _generate_examples(self, rows: list[Any]) -> Iterator[tuple[int, dict[str, Any]]]:
        for number, (tile, label) in enumerate(rows):
            yield number, {"image": tile, "label": -1 if label == 255 else int(label)}
