"""A picture is drawn once for the same record and the same code."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from report import pictures
from report.pictures import PictureCache, Plot
from tests.example_evaluation import make_temperature


def test_a_picture_is_drawn_again_only_for_another_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[Plot] = []

    def draw(plot: Plot) -> bytes:
        drawn.append(plot)
        return b"png %d" % len(drawn)

    monkeypatch.setattr(pictures, "_draw", draw)
    cache = PictureCache(tmp_path / "pictures")
    first, second = (
        Plot("training.draw_temperature", make_temperature()),
        Plot("training.draw_temperature", make_temperature(applied=False)),
    )
    assert cache.embed(first) == cache.embed(first)
    assert len(drawn) == 1
    assert cache.embed(second) != cache.embed(first)
    assert len(drawn) == 2
    monkeypatch.setattr(pictures, "_figures_digest", lambda: "other code")
    cache.embed(first)
    assert len(drawn) == 3
    PictureCache().embed(first)
    assert len(drawn) == 4


def test_arrays_are_made_once_and_again_where_their_file_is_damaged(tmp_path: Path) -> None:
    cache, made = PictureCache(tmp_path), []

    def make() -> dict[str, np.ndarray]:
        made.append(1)
        return {"7": np.arange(6, dtype=np.uint8).reshape(2, 3)}

    for _ in range(2):
        assert_array_equal(cache.get_arrays("k", make)["7"], [[0, 1, 2], [3, 4, 5]])
    assert len(made) == 1
    (tmp_path / "k.npz").write_bytes(b"PK\x03\x04 cut short")
    assert cache.get_arrays("k", make)["7"].shape == (2, 3)
    assert len(made) == 2
    cache.get_arrays("k", make)
    assert len(made) == 2


def test_that_there_was_nothing_to_draw_is_not_kept(tmp_path: Path) -> None:
    cache = PictureCache(tmp_path)
    assert cache.get_arrays("k", dict) == {}
    assert list(cache.get_arrays("k", lambda: {"7": np.zeros(2, np.uint8)})) == ["7"]
