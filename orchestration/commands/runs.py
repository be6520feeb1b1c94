"""`run.py runs`, `report` and `clean`: what the project's runs left."""

from __future__ import annotations

import sys
from argparse import Namespace

from rich.console import Console
from rich.table import Table

from orchestration.commands.command import Command, argument
from orchestration.session.environment import prepare_environment
from orchestration.session.paths import ProjectPaths


def _list_runs(_options: Namespace, paths: ProjectPaths) -> int:
    """Print runs and champions; imports no ZenML where the project has its own database."""
    prepare_environment(paths)
    from orchestration.store.listing import list_history

    history = list_history(paths)
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 160)
    runs = Table("run", "pipeline", "status", "started (UTC)", "winner", "verdict")
    for run in history[0]:
        runs.add_row(run.name, run.pipeline, run.status, run.started, run.winner, run.verdict)
    champions = Table("model", "version", "bundle digest", "in production since (UTC)")
    for champion in history[1]:
        champions.add_row(champion.model, champion.version, champion.digest[:16], champion.since)
    console.print(runs)
    console.print(champions)
    return 0


def _write_report(options: Namespace, paths: ProjectPaths) -> int:
    """Write a run folder again from the artifact store."""
    prepare_environment(paths)
    from orchestration.flows.runner import project_again

    Console(highlight=False).print(f"Wrote {project_again(options.run, paths)}", markup=False)
    return 0


def _clean(options: Namespace, paths: ProjectPaths) -> int:
    """Free disk."""
    prepare_environment(paths)
    from orchestration.store.disk import clean

    Console(highlight=False).print(clean(paths, options.keep).tell(), soft_wrap=True)
    return 0


RUNS = Command("runs", "list runs and the models in production", _list_runs)
REPORT = Command(
    "report",
    "write runs/<name>/ again from the artifact store",
    _write_report,
    (argument("--run", default="latest", metavar="NAME", help="which run (default latest)"),),
)
CLEAN = Command(
    "clean",
    "free disk: keep the newest N runs and all that a model in production needs",
    _clean,
    (argument("--keep", type=int, default=5, metavar="N", help="runs to keep (default 5)"),),
)
