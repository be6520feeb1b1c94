"""Files are sent in archives, and what stops the page cuts none of them in two."""

from __future__ import annotations

import io
import threading
import time
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

import pytest

from serving.api.problems import Problem
from serving.api.schemas import BatchRow
from serving.app.batch import MOST_SHOWN, Batch, answer_items, list_items
from serving.app.screen import Service
from serving.app.visit import Asked
from serving.runtime.process import ServiceStatus
from serving.runtime.running import ServiceFolder
from tests.serving.api.client import pack
from tests.serving.app.test_words import MODEL
from tests.serving.app.test_words import answer as answer_of
from tests.serving.toy import GREY, RED, paint
from vision.decision.records import Decision
from vision.prediction.items import make_faulty

PROBLEM = Problem(type="x:y", title="", status=422, detail="", arrived="", expected="", advice="")


def make_service(folder: Path) -> Service:
    status = ServiceStatus(None, ready=True, message="")
    return Service("http://nowhere", "key", MODEL, ServiceFolder(folder), status)


def test_a_picture_with_a_zip_behind_it_is_a_picture() -> None:
    archive, picture = pack({"a.png": paint(RED), "b.png": paint(RED)}), paint(GREY)
    items = list_items([("both.png", io.BytesIO(picture + archive)), ("c.zip", io.BytesIO(archive))], 9)
    assert [each.path for each in items] == ["both.png", "a.png", "b.png"]
    assert items[0].read() == picture + archive


def test_thumbnails_are_kept_of_the_least_sure_answers_of_each_decision() -> None:
    decisions = [Decision.ACCEPT, Decision.REVIEW] * MOST_SHOWN + [Decision.ACCEPT] * 5
    batch = Batch([])
    for number, decision in enumerate(decisions):
        given = answer_of(decision, confidence=0.5 + number / 1000)
        batch.asked.append(Asked(f"{number}.png", "", datetime.now(UTC), b"jpeg", given))
    batch.forget_thumbnails()
    shown = [bool(each.shown) for each in batch.asked]
    assert shown == [True] * (2 * MOST_SHOWN) + [False] * 5


def test_who_comes_back_while_an_archive_is_asked_asks_none_of_it_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    sent: list[int] = []

    def answer(_url: str, _key: str, archive: BinaryIO) -> Iterator[BatchRow]:
        for name in zipfile.ZipFile(archive).namelist():
            sent.append(int(name))
            time.sleep(0.05)
            yield BatchRow(file=name, problem=PROBLEM)

    monkeypatch.setattr("serving.app.batch.answer_archive", answer)
    monkeypatch.setattr("serving.app.batch._FILES_AT_ONCE", 4)
    batch = Batch([make_faulty(f"{number}.png", "is cut short") for number in range(6)])
    service = make_service(tmp_path)
    left = threading.Thread(target=lambda: next(answer_items(service, batch)))
    left.start()
    while not sent:
        time.sleep(0.01)
    list(answer_items(service, batch))
    left.join()
    assert sent == [0, 1, 2, 3, 0, 1]
    assert [each.name for each in batch.asked] == [f"{number}.png" for number in range(6)]
    assert len(batch.rows) == 7


def test_a_click_elsewhere_keeps_all_answers_of_an_archive(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    sent: list[int] = []

    def answer(_url: str, _key: str, archive: BinaryIO) -> Iterator[BatchRow]:
        assert zipfile.ZipFile(archive).namelist() == ["0", "1"]  # not by their own, unsafe names
        for place in range(2):
            sent.append(place)
            yield BatchRow(file=str(place), problem=PROBLEM)

    monkeypatch.setattr("serving.app.batch.answer_archive", answer)
    monkeypatch.setattr("serving.app.batch._FILES_AT_ONCE", 2)
    batch = Batch([make_faulty(f"../{number}.png", "is cut short") for number in range(4)])
    service = make_service(tmp_path)
    first = answer_items(service, batch)
    assert next(first).name == "../0.png"
    first.close()  # type: ignore[attr-defined]
    assert [each.name for each in batch.asked] == ["../0.png", "../1.png"]
    assert [each.name for each in answer_items(service, batch)] == ["../2.png", "../3.png"]
    assert (sent, len(batch.rows)) == ([0, 1, 0, 1], 5)
