"""Known images in a bundle: which are kept, what is nearest, and that old bundles go without."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from vision.base.errors import BundleError
from vision.base.outputs import ModelOutputs
from vision.bundle import neighbours
from vision.bundle.neighbours import (
    MORE_NAMES,
    NEIGHBOURS_NAME,
    Neighbours,
    gather_neighbours,
    read_neighbours,
    save_neighbours,
)
from vision.data.records import ImageEntry, Manifest, Splits

LABELS = np.array([0] * 10 + [1, 0, 0, 1, 1] + [-1] * 4)
GROUPS = [f"g{number}" for number in (*[0] * 10, 1, 2, 3, 4, 5, *range(6, 10))]


def gather(per_class: int) -> Any:
    rows = np.arange(len(LABELS))
    rng = np.random.default_rng(0)
    zeros = np.zeros((len(rows), 2), np.float32)
    embeddings = rng.normal(size=(len(rows), 5)).astype(np.float32)
    outputs = ModelOutputs(rows, zeros, embeddings, zeros, np.zeros((5, 2)), np.zeros(2))
    known, classes = ("chub", "nase"), np.array(["chub", "nase", "perch"])[LABELS].tolist()
    splits = Splits(
        class_names=known, digests=GROUPS, groups=GROUPS, image_classes=classes, splits=[None] * len(rows)
    )
    entries = [
        ImageEntry(path=f"{row}.png", class_name=name, digest="", num_bytes=1, width=1, height=1)
        for row, name in enumerate(classes)
    ]
    manifest = Manifest(root="fish", source_digest="", class_names=known, entries=entries)
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
    assert save_neighbours(known, tmp_path) == [NEIGHBOURS_NAME]
    again = read_neighbours(tmp_path)
    before = (tmp_path / NEIGHBOURS_NAME).read_bytes()
    save_neighbours(again, tmp_path)
    assert (tmp_path / NEIGHBOURS_NAME).read_bytes() == before
    assert again.pictures == known.pictures
    assert list(again.paths) == list(known.paths)


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / NEIGHBOURS_NAME, embeddings=np.zeros(3))
    with pytest.raises(BundleError, match="known images"):
        read_neighbours(tmp_path)


class TestMoreThanAreComparedOneByOne:
    """The same images, as if numpy took but eight of them."""

    @pytest.fixture
    def known(self, monkeypatch: pytest.MonkeyPatch) -> Neighbours:
        monkeypatch.setattr(neighbours, "EXACT_ROWS", 8)
        monkeypatch.setattr(neighbours, "PICTURED", 2)
        many: Neighbours = gather(50)[0]
        return many

    def test_all_are_found_and_some_of_each_class_have_pictures(
        self, known: Neighbours, tmp_path: Path
    ) -> None:
        assert save_neighbours(known, tmp_path) == [NEIGHBOURS_NAME, *MORE_NAMES]
        again = read_neighbours(tmp_path)
        assert (again.num_images, len(again.paths), np.bincount(again.labels).tolist()) == (15, 4, [2, 2])
        embeddings = gather(50)[1]
        for row in range(15):
            found, true = (each.nearest(embeddings[row], 15) for each in (again, known))
            for (told, _), (right, _) in zip(found, true, strict=True):
                assert (told.path, told.class_name, told.same) == (right.path, right.class_name, right.same)
                assert told.similarity == pytest.approx(right.similarity, abs=3e-4)
            for told, picture in found:
                assert bool(picture) == (told.path in again.paths)
                assert (
                    not picture or picture == dict(zip(known.paths, known.pictures, strict=True))[told.path]
                )

    def test_equal_ones_give_equal_bytes(self, known: Neighbours, tmp_path: Path) -> None:
        for name in ("a", "b"):
            (tmp_path / name).mkdir()
            names = save_neighbours(known, tmp_path / name)
        for name in names:
            assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()

    @pytest.mark.parametrize("name", MORE_NAMES)
    def test_a_file_cut_short_is_refused(self, known: Neighbours, tmp_path: Path, name: str) -> None:
        save_neighbours(known, tmp_path)
        whole = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(whole[: len(whole) // 2])
        with pytest.raises(BundleError, match=r"similar|known images"):
            read_neighbours(tmp_path)
