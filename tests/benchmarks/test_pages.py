"""What people write around generated figures outlasts a rerun."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from benchmarks.pages import BEGIN, END, page_path, write_page
from vision.base.errors import ConfigError


def test_only_what_is_between_the_markers_is_replaced(tmp_path: Path) -> None:
    page = tmp_path / "docs" / "figures.md"
    write_page(page, "| a |\n")
    assert page.read_text() == f"{BEGIN}\n\n| a |\n\n{END}\n"
    page.write_text(f"By hand.\n{page.read_text()}\n## What this says\n\nBad news.\n")
    write_page(page, "| b |")
    assert page.read_text() == f"By hand.\n{BEGIN}\n\n| b |\n\n{END}\n\n## What this says\n\nBad news.\n"


@pytest.mark.parametrize(
    "text", ["By hand.", f"{BEGIN}\n", f"{END}\n{BEGIN}\n", f"{BEGIN}\n{END}\n{BEGIN}\n{END}\n"]
)
def test_a_page_that_does_not_say_what_is_generated_is_refused_and_kept(tmp_path: Path, text: str) -> None:
    page = tmp_path / "figures.md"
    page.write_text(text)
    with pytest.raises(ConfigError, match="expected one of each, in this order"):
        write_page(page, "| a |")
    with pytest.raises(argparse.ArgumentTypeError, match="name another file"):
        page_path(str(page))
    assert page.read_text() == text


def test_the_page_that_make_bench_writes_is_marked() -> None:
    docs = Path(__file__).resolve().parents[2] / "docs"
    assert page_path(str(docs / "benchmarks.md")).is_file()
