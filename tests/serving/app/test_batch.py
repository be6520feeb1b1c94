"""Files are sent in archives, and what stops the page cuts none of them in two."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from serving.api.problems import Problem
from serving.api.schemas import BatchRow
from serving.app.batch import Batch, answer_items
from serving.app.screen import Service
from serving.runtime.process import ServiceStatus
from serving.runtime.running import ServiceFolder
from tests.serving.app.test_words import MODEL
from vision.prediction.items import make_faulty

PROBLEM = Problem(type="x:y", title="", status=422, detail="", arrived="", expected="", advice="")


def test_a_click_elsewhere_keeps_all_answers_of_an_archive(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    sent: list[int] = []

    def answer(*_: Any) -> Iterator[BatchRow]:
        for place in range(2):
            sent.append(place)
            yield BatchRow(file=str(place), problem=PROBLEM)

    monkeypatch.setattr("serving.app.batch.answer_archive", answer)
    monkeypatch.setattr("serving.app.batch._FILES_AT_ONCE", 2)
    batch = Batch([make_faulty(f"{number}.png", "is cut short") for number in range(4)])
    status = ServiceStatus(None, ready=True, message="")
    service = Service("http://nowhere", "key", MODEL, ServiceFolder(tmp_path), status)
    first = answer_items(service, batch)
    assert next(first).name == "0.png"
    first.close()  # type: ignore[attr-defined]
    assert [each.name for each in batch.asked] == ["0.png", "1.png"]
    assert [each.name for each in answer_items(service, batch)] == ["2.png", "3.png"]
    assert (sent, len(batch.rows)) == ([0, 1, 0, 1], 5)
