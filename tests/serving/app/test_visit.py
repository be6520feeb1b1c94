"""The table of a visit holds every picture once, whatever came of it, in a form that spreadsheets read."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime

from serving.app.visit import COLUMNS, Asked, count_answers, forget_pictures, order_by_doubt, write_csv
from tests.serving.app.test_words import answer
from vision.decision.records import Decision

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
HISTORY = [
    Asked("named.jpg", "cam-1", NOW, b"jpeg", answer(Decision.ACCEPT)),
    Asked('a,"b".jpg', "", NOW, problem="a is not a picture."),
    Asked("äsche.jpg", "", NOW, b"jpeg", answer(Decision.REVIEW), correction="Äsche"),
    Asked("odd.jpg", "", NOW, b"jpeg", answer(Decision.UNKNOWN)),
]


def test_no_cell_is_a_formula() -> None:
    (row,) = csv.DictReader(io.StringIO(write_csv([Asked("=1+1", "@cam", NOW)]).decode("utf-8-sig")))
    assert (row["file"], row["group"]) == ("'=1+1", "'@cam")


def test_the_csv_has_a_row_a_picture() -> None:
    rows = list(csv.DictReader(io.StringIO(write_csv(HISTORY).decode("utf-8-sig"))))
    assert tuple(rows[0]) == COLUMNS
    assert [row["file"] for row in rows] == ["named.jpg", 'a,"b".jpg', "äsche.jpg", "odd.jpg"]
    assert [row["decision"] for row in rows] == ["accept", "", "review", "unknown"]
    assert (rows[0]["class_name"], rows[0]["confidence"], rows[0]["group"]) == ("ring_damsel", "0.9", "cam-1")
    assert rows[1]["problem"] == "a is not a picture."
    assert rows[2]["correction"] == "Äsche"


def test_the_doubtful_come_first_and_those_without_an_answer_last() -> None:
    assert order_by_doubt(HISTORY) == [2, 3, 0, 1]
    assert count_answers(HISTORY[:2]) == "2 pictures: 1 decided alone, 1 without an answer"


def test_a_long_visit_keeps_answers_and_no_pictures() -> None:
    heated = answer(Decision.ACCEPT).model_copy(update={"heat_map_png": "aGVhdA=="})
    (kept,) = forget_pictures([Asked("a.jpg", "", NOW, b"jpeg", heated)])
    assert kept.shown == b""
    assert kept.answer == answer(Decision.ACCEPT)
