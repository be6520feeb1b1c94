"""Every error class and every exit code has its entry in docs/troubleshooting.md."""

from __future__ import annotations

import re

import pytest

from orchestration.session.refusal import HANDBOOK, describe_refusal, split_refusal
from serving.client import RefusedError
from vision.base import errors
from vision.base.closure import ROOT
from vision.base.errors import TaxonError, TooFewImagesError

CLASSES = [
    each
    for each in vars(errors).values()
    if isinstance(each, type) and issubclass(each, TaxonError) and each is not TaxonError
]
ELSEWHERE = [RefusedError]
ANCHORS = re.findall(r'<a id="([^"]+)">', (ROOT / HANDBOOK).read_text(encoding="utf-8"))


def test_the_entries_are_the_error_classes_and_the_exit_codes_once_each() -> None:
    codes = {0, *(each.exit_code for each in CLASSES)}
    assert sorted(ANCHORS) == sorted(
        [*(each.entry() for each in CLASSES), *(f"exit-{code}" for code in codes)]
    )


def test_error_classes_that_are_declared_elsewhere_point_to_an_entry_that_is_there() -> None:
    assert {each.entry() for each in ELSEWHERE} <= set(ANCHORS)


@pytest.mark.parametrize(
    ("message", "parts"),
    [
        (
            "Class cobalt has 1 image. Expected at least 5. Add images, or hold it out.",
            ("Class cobalt has 1 image", "at least 5", "Add images, or hold it out"),
        ),
        (
            "There are 1.5 groups (of 2. kind); expected at least two. Give validation a larger share.",
            ("There are 1.5 groups (of 2. kind)", "at least two", "Give validation a larger share"),
        ),
        ("--keep is 0; expected 1 or more runs.", ("--keep is 0", "1 or more runs", "")),
        ("a.yaml: images.siz: unknown key; did you mean size?", None),
        ("a.yaml: x: no. Expected a.\na.yaml: y: no. Expected b.", None),
        (
            "Two ways. Expected one. Type:\n  --set a\n  --set b",
            ("Two ways", "one", "Type:\n  --set a\n  --set b"),
        ),
        ("A table. Expected none. Do\n\npython x", ("A table", "none", "Do\n\npython x")),
        (
            "It has none; expected one; give split.x a larger share.",
            ("It has none", "one", "give split.x a larger share"),
        ),
    ],
)
def test_a_message_is_told_apart_into_what_arrived_what_was_expected_and_what_to_do(
    message: str, parts: tuple[str, str, str] | None
) -> None:
    assert split_refusal(message) == (parts or (message, "", ""))


def test_a_refusal_is_three_short_lines_and_where_more_is_written() -> None:
    error = TooFewImagesError("Class cobalt has 1 image. Expected at least 5. Add images.")
    assert [line.plain for line in describe_refusal(error)] == [
        "TooFewImagesError: Class cobalt has 1 image",
        "  Expected  at least 5",
        "  Do this   Add images",
        "  More      docs/troubleshooting.md#too-few-images",
    ]
