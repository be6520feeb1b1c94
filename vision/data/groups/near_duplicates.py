"""Finds pictures that look alike though their bytes differ: saved anew, scaled, the next frame of a burst.

Each picture has a perceptual hash of 64 bits, the signs of its low frequencies. Those that differ in few bits
are found by sorting on parts of them, never by comparing all pairs; what is found is compared once more as
small pictures. Neighbours by name or time may differ more, as frames of a burst do. A class whose pictures
are all much alike (studio shots, one fixed camera) would be one group by that: of it only pictures are linked
that are more alike than its others.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import combinations, groupby
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.fft import dctn
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components, minimum_spanning_tree
from scipy.spatial import KDTree

from vision.base.columns.column import Column
from vision.base.columns.rows import Rows
from vision.base.record import ImageArray, IntArray
from vision.config.data import Resize
from vision.data.groups.scratch import ScratchPictures, open_scratch, read_in_chunks
from vision.data.records import ImageEntry, Manifest

DISTANCE = 3
"""Bits in which the hashes of near duplicates differ at most."""

LIKENESS = 0.95
"""Correlation of the small pictures of near duplicates at least."""

STRICT_LIKENESS = (0.99, 0.997, 0.999, 0.9997, 0.9999)
"""Of near duplicates in a class that would be lumped otherwise: the first of them that does not lump it."""

COPY_LIKENESS = 0.995
"""Correlation of the small pictures of an original and its copy at least."""

BURST_DISTANCE = 10
"""Bits in which the hashes of neighbours by name differ at most, if they are of one burst."""

BURST_LIKENESS = 0.8
"""Correlation of the small pictures of neighbours of one burst at least."""

BURST_SECONDS = 10
"""Between two pictures of a class, for the later to be the neighbour in time of the earlier."""

LARGEST_SHARE = 0.5
"""Of a class in one group by likeness; with more, the class is lumped."""

FEWEST_GROUPS = 4
"""Of each class that must be left, one for each of the four splits."""

SIDE = 32
"""Pixels of the small grey pictures that are hashed."""

logger = logging.getLogger(__name__)

_FREQUENCIES = 8
_BLOCKS = 5
_CHUNK = 1024
_FLAT = 2.0  # grey levels: a picture of less spread has no low frequencies to speak of
_MOST_COMPARED = 64  # successors in the order of a key, of a set whose pictures are nearly all alike
_MOST_PAIRS = 30  # an image; of more, enough are kept to connect the same images
_NEAREST = 8  # pictures of a lumped class that each of them is compared with
_AXES = 12  # frequencies in which the pictures of a lumped class differ most
SmallPictures = NDArray[np.uint8]
PictureRows = SmallPictures | ScratchPictures
"""Small grey pictures (n, SIDE, SIDE) in memory or on disk."""

Hashes = NDArray[np.uint64]


def link_alike(manifest: Manifest, images: ImageArray, resize: Resize) -> Manifest:
    """The manifest with the pairs of rows that look like one picture or one burst.

    A class that they would lump (more than half of it in one group, or fewer than four groups left) is named
    in `too_alike`: of it, pairs are left that are more alike, if they leave groups. Row i of the images (n,
    size, size, 3) uint8 is entry i; a memory map is read in chunks.
    """
    home = Path(images.filename).parent if isinstance(images, np.memmap) and images.filename else None
    with open_scratch((len(images), SIDE, SIDE), home) as small:
        for start, pictures in shrink_pictures(images, manifest.entries, resize):
            small.write(start, pictures)
        return link_small(manifest, small)


def link_small(manifest: Manifest, small: PictureRows) -> Manifest:
    """As `link_alike`, of grey pictures (n, SIDE, SIDE) that `shrink_picture` made."""
    if not manifest.entries:
        return manifest
    pairs = find_alike(manifest.entries, small)
    pairs, too_alike = _without_lumps(manifest.entries, small, pairs)
    if len(pairs):
        logger.info(
            "%s of %s pictures look like another (near duplicates, bursts): they are kept together.",
            f"{len(np.unique(pairs)):,}",
            f"{len(manifest.entries):,}",
        )
    alike: Column[tuple[int, int]] = Column.from_numbers(tuple[int, int], pairs)
    return manifest.model_copy(update={"alike": alike, "too_alike": too_alike})


def find_alike(entries: Rows[ImageEntry], small: PictureRows) -> IntArray:
    """Pairs (m, 2) of rows that are near duplicates, or neighbours by name in one burst; lower row first."""
    structured = _spread(small, np.arange(len(small))) >= _FLAT
    hashes, rows = hash_pictures(small), np.flatnonzero(structured)
    near = rows[find_pairs(hashes[rows])]
    near = near[_likeness(small, near) >= LIKENESS]
    neighbours = np.concatenate([_neighbours_by_name(entries), _neighbours_by_time(entries)])
    neighbours = neighbours[structured[neighbours].all(axis=1)]
    apart = np.bitwise_count(hashes[neighbours[:, 0]] ^ hashes[neighbours[:, 1]])
    neighbours = neighbours[apart <= BURST_DISTANCE]
    neighbours = neighbours[_likeness(small, neighbours) >= BURST_LIKENESS]
    return _unique_pairs(np.concatenate([near, neighbours]), len(entries))


def shrink_picture(image: ImageArray, entry: ImageEntry, resize: Resize) -> SmallPictures:
    """A square picture (size, size, 3) as a grey one (SIDE, SIDE), without the padding."""
    box = _content_box(entry, image.shape[1]) if resize is Resize.PAD else None
    return shrink_image(image, box)


def shrink_image(image: ImageArray, box: tuple[int, int, int, int] | None = None) -> SmallPictures:
    """A picture (height, width, 3), or what is in a box of it, as a grey one (SIDE, SIDE)."""
    picture = Image.fromarray(image).convert("L").crop(box)
    return np.asarray(picture.resize((SIDE, SIDE), Image.Resampling.LANCZOS))


def find_copies(small: SmallPictures, originals: SmallPictures) -> NDArray[np.bool_]:
    """(n,) whether each of n small grey pictures is one of some originals, saved again or scaled."""
    copies = np.zeros(len(small), dtype=bool)
    rows = np.flatnonzero([picture.std() >= _FLAT for picture in small])
    hashes = hash_pictures(small[rows])
    for original in originals[[picture.std() >= _FLAT for picture in originals]]:
        near = rows[np.bitwise_count(hashes ^ hash_pictures(original[None])) <= DISTANCE]
        if len(near):
            copies[near] |= _standardise(small[near]) @ _standardise(original[None])[0] >= COPY_LIKENESS
    return copies


def shrink_pictures(
    images: ImageArray, entries: Rows[ImageEntry], resize: Resize
) -> Iterator[tuple[int, SmallPictures]]:
    """Grey pictures (m, SIDE, SIDE), without the padding, in chunks with the first row of each."""
    with ThreadPoolExecutor(max_workers=min(4, os.cpu_count() or 1)) as pool:
        for start, chunk in read_in_chunks(images, _CHUNK):
            shrink = partial(shrink_picture, resize=resize)
            yield start, np.array(list(pool.map(shrink, chunk, entries[start : start + len(chunk)])))


def _content_box(entry: ImageEntry, size: int) -> tuple[int, int, int, int]:
    """Where the picture lies in its padded square: left, top, right, bottom in pixels."""
    longest = max(entry.width, entry.height)
    width = max(1, round(entry.width * size / longest))
    height = max(1, round(entry.height * size / longest))
    left, top = (size - width) // 2, (size - height) // 2
    return left, top, left + width, top + height


def _spread(small: PictureRows, rows: IntArray) -> NDArray[np.float64]:
    """Standard deviation (m,) of the grey levels of some rows."""
    chunks = [rows[start : start + _CHUNK] for start in range(0, len(rows), _CHUNK)]
    found = [small[chunk].reshape(len(chunk), -1).std(axis=1) for chunk in chunks]
    return np.concatenate(found) if found else np.zeros(0)


def hash_pictures(small: PictureRows) -> Hashes:
    """The perceptual hashes (n,) of small grey pictures (n, SIDE, SIDE)."""
    hashes = np.zeros(len(small), dtype=np.uint64)
    for start in range(0, len(small), _CHUNK):
        low = _low_waves(small[start : start + _CHUNK].astype(np.float32))
        hashes[start : start + _CHUNK] = np.packbits(low > 0, axis=1).view(">u8").ravel()
    return hashes


def _low_waves(pictures: NDArray[np.float32]) -> NDArray[np.float32]:
    """The strengths (n, 64) of the low frequencies of small pictures (n, SIDE, SIDE) or (n, SIDE * SIDE)."""
    waves = dctn(pictures.reshape(-1, SIDE, SIDE), axes=(1, 2), norm="ortho")
    return np.asarray(waves[:, :_FREQUENCIES, 1 : _FREQUENCIES + 1].reshape(len(waves), -1))


def find_pairs(hashes: Hashes) -> IntArray:
    """Pairs (m, 2) of rows whose hashes differ in at most `DISTANCE` bits; each once, lower row first.

    Rows of one hash are linked to the next of them, and by the first of them to the others that are near.
    """
    unique, first_rows = np.unique(hashes, return_index=True)
    return _unique_pairs(np.concatenate([_chain(hashes), first_rows[_find_near(unique)]]), len(hashes))


def _chain(keys: NDArray[np.generic]) -> IntArray:
    """Pairs (m, 2) of rows of one key, each with the next of them."""
    order = np.argsort(keys, kind="stable")
    same = keys[order][1:] == keys[order][:-1]
    return np.stack([order[:-1][same], order[1:][same]], axis=1)


def _find_near(hashes: Hashes) -> IntArray:
    """Pairs (m, 2) of hashes, all different, that differ in at most `DISTANCE` bits.

    The bits are dealt to five blocks. Hashes that differ in three bits agree in two blocks at least, so each
    two blocks are a key: rows are sorted by it, and only rows of one key are compared.
    """
    blocks = [sum(1 << bit for bit in range(64) if bit % _BLOCKS == block) for block in range(_BLOCKS)]
    found: list[IntArray] = []
    for first, second in combinations(blocks, 2):
        found.append(_pairs_of_key(hashes, np.uint64(first | second)))
        if sum(map(len, found)) > _MOST_PAIRS * len(hashes):
            found = [_unique_pairs(np.concatenate(found), len(hashes))]
    return _unique_pairs(np.concatenate(found), len(hashes))


def _pairs_of_key(hashes: Hashes, mask: np.uint64) -> IntArray:
    """Pairs (m, 2) that agree in the bits of a mask and are near."""
    order = np.argsort(hashes & mask, kind="stable")
    ordered = hashes[order]
    keys = ordered & mask
    found = [np.zeros((0, 2), dtype=np.int64)]
    left = np.arange(len(keys))
    for step in range(1, _MOST_COMPARED + 1):
        left = left[left + step < len(keys)]
        left = left[keys[left] == keys[left + step]]
        if not len(left):
            break
        near = left[np.bitwise_count(ordered[left] ^ ordered[left + step]) <= DISTANCE]
        found.append(np.stack([order[near], order[near + step]], axis=1))
    return np.concatenate(found)


def _unique_pairs(pairs: IntArray, num: int) -> IntArray:
    """Each pair once, lower row first; a spanning forest where there are far more pairs than rows."""
    codes = np.unique(pairs.min(axis=1) * num + pairs.max(axis=1)) if len(pairs) else np.zeros(0, np.int64)
    if len(codes) <= _MOST_PAIRS * num:
        return np.stack(np.divmod(codes, max(num, 1)), axis=1)
    pairs = np.stack(np.divmod(codes, num), axis=1)
    forest = minimum_spanning_tree(_graph(pairs, num)).tocoo()
    return np.stack([forest.row, forest.col], axis=1).astype(np.int64)


def _graph(pairs: IntArray, num: int) -> coo_array:
    return coo_array((np.ones(len(pairs), dtype=np.int8), (pairs[:, 0], pairs[:, 1])), shape=(num, num))


def _likeness(small: PictureRows, pairs: IntArray) -> NDArray[np.float32]:
    """Correlation (m,) of the pictures of each pair; neither may be flat."""
    found = np.empty(len(pairs), dtype=np.float32)
    for start in range(0, len(pairs), _CHUNK):
        first, second = (_standardise(small[rows]) for rows in pairs[start : start + _CHUNK].T)
        found[start : start + _CHUNK] = (first * second).sum(axis=1)
    return found


def _neighbours_by_time(entries: Rows[ImageEntry]) -> IntArray:
    """Pairs (m, 2) of rows of one class that were taken one after the other within `BURST_SECONDS`."""
    taken, (classes, _) = entries.column("taken_at").numbers(), entries.column("class_name").codes()
    rows = np.flatnonzero(~np.isnat(taken))
    rows = rows[np.lexsort((taken[rows], classes[rows]))]
    first, second = rows[:-1], rows[1:]
    near = taken[second] - taken[first] <= np.timedelta64(BURST_SECONDS, "s")
    together = (classes[first] == classes[second]) & near
    return np.stack([first[together], second[together]], axis=1)


def _neighbours_by_name(entries: Rows[ImageEntry]) -> IntArray:
    """Pairs (m, 2) of rows that follow one another in a folder, numbers in names read as numbers."""
    paths, classes = entries.column("path"), entries.column("class_name").codes()[0].tolist()
    numbers: dict[tuple[str, int], int] = {}
    folders = (path.rpartition("/")[0] for path in paths)
    codes = [numbers.setdefault(key, len(numbers)) for key in zip(folders, classes, strict=True)]
    order = np.argsort(np.array(codes, dtype=np.int64), kind="stable")
    named = zip(order.tolist(), paths.take(order), strict=True)
    found = [np.zeros((0, 2), np.int64)]
    for _, folder in groupby(named, key=lambda each: codes[each[0]]):
        rows = np.array([row for row, _ in sorted(folder, key=lambda each: _by_number(each[1]))])
        found.append(np.stack([rows[:-1], rows[1:]], axis=1))
    return np.concatenate(found)


def _by_number(path: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdecimal() else (0, part) for part in re.split(r"(\d+)", path)]


# --- classes whose pictures are all much alike -----------------------------------------------------------


def _without_lumps(
    entries: Rows[ImageEntry], small: PictureRows, pairs: IntArray
) -> tuple[IntArray, tuple[str, ...]]:
    """The pairs, of fewer pictures in classes that they would lump, and the names of these classes."""
    classes, names = entries.column("class_name").codes()
    too_alike = lumped = _find_lumped(classes, pairs)
    if not len(lumped):
        return pairs, ()
    nearest = [_find_nearest(small, np.flatnonzero(classes == number)) for number in lumped]
    pairs = np.unique(np.concatenate([pairs, *nearest]), axis=0)
    likeness = _likeness(small, pairs)
    for least in (*STRICT_LIKENESS, np.inf):
        kept = ~np.isin(classes[pairs], lumped).any(axis=1) | (likeness >= least)
        pairs, likeness = pairs[kept], likeness[kept]
        lumped = _find_lumped(classes, pairs)
        too_alike = np.union1d(too_alike, lumped)
    return pairs, tuple(sorted(names.take(too_alike)))


def _find_lumped(classes: IntArray, pairs: IntArray) -> IntArray:
    """The classes that have too few groups or too large a one, if the pairs are kept together."""
    _, groups = connected_components(_graph(pairs, len(classes)), directed=False)
    concerned = np.unique(classes[pairs.ravel()])
    rows = np.flatnonzero(np.isin(classes, concerned))
    size = int(groups.max(initial=0)) + 1
    keys, sizes = np.unique(classes[rows] * size + groups[rows], return_counts=True)
    starts = np.searchsorted(keys // size, concerned)
    num_groups = np.diff(np.append(starts, len(keys)))
    if not len(concerned):
        return concerned
    largest, total = np.maximum.reduceat(sizes, starts), np.add.reduceat(sizes, starts)
    return concerned[(num_groups < FEWEST_GROUPS) | (largest > LARGEST_SHARE * total)]


def _find_nearest(small: PictureRows, rows: IntArray) -> IntArray:
    """Pairs (m, 2) of the rows of one class, lower first: each with a few that are most like it."""
    rows = rows[_spread(small, rows) >= _FLAT]
    chunks = [rows[start : start + _CHUNK] for start in range(0, len(rows), _CHUNK)]
    waves = np.concatenate([_low_waves(_standardise(small[chunk])) for chunk in chunks])
    points = waves[:, np.argsort(waves.var(axis=0))[-_AXES:]]
    unique, firsts, places = np.unique(points.round(4), axis=0, return_index=True, return_inverse=True)
    radius = np.sqrt(2 - 2 * STRICT_LIKENESS[0])
    tree = KDTree(unique, balanced_tree=False)
    _, found = tree.query(unique, k=range(2, _NEAREST + 2), eps=1, distance_upper_bound=radius)
    start, step = np.nonzero(found < len(unique))
    near = np.stack([firsts[start], firsts[found[start, step]]], axis=1)
    return np.sort(rows[np.concatenate([_chain(places.ravel()), near])], axis=1)


def _standardise(small: SmallPictures) -> NDArray[np.float32]:
    """Pictures as vectors (n, SIDE * SIDE) of mean 0 and length 1: the product of two is their likeness."""
    vectors = small.reshape(len(small), -1).astype(np.float32)
    vectors -= vectors.mean(axis=1, keepdims=True)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors
