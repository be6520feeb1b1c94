"""Painted sets are the same for the same seed, part of one another, and painted on where they stopped."""

from __future__ import annotations

import hashlib
from pathlib import Path

from benchmarks.scaling.images import GROUP_BY, ImageSet, encode, paint
from vision.config.data import FolderSource
from vision.data.sources import read_source

SMALL = 2400


def _digests(root: Path) -> dict[str, str]:
    files = sorted(root.rglob("*.jpg"))
    return {str(each.relative_to(root)): hashlib.sha256(each.read_bytes()).hexdigest() for each in files}


def test_a_set_is_painted_once_goes_on_where_it_stopped_and_lies_in_larger_ones(tmp_path: Path) -> None:
    small, large = (ImageSet(tmp_path / str(n), n, classes=4) for n in (SMALL // 2, SMALL))
    assert [*paint(small)][-1] == small.images
    first = _digests(small.root)
    assert len(first) == len(set(first.values())) == small.images
    lost = small.root / small.name(7)
    lost.unlink()
    (kept := small.root / small.name(8)).write_bytes(b"kept")
    assert [*paint(small)][-1] == small.images
    assert _digests(small.root)[small.name(7)] == first[small.name(7)]
    assert kept.read_bytes() == b"kept"
    kept.write_bytes(encode(small, 8))
    [*paint(large)]
    assert first.items() <= _digests(large.root).items()

    manifest = read_source(FolderSource(path=large.root, group_by=GROUP_BY), tmp_path)
    assert len(manifest.class_names) == 4
    broken = len(manifest.quarantined)
    assert 0 < broken < 10
    assert len(manifest.entries) + broken == SMALL
    groups = {each.group for each in manifest.entries}
    assert SMALL / 5 < len(groups) < SMALL / 3
