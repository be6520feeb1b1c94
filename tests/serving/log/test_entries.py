"""What is kept of an answer, and what a client may make us keep."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.log.entries import check_group, clean_file_name, namespace_group
from tests.serving.answers import make_entry
from vision.base.errors import DataError

# --- file names and groups ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("reef.jpg", "reef.jpg"),
        ("/home/ada/holiday/reef.jpg", "reef.jpg"),
        (r"C:\Users\Ada Lovelace\reef.jpg", "reef.jpg"),
        ("../../etc/passwd", "passwd"),
        ("folder/", "folder"),
        ("", ""),
        ("Größe 🐠.jpg", "Größe 🐠.jpg"),
        ("a\nb\0c\x1b[31m.jpg", "a_b_c_[31m.jpg"),
        ("gpj\u202e.exe", "gpj_.exe"),
        ("\udcff.jpg", "_.jpg"),
        ("'); DROP TABLE predictions; --.jpg", "'); DROP TABLE predictions; --.jpg"),
    ],
)
def test_a_file_name_loses_its_folders_and_what_cannot_be_printed(sent: str, kept: str) -> None:
    assert clean_file_name(sent) == kept
    assert make_entry(file_name=sent).file_name == kept


def test_a_long_file_name_is_cut_and_keeps_its_ending() -> None:
    kept = clean_file_name("é" * 1000 + ".jpeg")
    assert kept == "é" * 250 + ".jpeg"
    assert len(clean_file_name("x." + "y" * 1000)) == 255


@given(st.text(max_size=600))
def test_a_cleaned_file_name_is_short_printable_storable_and_stays_as_it_is(sent: str) -> None:
    kept = clean_file_name(sent)
    assert len(kept) <= 255
    assert kept.isprintable()
    assert kept.encode().decode() == kept
    assert clean_file_name(kept) == kept


def test_an_absent_group_stays_absent() -> None:
    assert check_group(None) is None
    assert check_group("  ") is None
    assert make_entry(group="").group is None
    assert namespace_group("harbour", None) is None


def test_a_group_loses_the_spaces_around_it_and_nothing_else() -> None:
    assert check_group(" camera 7/left ") == "camera 7/left"
    assert check_group("g" * 255) == "g" * 255


@pytest.mark.parametrize("group", ["g" * 256, "a\nb", "a\0b", "\udcff", "a\u202eb"])
def test_a_group_that_is_too_long_or_unprintable_is_refused_not_shortened(group: str) -> None:
    with pytest.raises(DataError, match=r"The group is .* expected at most 255 printable characters"):
        check_group(group)
    with pytest.raises(DataError):
        make_entry(group=group)


def test_groups_of_two_clients_are_never_one() -> None:
    assert namespace_group("harbour", "camera 1") == "harbour/camera 1"
    assert namespace_group("a/b", "c") != namespace_group("a", "b/c")
    assert namespace_group("a%2Fb", "c") != namespace_group("a/b", "c")


# --- entries --------------------------------------------------------------------------------------------


def test_time_becomes_utc_and_a_naive_time_is_refused() -> None:
    local = datetime(2026, 3, 1, 14, 0, tzinfo=timezone(timedelta(hours=2)))
    entry = make_entry(time=local)
    assert entry.time == datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
    assert entry.time.tzinfo is UTC
    with pytest.raises(ValueError, match="has no zone"):
        make_entry(time=datetime(2026, 3, 1))
