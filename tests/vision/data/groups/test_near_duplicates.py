"""Pictures that are one to the eye are found, whatever their bytes, and others are not."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from itertools import combinations
from time import process_time

import numpy as np
import pytest
from PIL import Image
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from tests.shared_data import shared_data
from vision.base.columns.rows import Rows
from vision.base.record import ImageArray
from vision.config.data import Resize, SplitSettings
from vision.data.groups.near_duplicates import (
    DISTANCE,
    SIDE,
    find_alike,
    find_pairs,
    hash_pictures,
    link_alike,
    link_small,
    shrink_pictures,
)
from vision.data.images import decode_image, probe_image
from vision.data.records import ImageEntry, Manifest
from vision.data.splitting.splits import assign_splits

SIZE = 64


def paint(seed: int, width: int = 120, height: int = 90) -> Image.Image:
    """A picture of soft random shapes."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def encode(picture: Image.Image, quality: int = 95) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=quality)
    return stream.getvalue()


def look_at(
    files: Sequence[tuple[str, bytes]], resize: Resize = Resize.PAD
) -> tuple[Rows[ImageEntry], ImageArray]:
    """Entries of files by path, and their decoded pictures."""
    entries = []
    for path, raw in files:
        width, height = Image.open(io.BytesIO(raw)).size
        known = {"class_name": path.split("/")[0], "digest": path, "num_bytes": len(raw)}
        taken = probe_image(raw).taken_at
        entries.append(ImageEntry(path=path, width=width, height=height, taken_at=taken, **known))
    return Rows.of(ImageEntry, entries), np.stack(
        [decode_image(raw, size=SIZE, resize=resize) for _, raw in files]
    )


def shrink(images: ImageArray, entries: Rows[ImageEntry], resize: Resize) -> ImageArray:
    return np.concatenate([pictures for _, pictures in shrink_pictures(images, entries, resize)])


def pairs_of(files: Sequence[tuple[str, bytes]], resize: Resize = Resize.PAD) -> set[tuple[str, str]]:
    entries, images = look_at(files, resize)
    pairs = find_alike(entries, shrink(images, entries, resize))
    return {(entries[first].path, entries[second].path) for first, second in pairs}


def test_equal_hashes_are_no_near_duplicates_where_the_pictures_differ() -> None:
    """The hash sees coarse shapes alone: fine texture over the same shapes is another picture."""
    entries, _ = look_at([("a/1.jpg", encode(paint(1))), ("b/x.jpg", encode(paint(1)))])
    coarse = np.asarray(paint(1).convert("L").resize((SIDE, SIDE)), float) / 2 + 64
    texture = 60 * (-1.0) ** np.indices((SIDE, SIDE)).sum(axis=0)
    alike, textured = (np.stack([coarse, coarse + added]).astype(np.uint8) for added in (1, texture))
    assert [len(np.unique(hash_pictures(small))) for small in (alike, textured)] == [1, 1]
    assert [len(find_alike(entries, small)) for small in (alike, textured)] == [1, 0]


@pytest.mark.parametrize("resize", [Resize.PAD, Resize.CROP, Resize.STRETCH])
def test_a_picture_saved_anew_or_scaled_is_found_and_others_are_not(resize: Resize) -> None:
    files = [(f"a/{seed}.jpg", encode(paint(seed))) for seed in range(20)]
    files += [
        ("b/saved.jpg", encode(paint(3), quality=60)),
        ("b/small.jpg", encode(paint(7).resize((80, 60)))),
    ]
    assert pairs_of(files, resize) == {("a/3.jpg", "b/saved.jpg"), ("a/7.jpg", "b/small.jpg")}


def test_long_pictures_are_not_alike_because_of_their_padding() -> None:
    files = [(f"a/{seed}.jpg", encode(paint(seed, 240, 30))) for seed in range(20)]
    assert pairs_of(files) == set()


def test_blank_pictures_are_not_alike() -> None:
    files = [
        (f"a/{grey}.jpg", encode(Image.new("RGB", (90, 90), (grey, grey, grey)))) for grey in range(0, 250, 9)
    ]
    assert pairs_of(files) == set()


def test_frames_of_a_burst_are_joined_to_their_neighbours_by_number() -> None:
    frames = []
    for frame in range(8, 12):
        shift = Image.new("RGB", (120, 90))
        shift.paste(paint(1).crop((frame - 8, 0, 120, 90)).resize((120, 90)))
        frames.append((f"a/IMG_{frame}.jpg", encode(shift)))
    joined = pairs_of([*frames, ("a/IMG_12.jpg", encode(paint(2)))])
    assert {("a/IMG_8.jpg", "a/IMG_9.jpg")} <= {tuple(sorted(pair, key=len)) for pair in joined}
    assert not any("a/IMG_12.jpg" in pair for pair in joined)


def test_pictures_that_were_taken_within_seconds_and_look_alike_are_joined_whatever_their_names() -> None:
    def shoot(second: int, shift: int) -> bytes:
        exif = Image.Exif()
        exif.get_ifd(0x8769)[0x9003] = f"2024:05:12 14:03:{second:02d}"
        stream = io.BytesIO()
        picture = paint(1).crop((shift, 0, 120, 90)).resize((120, 90))
        picture.save(stream, "JPEG", quality=95, exif=exif)
        return stream.getvalue()

    files = [("a/c7.jpg", shoot(1, 0)), ("a/f2.jpg", shoot(4, 8)), ("a/d1.jpg", encode(paint(2)))]
    files += [("a/x9.jpg", shoot(40, 20)), ("a/e0.jpg", encode(paint(3)))]
    assert pairs_of(files) == {("a/c7.jpg", "a/f2.jpg")}
    assert probe_image(files[1][1]).taken_at == datetime(2024, 5, 12, 14, 3, 4)
    assert probe_image(encode(paint(1))).taken_at is None


def test_every_pair_within_the_distance_is_found_once() -> None:
    rng = np.random.default_rng(5)
    hashes = rng.integers(0, 2**64, 40, dtype=np.uint64)
    for row in range(20, 40):
        flips = rng.choice(64, int(rng.integers(0, 6)), replace=False)
        hashes[row] = hashes[row - 20] ^ np.uint64(sum(1 << int(flip) for flip in flips))
    hashes[39] = hashes[19] ^ np.uint64(0b111 << 60)  # bits of three blocks: equal in one key alone,
    in_key = np.uint64(sum(1 << bit for bit in range(64) if bit % 5 in (3, 4)))
    others = rng.integers(0, 2**64, 60, dtype=np.uint64)  # which many others have
    hashes = np.concatenate([hashes, (hashes[19] & in_key) | (others & ~in_key)])
    wanted = [
        (first, second)
        for first, second in combinations(range(100), 2)
        if int(hashes[first] ^ hashes[second]).bit_count() <= DISTANCE
    ]
    assert len(wanted) > 5
    assert (19, 39) in wanted
    assert [tuple(pair) for pair in find_pairs(hashes).tolist()] == wanted


def test_thousands_of_equal_hashes_are_connected_without_all_their_pairs() -> None:
    pairs = find_pairs(np.zeros(5000, dtype=np.uint64))
    assert len(pairs) == 4999
    assert len(find_pairs(np.zeros(0, dtype=np.uint64))) == 0


def test_a_class_that_likeness_would_lump_is_left_as_it_is_and_named() -> None:
    files = [(f"a/{seed}.jpg", encode(paint(0, 120 + seed))) for seed in range(9)]
    files += [(f"b/{seed}.jpg", encode(paint(seed + 1))) for seed in range(9)]
    files += [("b/9.jpg", encode(paint(5), quality=70))]
    entries, images = look_at(files)
    manifest = Manifest(root="/", source_digest="", class_names=("a", "b"), entries=tuple(entries))
    linked = link_alike(manifest, images, Resize.PAD)
    assert linked.too_alike == ("a",)
    assert [tuple(entries[row].path for row in pair) for pair in linked.alike] == [("b/4.jpg", "b/9.jpg")]


def test_in_a_class_of_studio_shots_near_copies_stay_together_and_the_others_apart() -> None:
    background, small, rng = paint(0), [], np.random.default_rng(1)
    for seed in range(80):
        shot = Image.blend(background, paint(seed + 1), 0.05)
        small.append(look_at([("a/x", encode(shot))])[1][0])
        if seed < 12:  # saved anew, scaled
            small.append(look_at([("a/x", encode(shot.resize((96, 72)), quality=80))])[1][0])
    pairs = {(row, row + 1) for row in range(0, 24, 2)}
    known = {"class_name": "a", "num_bytes": 1, "width": SIZE, "height": SIZE}
    names = rng.permutation(len(small))
    entries = tuple(ImageEntry(path=f"a/{name}", digest=str(name), **known) for name in names)
    manifest = Manifest(root="/", source_digest="", class_names=("a",), entries=entries)
    linked = link_alike(manifest, np.stack(small), Resize.STRETCH)
    assert linked.too_alike == ("a",)
    assert pairs <= set(linked.alike)
    splits = assign_splits(linked, SplitSettings(), seed=1)
    assert all(splits.splits[first] is splits.splits[second] for first, second in pairs)
    assert len(set(splits.groups)) > 60
    assert Counter(splits.groups).most_common(1)[0][1] < 10


def test_a_lumped_class_of_many_pictures_is_searched_without_comparing_all() -> None:
    rng = np.random.default_rng(2)
    num, copies = 12_000, 4_000
    background = rng.integers(0, 256, (SIDE, SIDE))
    small = (background + rng.normal(0, 6, (num, SIDE, SIDE))).clip(0, 255).astype(np.uint8)
    small[:copies] = small[0]  # equal pictures would be one leaf of a tree
    known = {"class_name": "a", "digest": "", "num_bytes": 1, "width": SIDE, "height": SIDE}
    entries = tuple(ImageEntry(path=f"a/{rng.integers(2**62)}", **known) for _ in range(num))
    manifest = Manifest(root="/", source_digest="", class_names=("a",), entries=entries)
    start = process_time()
    linked = link_small(manifest, small)
    assert process_time() - start < 20
    assert linked.too_alike == ("a",)
    links = np.array(linked.alike)
    graph = coo_array((np.ones(len(links)), links.T), shape=(num, num))
    groups = connected_components(graph, directed=False)[1]
    assert set(groups[:copies]) == {groups[0]}
    assert len(set(groups)) == num - copies + 1


def test_no_pictures_have_no_lookalikes() -> None:
    manifest = Manifest(root="/", source_digest="", class_names=(), entries=())
    assert link_small(manifest, np.zeros((0, SIDE, SIDE), np.uint8)) == manifest


def test_what_looks_alike_among_river_fish_is_the_same_fish() -> None:
    paths = sorted(shared_data("fish_egu2017").rglob("*.png"))
    files = [(f"{path.parent.name}/{path.name}", path.read_bytes()) for path in paths]
    pairs = pairs_of(files)
    same = [first.split("_frame")[0] == second.split("_frame")[0] for first, second in pairs]
    assert len(pairs) > 300
    assert np.mean(same) > 0.97


def test_no_two_of_800_faces_look_alike() -> None:
    paths = sorted(shared_data("glasses_celeba_89x109").rglob("*.jpg"))
    assert pairs_of([(f"{path.parent.name}/{path.name}", path.read_bytes()) for path in paths]) == set()


def test_pictures_shrink_to_grey_without_their_padding() -> None:
    entries, images = look_at([("a/0.jpg", encode(Image.new("RGB", (120, 30), (200, 200, 200))))])
    small = shrink(images, entries, Resize.PAD)
    assert small.shape == (1, SIDE, SIDE)
    assert np.abs(small.astype(int) - 200).max() <= 2
