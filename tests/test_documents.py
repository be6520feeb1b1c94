"""What documents name is there: tests, and a test for each row of docs/cases.md."""

from __future__ import annotations

import re

import pytest

from vision.base.closure import ROOT

_DOCUMENTS = sorted(each.relative_to(ROOT / "docs").as_posix() for each in (ROOT / "docs").rglob("*.md"))
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


def test_the_places_of_faults_in_the_document_on_tests_are_there() -> None:
    text, gone = (ROOT / "docs" / "testing.md").read_text(encoding="utf-8"), []
    for path, names in re.findall(r"`((?!tests/)\w+/[\w/]+\.py)`((?: `[\w.]+`,?)*)", text):
        content = (ROOT / path).read_text(encoding="utf-8")
        for name in re.findall(r"`([\w.]+)`", names):
            if not re.search(rf"\b{name.rpartition('.')[2]}\b", content):
                gone.append(f"{path} {name}")
    assert gone == []


@pytest.mark.parametrize("document", ["README.md", *(f"docs/{each}" for each in _DOCUMENTS)])
def test_a_document_names_tests_that_are_there(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    gone = []
    for path, test in re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?", text):
        file = ROOT / path
        pattern = rf"^ *(def|class) {test}"
        if not file.is_file() or not re.search(pattern, file.read_text(encoding="utf-8"), re.MULTILINE):
            gone.append(f"{path}::{test}")
    assert gone == []
