"""A font of this machine draws what the usual one lacks; what none has is told, and nothing is printed."""

import logging
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib import font_manager

from report.figures import fonts
from report.figures.style import name_rows, new_figure, to_png
from vision.base.wording import shorten

CARP = "鲤"


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(font_manager, "findSystemFonts", lambda: [])
    for each in (fonts.find_fonts, fonts._installed, fonts._warn):
        each.cache_clear()
    yield
    for each in (fonts.find_fonts, fonts._installed, fonts._warn):
        each.cache_clear()


def build_font(path: Path, family: str, character: str) -> str:
    """A font of one character, a filled square."""
    pen = TTGlyphPen(None)
    pen.moveTo((0, 0))
    for point in ((0, 800), (800, 800), (800, 0)):
        pen.lineTo(point)
    pen.closePath()
    square = pen.glyph()
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder([".notdef", "own"])
    builder.setupCharacterMap({ord(character): "own"})
    builder.setupGlyf({".notdef": TTGlyphPen(None).glyph(), "own": square})
    builder.setupHorizontalMetrics({".notdef": (500, 0), "own": (800, 0)})
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": family, "styleName": "Regular"})
    builder.setupOS2()
    builder.setupPost()
    builder.save(str(path))
    return str(path)


def draw(*names: str) -> bytes:
    figure = new_figure(2.0)
    name_rows(figure.add_subplot(), names)
    return to_png(figure)


def test_a_font_that_has_the_letters_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = build_font(tmp_path / "Carp-Regular.ttf", "Carp Sans", CARP)
    boxes = draw(CARP, "b")
    fonts.find_fonts.cache_clear()
    fonts._installed.cache_clear()
    monkeypatch.setattr(font_manager, "findSystemFonts", lambda: [path, str(tmp_path / "gone.ttf")])
    assert fonts.find_fonts(frozenset(f"a{CARP}")) == ((fonts.USUAL, "Carp Sans"), "")
    assert draw(CARP, "b") != boxes


def test_letters_that_no_font_has_are_told_once_and_below_the_chart(caplog: pytest.LogCaptureFixture) -> None:
    with warnings.catch_warnings(), caplog.at_level(logging.WARNING):
        warnings.simplefilter("error")
        first = draw(CARP, "b")
        assert draw(CARP, "b") == first
        assert draw(CARP, "c") != first
    assert len(caplog.messages) == 1
    assert "Chinese. Install fonts-noto-core" in caplog.messages[0]
    assert "fonts-noto-cjk" in fonts.describe_missing(CARP)


def test_usual_letters_need_no_other_font_and_what_has_no_shape_is_not_missed() -> None:
    assert fonts.find_fonts(frozenset("aÄжدג\u200c\ufe0f\n")) == ((fonts.USUAL,), "")


def test_long_names_stay_different_and_short_ones_are_shown_as_they_are() -> None:
    names = [
        "Salmo trutta fario juvenile, left",
        "Salmo trutta fario juvenile, right",
        "sea_bass",
        "sea bass",
    ]
    short = [shorten(name) for name in names]
    assert len(set(short)) == 4
    assert max(map(len, short)) <= 24
    assert short[2:] == names[2:]
