"""Answers that a person should look at, with what was said of them; and which words agree."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, select

from serving.log.corrections import CorrectedAnswer
from serving.log.database import LogDatabase
from serving.log.entries import to_time
from serving.log.schema import CORRECTIONS, IMAGES, PREDICTIONS
from vision.decision.records import Decision

_DOUBTFUL = (Decision.REVIEW.value, Decision.UNKNOWN.value)


@dataclass(frozen=True, eq=False)
class Doubt:
    """An answer that waits for one client's word.

    Attributes:
        prediction_id: of the answer.
        time: when it was given, UTC.
        file_name: of the picture.
        group: individual, camera or visit; None where none was given.
        decision: review or unknown.
        unknown_kind: of an unknown answer; None of others and of old answers.
        class_name: the most probable, or nearest.
        confidence: its calibrated probability.
        image: bytes of the picture; None where the log keeps none.
        said: client -> class, of others.
    """

    prediction_id: str
    time: datetime
    file_name: str
    group: str | None
    decision: str
    unknown_kind: str | None
    class_name: str
    confidence: float
    image: bytes | None
    said: dict[str, str]


def list_doubts(log: LogDatabase, model_name: str, client: str, limit: int) -> list[Doubt]:
    """The newest doubtful and unknown answers of a model that this client said nothing of.

    Raises:
        LogError: the log cannot be read.
    """
    given, said = PREDICTIONS.c, CORRECTIONS.c
    own = select(said.number).where(said.client == client)
    query = select(
        *(given.number, given.prediction_id, given.time_us, given.file_name, given.group_name),
        *(given.decision, given.class_name, given.confidence, IMAGES.c.image, given.unknown_kind),
    ).join(IMAGES, IMAGES.c.number == given.number, isouter=True)
    query = query.where(given.model_name == model_name, given.decision.in_(_DOUBTFUL))
    query = query.where(given.number.not_in(own)).order_by(given.number.desc()).limit(limit)
    words: defaultdict[int, dict[str, str]] = defaultdict(dict)
    with log.transaction(writes=False) as connection:
        rows = connection.execute(query).all()
        spoken = select(said.number, said.client, said.class_name)
        for number, name, word in connection.execute(spoken.where(said.number.in_([row[0] for row in rows]))):
            words[number][name] = word
    return [
        Doubt(
            prediction_id=row[1],
            time=to_time(row[2]),
            file_name=row[3],
            group=row[4],
            decision=row[5],
            unknown_kind=row[9],
            class_name=row[6],
            confidence=row[7],
            image=None if row[8] is None else bytes(row[8]),
            said=words[row[0]],
        )
        for row in rows
    ]


def take_back(log: LogDatabase, prediction_id: str, client: str) -> bool:
    """Delete what a client said of an answer; False where it said nothing.

    Raises:
        LogError: it could not be deleted.
    """
    answer = select(PREDICTIONS.c.number).where(PREDICTIONS.c.prediction_id == prediction_id)
    own = CORRECTIONS.c.number.in_(answer) & (CORRECTIONS.c.client == client)
    with log.transaction(writes=True) as connection:
        return bool(connection.execute(delete(CORRECTIONS).where(own)).rowcount)


def read_images(log: LogDatabase, prediction_ids: Sequence[str]) -> dict[str, bytes]:
    """The pictures of answers that the log keeps.

    Raises:
        LogError: the log cannot be read.
    """
    given = PREDICTIONS.c
    query = select(given.prediction_id, IMAGES.c.image).join(IMAGES, IMAGES.c.number == given.number)
    found: dict[str, bytes] = {}
    with log.transaction(writes=False) as connection:
        for start in range(0, len(prediction_ids), 500):
            some = given.prediction_id.in_(prediction_ids[start : start + 500])
            found |= {name: bytes(image) for name, image in connection.execute(query.where(some))}
    return found


def find_agreed(corrected: Iterable[CorrectedAnswer], least: int = 1) -> dict[str, str]:
    """Prediction id -> class, of answers of which all who spoke say the same, `least` of them or more."""
    words: defaultdict[str, list[str]] = defaultdict(list)
    for each in corrected:
        words[each.correction.prediction_id].append(each.correction.class_name)
    return {name: said[0] for name, said in words.items() if len(set(said)) == 1 and len(said) >= least}
