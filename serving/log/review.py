"""Answers that a person should look at, with what was said of them; and which words agree."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from sqlalchemy import delete, select

from serving.log.corrections import CorrectedAnswer
from serving.log.database import LogDatabase
from serving.log.entries import LogEntry, select_entries
from serving.log.schema import CORRECTIONS, IMAGES, PREDICTIONS
from vision.decision.records import Decision

_ASKED_AT_ONCE = 500  # databases bound the values of a query


def list_doubts(
    log: LogDatabase, model_name: str, client: str, limit: int
) -> list[tuple[LogEntry, dict[str, str]]]:
    """The newest doubtful and unknown answers of a model that this client said nothing of, with their images.

    With each: client -> class, what others said of it.

    Raises:
        LogError: the log cannot be read.
    """
    given, said = PREDICTIONS.c, CORRECTIONS.c
    query = select_entries(images=True).where(
        given.model_name == model_name, given.decision != Decision.ACCEPT
    )
    query = query.where(given.number.not_in(select(said.number).where(said.client == client)))
    doubts = [LogEntry(*row) for row in log.read(query.order_by(given.number.desc()).limit(limit))]
    words: defaultdict[int, dict[str, str]] = defaultdict(dict)
    spoken = select(said.number, said.client, said.class_name)
    for number, name, word in log.read(spoken.where(said.number.in_([each.number for each in doubts]))):
        words[number][name] = word
    return [(each, words[each.number]) for each in doubts]


def take_back(log: LogDatabase, prediction_id: str, client: str) -> bool:
    """Delete what a client said of an answer; False where it said nothing.

    Raises:
        LogError: it could not be deleted.
    """
    answer = select(PREDICTIONS.c.number).where(PREDICTIONS.c.prediction_id == prediction_id)
    own = delete(CORRECTIONS).where(CORRECTIONS.c.number.in_(answer), CORRECTIONS.c.client == client)
    with log.transaction(writes=True) as connection:
        return bool(connection.execute(own).rowcount)


def read_images(log: LogDatabase, prediction_ids: Sequence[str]) -> dict[str, bytes]:
    """The pictures of answers that the log keeps.

    Raises:
        LogError: the log cannot be read.
    """
    name = PREDICTIONS.c.prediction_id
    query = select(name, IMAGES.c.image).join_from(PREDICTIONS, IMAGES)
    found: dict[str, bytes] = {}
    for start in range(0, len(prediction_ids), _ASKED_AT_ONCE):
        asked = prediction_ids[start : start + _ASKED_AT_ONCE]
        found |= {row.prediction_id: row.image for row in log.read(query.where(name.in_(asked)))}
    return found


def find_agreed(corrected: Iterable[CorrectedAnswer], least: int = 1) -> dict[str, str]:
    """Prediction id -> class, of answers of which all who spoke say the same, `least` of them or more."""
    words: defaultdict[str, list[str]] = defaultdict(list)
    for each in corrected:
        words[each.correction.prediction_id].append(each.correction.class_name)
    return {name: said[0] for name, said in words.items() if len(set(said)) == 1 and len(said) >= least}
