"""Names of every script are compared without case, form and what does not show."""

import pytest

from vision.base.names import comparison_key, find_hidden, find_near, isolate, normalise


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("\u00c4sche", "a\u0308sche"),
        ("sea bass", "Sea\u00a0 Bass"),
        ("\u2764\ufe0f", "\u2764"),
        ("ماهی\u200cقرمز", "ماهیقرمز"),
    ],
)
def test_names_that_look_alike_have_one_key(one: str, other: str) -> None:
    assert comparison_key(one) == comparison_key(other)


@pytest.mark.parametrize(("one", "other"), [("sea bass", "sea_bass"), ("m2", "m²"), ("Asche", "Äsche")])
def test_names_that_differ_to_the_eye_have_two(one: str, other: str) -> None:
    assert comparison_key(one) != comparison_key(other)


def test_a_joiner_shows_as_a_fault_only_where_no_spelling_needs_it() -> None:
    assert find_hidden("ماهی\u200cقرمز") is None
    assert "U+200C" in (find_hidden("sea\u200cbass") or "")
    assert "U+200D" in (find_hidden("ماهی\u200d") or "")


def test_a_name_written_from_right_to_left_stands_by_itself_in_a_sentence() -> None:
    name = "ماهی"
    assert isolate(name) == f"\u2068{name}\u2069"
    assert isolate("Äsche 2") == "Äsche 2"


def test_what_was_meant_ignores_form_and_case() -> None:
    assert find_near("äsche", ["A\u0308sche", "perch"]) == "A\u0308sche"
    assert find_near("breem", ["bream", "chub"]) == "bream"
    assert find_near("xyz", ["bream"]) is None


def test_normal_form_keeps_the_look() -> None:
    assert normalise("A\u0308\u00a0\u200c") == "\u00c4\u00a0\u200c"
