"""Every record has a view: pictures where they tell more, else a table of its scalars."""

from __future__ import annotations

from functools import singledispatch

from vision.figures.tables import scalar_table
from vision.records import Record

Views = dict[str, bytes | str]


@singledispatch
def draw_views(record: Record) -> Views:
    """What a record looks like: file name -> PNG bytes (`.png`) or Markdown text (`.md`).

    A record without a drawing of its own gives a table of its scalars.
    """
    return {"summary.md": scalar_table(record)}
