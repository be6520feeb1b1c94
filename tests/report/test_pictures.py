"""A picture is drawn once for the same record and the same code."""

from __future__ import annotations

from pathlib import Path

import pytest

from report import pictures
from report.pictures import PictureCache, Plot
from tests.example_story import make_temperature


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
