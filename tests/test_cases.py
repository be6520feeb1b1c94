"""Every row of docs/cases.md names tests that are there."""

from __future__ import annotations

import re

import pytest

from vision.base.closure import ROOT

_TEXT = (ROOT / "docs" / "cases.md").read_text(encoding="utf-8")
_FILES = dict(re.findall(r"`([A-Z])` is\s+`(tests/[^`]+\.py)`", _TEXT))
_ROWS = re.findall(r"^\| ([A-Z]|[A-Z], [A-Z]|-) \| (.+?) \| (.+) \| (.*) \|$", _TEXT, re.MULTILINE)


def test_the_rows_are_read() -> None:
    assert len(_ROWS) == sum(line.startswith("| ") for line in _TEXT.splitlines()) - _TEXT.count("| kind |")


@pytest.mark.parametrize(("case", "tests"), [(case, tests) for _, case, _, tests in _ROWS])
def test_a_row_of_the_cases_names_tests_that_are_there(case: str, tests: str) -> None:
    named = re.findall(r"`([^`]+)`", tests)
    assert named, f"{case}: no test"
    for each in named:
        place, _, test = each.replace("::", " ").partition(" ")
        content = (ROOT / _FILES.get(place, place)).read_text(encoding="utf-8")
        assert re.search(rf"^ *(def|class) {test or 'test_'}", content, re.MULTILINE), f"{case}: {each}"
