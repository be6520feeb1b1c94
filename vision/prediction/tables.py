"""The rows of a batch as CSV and as Parquet, with the same columns."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from vision.base.cells import as_cell, as_path_cell
from vision.base.files import open_atomically
from vision.decision.records import Decision
from vision.prediction.records import Answer, Row, Tally

CSV_NAME = "predictions.csv"
PARQUET_NAME = "predictions.parquet"

_ROWS = 10_000
"""Of a row group of the Parquet file, which are held at a time."""

_TEXTS = ("path", "decision", "class")
_EVIDENCE = ("unknown_score", "unknown_threshold", "p_value")
_LAST = ("set", "unknown_kind", "nearest", "reason", "group", "heat_map", "seen")
_SIMILAR = ("similar", "similar_class", "similarity", "similar_same")


def list_columns(top_k: int, similar: int = 0, more: Sequence[str] = ()) -> list[str]:
    """Names of the columns of so many classes and so many similar images, `more` before the last."""
    others = [name for place in range(2, top_k + 1) for name in (f"class_{place}", f"confidence_{place}")]
    known = [f"{name}_{place}" for place in range(1, similar + 1) for name in _SIMILAR]
    return [*_TEXTS, "confidence", *others, *_EVIDENCE, *_LAST, *known, *more, "caution"]


def tabulate(row: Row) -> dict[str, Any]:
    """One row by column; what it lacks is None.

    `decision` is accept, review, unknown or unreadable. An unknown picture has no `class`, so that who counts
    the column counts no stranger; the class that it is most like stands in `nearest`. `seen` is
    the split in which the model had this very file, or `group` where it was taught others of its group.
    """
    told: dict[str, Any] = {"path": row.path, "group": row.group, "heat_map": row.heat_map or None}
    told |= {"seen": row.seen or None, "caution": row.caution or None}
    for place, each in enumerate(row.similar, 1):
        values = (each.path, each.class_name, each.similarity, "yes" if each.same else None)
        told |= {f"{name}_{place}": value for name, value in zip(_SIMILAR, values, strict=True)}
    if row.box is not None:
        told["box"] = ",".join(f"{side:.6g}" for side in row.box)
    given = row.prediction
    if given is None:
        return told | {"decision": Answer.UNREADABLE.value, "reason": row.fault}
    if given.decision is Decision.UNKNOWN:
        told["nearest"] = given.class_name
    else:
        told |= {"class": given.class_name, "confidence": given.confidence}
        for place, (name, probability) in enumerate(given.top_k[1:], 2):
            told |= {f"class_{place}": name, f"confidence_{place}": probability}
    return told | {
        "decision": given.decision.value,
        "unknown_score": given.unknown_score,
        "unknown_threshold": given.unknown_threshold,
        "p_value": given.p_value,
        "set": None if given.possible is None else "; ".join(given.possible),
        "unknown_kind": given.unknown_kind and given.unknown_kind.value,
        "reason": "; ".join(given.reasons),
    }


def write_tables(folder: Path, rows: Iterable[Row], tally: Tally) -> None:
    """Write predictions.parquet and predictions.csv, some rows at a time.

    Raises:
        StorageError: a file cannot be written.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = list_columns(tally.top_k, tally.similar, ["box"] if tally.has_boxes else [])
    schema = pa.schema([(name, pa.float64() if _is_number(name) else pa.string()) for name in columns])
    told = (tabulate(row) for row in rows)
    with open_atomically(folder / CSV_NAME) as plain, open_atomically(folder / PARQUET_NAME) as packed:
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, columns, restval="")
        writer.writeheader()
        with pq.ParquetWriter(packed, schema) as parquet:
            while some := list(islice(told, _ROWS)):
                parquet.write_table(
                    pa.table({name: [each.get(name) for each in some] for name in columns}, schema=schema)
                )
                writer.writerows(as_cells(each) for each in some)
                plain.write(text.getvalue().encode())
                text.seek(0)
                text.truncate()


def as_cells(told: dict[str, Any]) -> dict[str, Any]:
    """What `tabulate` tells, as cells of a CSV file."""
    cells = {name: _shorten(value) for name, value in told.items()}
    return cells | {"path": as_path_cell(told["path"])}


def _is_number(column: str) -> bool:
    return column in _EVIDENCE or column.startswith(("confidence", "similarity"))


def _shorten(value: Any) -> Any:
    """Numbers with six digits, which is more than they carry; texts as cells."""
    return f"{value:.6g}" if isinstance(value, float) else as_cell(value)
