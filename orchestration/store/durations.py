"""How long each step took in earlier runs of a data set, read from ZenML's database."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing

from orchestration.session.paths import ProjectPaths
from orchestration.session.relocation import database_of

TIME_LENGTH = len("-20260131-235959-000")
"""Every run's name ends so."""

QUERY = (
    "SELECT step.name, (julianday(step.end_time) - julianday(step.start_time)) * 86400.0"
    " FROM step_run AS step JOIN pipeline_run AS run ON run.id = step.pipeline_run_id"
    " WHERE length(run.name) = ? AND substr(run.name, 1, ?) = ? AND step.status = 'completed'"
    " AND step.end_time IS NOT NULL ORDER BY step.created"
)


def read_durations(paths: ProjectPaths, run_name: str) -> Mapping[str, float]:
    """Step -> seconds when it last ran to its end, in runs of the same pipeline on the same data set.

    Empty where the runs are kept by a ZenML server, or none ended yet.

    Args:
        paths: the project.
        run_name: of the run that is about to start; all but the time in it is the same in those runs.
    """
    database = database_of(paths)
    if not database.is_file():
        return {}
    stem = run_name[:-TIME_LENGTH]
    with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as connection:
        return dict(connection.execute(QUERY, (len(run_name), len(stem), stem)).fetchall())
