"""The rows of a batch as text: lines of NDJSON, or of CSV with the columns of `run.py predict`."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from functools import partial

from serving.api.schemas import BatchRow, PredictionAnswer
from vision.decision.records import Prediction
from vision.prediction.records import Row
from vision.prediction.tables import as_cells, list_columns, tabulate


def write_json(row: BatchRow) -> str:
    """A row as a line of NDJSON."""
    return row.model_dump_json(exclude_none=True) + "\n"


def begin_csv(top_k: int) -> tuple[str, Callable[[BatchRow], str]]:
    """The head of a CSV file with the columns of `run.py predict`, and what makes a line of a row."""
    columns = list_columns(top_k, more=["prediction_id"])
    buffer = io.StringIO(newline="")
    csv.DictWriter(buffer, columns).writeheader()
    return buffer.getvalue(), partial(_write_csv, columns)


def _write_csv(columns: list[str], row: BatchRow) -> str:
    answer, problem = row.answer, row.problem
    told = Row(
        path=row.file,
        group=row.group,
        prediction=None if answer is None else _as_prediction(answer),
        fault="" if problem is None else problem.arrived,
        caution=(answer and answer.caution) or "",
    )
    cells = as_cells(tabulate(told)) | {"prediction_id": answer and answer.prediction_id}
    buffer = io.StringIO(newline="")
    csv.DictWriter(buffer, columns, restval="", extrasaction="ignore").writerow(cells)
    return buffer.getvalue()


def _as_prediction(answer: PredictionAnswer) -> Prediction:
    return Prediction(
        decision=answer.decision,
        class_name=answer.class_name,
        confidence=answer.confidence,
        top_k=tuple((each.class_name, each.probability) for each in answer.top_k),
        unknown_score=answer.unknown.score,
        unknown_threshold=answer.unknown.threshold,
        p_value=answer.unknown.p_value,
        reasons=answer.reasons,
        possible=answer.set,
        unknown_kind=answer.unknown_kind,
    )
