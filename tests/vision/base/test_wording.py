"""One of a thing is told in the singular."""

import pytest

from vision.base.wording import count_of


@pytest.mark.parametrize(
    ("number", "noun", "words"),
    [
        (0, "image", "0 images"),
        (1, "image", "1 image"),
        (2, "more group", "2 more groups"),
        (1, "class", "1 class"),
        (3, "class", "3 classes"),
        (1.0, "day", "1 day"),
        (1.5, "day", "1.5 days"),
        (1234567, "answer", "1,234,567 answers"),
    ],
)
def test_a_number_and_its_noun_agree(number: float, noun: str, words: str) -> None:
    assert count_of(number, noun) == words
