"""Corrections lie beside their answers: who, when, what; they go when the answer goes."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from threading import Barrier

import pytest

from serving.log.corrections import Correction, add_correction, list_corrected
from serving.log.prediction_log import PredictionLog
from tests.serving.answers import START, make_entry


def correction(serial: int = 1, class_name: str = "blue_tang", minutes: int = 0) -> Correction:
    return Correction(f"id-{serial}", class_name, "lab", START + timedelta(minutes=minutes))


def read(log: PredictionLog, model: str | None = None) -> list[Correction]:
    return [each.correction for each in list_corrected(log, model)]


def test_corrections_are_read_back_in_their_order_by_model(log: PredictionLog) -> None:
    log.append(make_entry(1))
    log.append(make_entry(2, model_name="other"))
    said = [correction(1), correction(2), Correction("id-1", "Äsche", "office", START + timedelta(minutes=5))]
    assert all(add_correction(log, each) for each in said)
    assert read(log) == said
    assert read(log, "other") == [said[1]]


def test_a_later_word_of_one_person_takes_the_place_of_the_former_and_anothers_is_kept(
    log: PredictionLog,
) -> None:
    for serial in (1, 2):
        log.append(make_entry(serial, model_name="reef", model_version=str(serial), group="visit-1"))
    first, later = correction(1, "cod"), correction(1, "hake", minutes=5)
    others = Correction("id-1", "cod", "office", START), correction(2)
    for each in (first, *others, later):
        add_correction(log, each)
    assert read(log) == [*others, later]
    told = list_corrected(log, "reef")
    assert [each.correction for each in told] == [*others, later]
    answer = told[0].answer
    assert (answer.model_version, answer.group, answer.file_name) == ("1", "visit-1", "fish_1.jpg")
    assert list_corrected(log, "another") == []


def test_a_correction_of_no_answer_is_not_kept(log: PredictionLog) -> None:
    log.append(make_entry(1))
    assert not add_correction(log, correction(7))
    assert read(log) == []


def test_a_deleted_answer_takes_its_corrections_along(log: PredictionLog) -> None:
    for serial in (1, 2):
        log.append(make_entry(serial))
        add_correction(log, correction(serial))
    assert log.delete_answers(prediction_id="id-1") == 1
    assert read(log) == [correction(2)]


@pytest.mark.parametrize("database", ["sqlite", "postgres"])
def test_corrections_of_two_processes_at_once_are_all_kept_and_one_of_each_person(
    path: Path, request: pytest.FixtureRequest, database: str
) -> None:
    url = f"sqlite:///{path}" if database == "sqlite" else request.getfixturevalue("postgres")
    logs = [PredictionLog(url, wait_s=30) for _ in range(2)]  # a connection each, as processes have
    together = Barrier(2)
    for serial in range(1, 21):
        logs[0].append(make_entry(serial))

    def say(place: int) -> list[bool]:
        kept = []
        for serial in range(1, 21):
            together.wait(30)
            for client in ("both", f"client {place}"):
                kept.append(add_correction(logs[place], Correction(f"id-{serial}", "cod", client, START)))
        return kept

    try:
        with ThreadPoolExecutor(2) as pool:
            assert all(all(each) for each in pool.map(say, range(2)))
        kept = Counter(each.client for each in read(logs[0]))
    finally:
        for log in logs:
            log.close()
    assert kept == {"client 0": 20, "client 1": 20, "both": 20}
