"""The pictures of one visit to the page, each asked once, and their answers as a table."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from serving.api.schemas import PredictionAnswer, PredictionQuery
from serving.app.pictures import fit_picture
from serving.app.screen import Service
from serving.app.words import explain_fault, show_share
from serving.client import ask_service, correct_answer
from vision.base.cells import as_cell
from vision.base.errors import TaxonError
from vision.base.wording import count_of
from vision.data.thumbnails import make_thumbnail
from vision.decision.records import Decision

SHOWN_SIDE = 1024
"""Pixels of the longer side that the page shows."""
COLUMNS = (
    *("time", "file", "decision", "class_name", "confidence", "unknown_kind", "correction", "group"),
    *("prediction_id", "model", "version", "problem"),
)
_ORDER = {Decision.REVIEW: 0, Decision.UNKNOWN: 1, Decision.ACCEPT: 2, None: 3}


@dataclass(frozen=True)
class Asked:
    """One picture and what came of it.

    Attributes:
        name: of the file.
        group: that it was counted in.
        time: when it was asked, UTC.
        shown: a JPEG of it; empty for what is no picture, and once it is history.
        answer: of the service; None where there is none.
        problem: why there is none, in words.
        correction: what a person said that it is.
    """

    name: str
    group: str
    time: datetime
    shown: bytes = b""
    answer: PredictionAnswer | None = None
    problem: str = ""
    correction: str = ""

    @property
    def decision(self) -> Decision | None:
        """Of the answer; None where there is none."""
        return None if self.answer is None else self.answer.decision

    @property
    def sureness(self) -> float:
        """Confidence of the answer; 0 where there is none."""
        return 0.0 if self.answer is None else self.answer.confidence


def ask_picture(service: Service, name: str, content: bytes, group: str, query: PredictionQuery) -> Asked:
    """Ask the service about one file; what it refuses becomes words."""
    asked = Asked(name, group, datetime.now(UTC))
    try:
        sent = fit_picture(content, service.model)
        asked = replace(asked, shown=make_thumbnail(content, SHOWN_SIDE))
        similar = min(query.similar, service.model.num_known_images)
        query = query.model_copy(update={"similar": similar})
        answer = ask_service(service.url, service.key, sent, name, group=group, query=query)
    except TaxonError as error:
        return replace(asked, problem=explain_fault(name, error))
    return replace(asked, answer=answer)


def correct_picture(service: Service, asked: Asked, class_name: str) -> Asked:
    """Tell the service what an answered picture is.

    Raises:
        ServiceError: it was not written down.
    """
    if asked.answer is not None:
        correct_answer(service.url, service.key, asked.answer.prediction_id, class_name)
    return replace(asked, correction=class_name)


def forget_pictures(history: Sequence[Asked]) -> list[Asked]:
    """The answers without pictures and heat maps, which would fill the memory in a long visit."""
    return [
        replace(
            each,
            shown=b"",
            answer=each.answer and each.answer.model_copy(update={"heat_map_png": None, "similar": None}),
        )
        for each in history
    ]


def order_by_doubt(asked: Sequence[Asked]) -> list[int]:
    """Places of the pictures: for a person, unknown, named, then those without an answer."""
    return sorted(range(len(asked)), key=lambda place: _ORDER[asked[place].decision])


def count_answers(asked: Sequence[Asked]) -> str:
    """How many pictures got which answer, in words."""
    words = {2: "decided alone", 0: "for you to look at", 1: "unknown", 3: "without an answer"}
    ranks = [_ORDER[each.decision] for each in asked]
    told = [f"{ranks.count(rank)} {text}" for rank, text in words.items() if rank in ranks]
    return f"{count_of(len(asked), 'picture')}: {', '.join(told)}"


def tabulate(history: Sequence[Asked]) -> list[dict[str, str | float | None]]:
    """A row a picture, with COLUMNS."""
    rows = []
    for each in history:
        row: dict[str, str | float | None] = dict.fromkeys(COLUMNS)
        row |= {"time": each.time.isoformat(timespec="seconds"), "file": each.name, "group": each.group}
        row |= {"problem": each.problem, "correction": each.correction}
        if (answer := each.answer) is not None:
            row |= {
                "decision": answer.decision.value,
                "class_name": answer.class_name,
                "confidence": round(answer.confidence, 6),
                "unknown_kind": answer.unknown_kind and answer.unknown_kind.value,
                "prediction_id": answer.prediction_id,
                "model": answer.model.name,
                "version": answer.model.version,
            }
        rows.append(row)
    return rows


def write_csv(history: Sequence[Asked]) -> bytes:
    """The table as a CSV file that spreadsheets read as UTF-8."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS)
    writer.writeheader()
    writer.writerows({name: as_cell(value) for name, value in row.items()} for row in tabulate(history))
    return text.getvalue().encode("utf-8-sig")


def tell_answer(asked: Asked) -> str:
    """The answer in a word or two, as in `perch 97%`, `perch? 64%` or `unknown`; a problem as it is."""
    answer = asked.answer
    if answer is None:
        return asked.problem
    if answer.decision is Decision.UNKNOWN:
        return "unknown"
    doubt = "?" if answer.decision is Decision.REVIEW else ""
    return f"{answer.class_name}{doubt} {show_share(answer.confidence)}"


def summarize(asked: Asked) -> dict[str, str]:
    """What the table on the page shows of a picture."""
    return {
        "picture": asked.name,
        "answer": tell_answer(asked),
        "you say": asked.correction,
        "time (UTC)": asked.time.strftime("%H:%M:%S"),
    }
