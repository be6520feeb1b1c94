"""Seconds that it takes to find near duplicates among many perceptual hashes.

    python -m benchmarks.many_images.near_duplicates [--rows 100000 1000000]

The hashes are drawn with bits that depend on one another, as those of photographs do; a twentieth of them are
copies with one bit changed. Goal: 100,000 in at most 3 s, a million in at most 30 s.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from vision.data.groups.near_duplicates import Hashes, find_pairs

_HIDDEN = 8
_COPIES = 0.05


def draw_hashes(num: int, seed: int) -> Hashes:
    """(num,) hashes of dependent bits, some of which are near copies of others."""
    rng = np.random.default_rng(seed)
    mixing = rng.normal(size=(_HIDDEN, 64)).astype(np.float32)
    hidden = rng.normal(size=(num, _HIDDEN)).astype(np.float32) @ mixing
    bits = hidden + rng.normal(size=(num, 64)).astype(np.float32) > 0
    hashes = np.packbits(bits, axis=1).view(">u8").ravel().astype(np.uint64)
    copies = int(num * _COPIES)
    changed = np.uint64(1) << rng.integers(0, 64, copies).astype(np.uint64)
    hashes[:copies] = hashes[rng.choice(num, copies, replace=False)] ^ changed
    return hashes


def main() -> None:
    """Print one line for each number of hashes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 1_000_000])
    for num in parser.parse_args().rows:
        hashes = draw_hashes(num, seed=0)
        started = time.perf_counter()
        pairs = find_pairs(hashes)
        print(f"{num:,} hashes: {time.perf_counter() - started:.1f} s, {len(pairs):,} pairs")


if __name__ == "__main__":
    main()
