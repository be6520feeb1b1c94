"""What `run.py runs` shows, read from ZenML's database within a blink: importing ZenML would take seconds.

Only the project's own SQLite database in the schema of the installed ZenML is read so, and never written.
Anything else (a server of the user's own, a database that has to be migrated) is asked through ZenML.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections import defaultdict
from contextlib import closing
from importlib.metadata import version
from typing import Any

from orchestration.session.paths import ProjectPaths
from orchestration.session.relocation import database_of
from orchestration.store.rows import CIRCUMSTANCES, FAILURE, MOST_RUNS, TELLING, ChampionRow, RunRow

DIGEST_KEY = "bundle_digest"  # as in materializers.registry, whose package imports ZenML


def list_history(paths: ProjectPaths) -> tuple[tuple[RunRow, ...], tuple[ChampionRow, ...]]:
    """The newest runs, newest first, and every model's production version; times in UTC to the second."""
    if "ZENML_STORE_URL" not in os.environ:
        database = database_of(paths)
        if not database.is_file():
            return (), ()
        with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as connection:
            if _is_current(connection):
                return _read_runs(connection), _read_champions(connection)
    from orchestration.store.history import list_champions, list_runs

    return list_runs(), list_champions()


def _is_current(connection: sqlite3.Connection) -> bool:
    try:
        return connection.execute("SELECT version_num FROM alembic_version").fetchall() == [
            (version("zenml"),)
        ]
    except sqlite3.OperationalError:  # a database that ZenML has not finished making
        return False


def _read_runs(connection: sqlite3.Connection) -> tuple[RunRow, ...]:
    rows = connection.execute(
        "SELECT run.id, run.name, pipeline.name, run.status, run.created, (SELECT"
        f" json_extract(metadata.value, '$.{FAILURE}') FROM run_metadata_resource AS resource"
        " JOIN run_metadata AS metadata ON metadata.id = resource.run_metadata_id"
        f" WHERE resource.resource_id = run.id AND metadata.key = '{CIRCUMSTANCES}'"
        " ORDER BY metadata.created DESC LIMIT 1) FROM pipeline_run AS run"
        " LEFT JOIN pipeline ON pipeline.id = run.pipeline_id ORDER BY run.created DESC LIMIT ?",
        (MOST_RUNS,),
    ).fetchall()
    marks = ", ".join("?" * len(rows))
    told: defaultdict[str, defaultdict[str, dict[str, Any]]] = defaultdict(lambda: defaultdict(dict))
    for run_id, step, output, key, value in connection.execute(
        "SELECT step.pipeline_run_id, step.name, output.name, metadata.key, metadata.value"
        " FROM step_run AS step"
        " JOIN step_run_output_artifact AS output ON output.step_id = step.id"
        " JOIN run_metadata_resource AS resource ON resource.resource_id = output.artifact_id"
        " JOIN run_metadata AS metadata ON metadata.id = resource.run_metadata_id"
        f" WHERE step.pipeline_run_id IN ({marks}) ORDER BY metadata.created",
        [row[0] for row in rows],
    ):
        if TELLING.get(step) == output:
            told[run_id][step][key] = json.loads(value)  # the newest value of a key comes last
    return tuple(
        RunRow.of(name, pipeline or "", status, created[:19], told[run_id], failure or "")
        for run_id, name, pipeline, status, created, failure in rows
    )


def _read_champions(connection: sqlite3.Connection) -> tuple[ChampionRow, ...]:
    digests = dict(
        connection.execute(
            "SELECT resource.resource_id, metadata.value FROM run_metadata AS metadata"
            " JOIN run_metadata_resource AS resource ON resource.run_metadata_id = metadata.id"
            " WHERE metadata.key = ? ORDER BY metadata.created",
            (DIGEST_KEY,),
        )
    )
    rows = connection.execute(
        "SELECT version.id, model.name, version.number, version.updated FROM model_version AS version"
        " JOIN model ON model.id = version.model_id WHERE version.stage = 'production' ORDER BY model.name"
    )
    return tuple(
        ChampionRow(model, str(number), json.loads(digests.get(key, '""')), updated[:19])
        for key, model, number, updated in rows
    )
