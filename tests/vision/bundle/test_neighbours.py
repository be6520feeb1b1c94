"""Known images in a bundle: which are kept, what is nearest, and that old bundles go without."""

from __future__ import annotations

import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from vision.base.errors import BundleError
from vision.base.outputs import ModelOutputs
from vision.bundle.neighbours import (
    NEIGHBOURS_NAME,
    Neighbours,
    gather_neighbours,
    read_neighbours,
    save_neighbours,
)

LABELS = np.array([0] * 10 + [1, 0, 0, 1, 1] + [-1] * 4)
GROUPS = np.array([f"g{number}" for number in (*[0] * 10, 1, 2, 3, 4, 5, *range(6, 10))])


def gather(per_class: int) -> Any:
    rows = np.arange(len(LABELS))
    rng = np.random.default_rng(0)
    zeros = np.zeros((len(rows), 2), np.float32)
    embeddings = rng.normal(size=(len(rows), 5)).astype(np.float32)
    outputs = ModelOutputs(rows, zeros, embeddings, zeros, np.zeros((5, 2)), np.zeros(2))
    splits: Any = SimpleNamespace(
        labels=lambda: LABELS, group_array=lambda: GROUPS, class_names=("chub", "nase")
    )
    manifest: Any = SimpleNamespace(entries=[SimpleNamespace(path=f"{row}.png") for row in rows])
    images = np.broadcast_to(10 * rows[:, None, None, None], (len(rows), 160, 160, 3)).astype(np.uint8)
    return gather_neighbours(outputs, manifest, splits, images, per_class), embeddings


def test_a_class_keeps_at_most_so_many_images_of_all_its_groups_and_none_of_unknown_ones() -> None:
    known, _ = gather(3)
    assert np.bincount(known.labels).tolist() == [3, 3]
    assert {"10.png", "11.png", "12.png", "13.png", "14.png"} < set(known.paths)


@pytest.mark.parametrize(("angle", "same"), [(0.0, True), (0.01, False)])
def test_only_the_very_picture_is_the_same(angle: float, same: bool) -> None:
    known = Neighbours(
        np.eye(2, dtype=np.float16), np.array([0, 1]), np.arange(2), ["a", "b"], [b"", b""], ("c", "d")
    )
    ((found, _),) = known.nearest(np.array([np.cos(angle), np.sin(angle)], np.float32), 1)
    assert (found.path, found.same) == ("a", same)  # their cosine is 1 or 0.99995


def test_the_nearest_are_those_of_the_largest_cosine_whatever_the_length() -> None:
    known, embeddings = gather(50)
    found = known.nearest(1000 * embeddings[13], 4)
    cosines = (
        embeddings[:15]
        @ embeddings[13]
        / (np.linalg.norm(embeddings[:15], axis=1) * np.linalg.norm(embeddings[13]))
    )
    assert [each.path for each, _ in found] == [f"{row}.png" for row in np.argsort(-cosines)[:4]]
    assert [each.same for each, _ in found] == [True, False, False, False]  # embeddings are kept as float16
    assert found[0][0].similarity == pytest.approx(1, abs=1e-3)
    for each, picture in known.nearest(embeddings[13], 15):
        row = int(each.path.removesuffix(".png"))
        assert each.class_name == ("chub", "nase")[LABELS[row]]
        with Image.open(io.BytesIO(picture)) as shown:
            assert np.asarray(shown).mean() == pytest.approx(10 * row, abs=2)
            assert shown.size == (128, 128)


def test_what_is_written_is_read_again_byte_for_byte(tmp_path: Path) -> None:
    known, _ = gather(5)
    save_neighbours(known, tmp_path / NEIGHBOURS_NAME)
    again = read_neighbours(tmp_path / NEIGHBOURS_NAME)
    save_neighbours(again, tmp_path / "again.npz")
    assert (tmp_path / NEIGHBOURS_NAME).read_bytes() == (tmp_path / "again.npz").read_bytes()
    assert again.pictures == known.pictures
    assert list(again.paths) == list(known.paths)


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / NEIGHBOURS_NAME, embeddings=np.zeros(3))
    with pytest.raises(BundleError, match="known images"):
        read_neighbours(tmp_path / NEIGHBOURS_NAME)
