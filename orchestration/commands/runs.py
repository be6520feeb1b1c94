"""`run.py runs`, `report` and `clean`: what the project's runs left."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from orchestration.commands.command import Command, argument
from orchestration.session.environment import prepare_environment
from orchestration.session.paths import ProjectPaths
from orchestration.store.rows import WITH_FOLDER, ChampionRow, RunRow
from vision.base.wording import format_hundred

WIDE = 110
"""Columns of a terminal on which the winner is shown, too."""
STYLES = {"promoted": "green", "kept": "cyan", "refused": "yellow", "failed": "red", "drift": "yellow"}
"""Colour by the first word of how a run ended."""


def _list_runs(_options: Namespace, paths: ProjectPaths) -> int:
    """Print runs and champions; imports no ZenML where the project has its own database."""
    prepare_environment(paths)
    from orchestration.store.listing import list_history

    rows, champions = list_history(paths)
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 160)
    console.print(
        _draw_runs(rows, wide=console.width >= WIDE) if rows else "No runs yet. Start one: make train"
    )
    if champions:
        console.print(_draw_champions(champions))
    unwritten = next((row for row in rows[:1] if _lacks_folder(row, paths)), None)
    if unwritten is not None:
        console.print(
            f"The newest run was stopped before its report was written. To write it: "
            f"python run.py report --run {unwritten.name}",
            markup=False,
            soft_wrap=True,
        )
    return 0


def _draw_runs(rows: Sequence[RunRow], *, wide: bool) -> Table:
    """The runs as a table; a narrow one leaves the winner out, so that names stay whole."""
    table = Table(box=SIMPLE_HEAD)
    table.add_column("run", no_wrap=True, overflow="ignore")
    table.add_column("on test", justify="right", no_wrap=True)
    table.add_column("alone", justify="right", no_wrap=True)
    if wide:
        table.add_column("winner")
    table.add_column("how it ended", overflow="fold")
    for row in rows:
        style = next((style for word, style in STYLES.items() if row.ending.startswith(word)), "")
        shares = ["" if share is None else f"{format_hundred(share)}%" for share in (row.accuracy, row.alone)]
        winner = [Text(row.winner)] if wide else []
        table.add_row(Text(row.name), *shares, *winner, Text(row.ending, style=style))
    table.caption = "on test: test pictures named right; alone: decided without a person"
    table.caption_justify = "left"
    return table


def _draw_champions(champions: Sequence[ChampionRow]) -> Table:
    table = Table("in production", "version", "since (UTC)", "digest", box=SIMPLE_HEAD)
    for each in champions:
        table.add_row(Text(each.model), each.version, each.since, each.digest[:16])
    return table


def _lacks_folder(row: RunRow, paths: ProjectPaths) -> bool:
    """Whether a run that ended left no folder, as one does whose process was killed."""
    ended = row.status in ("completed", "failed")
    return ended and row.pipeline in WITH_FOLDER and not (paths.runs / row.name / "summary.json").is_file()


def _write_report(options: Namespace, paths: ProjectPaths) -> int:
    """Write a run folder again from the artifact store."""
    prepare_environment(paths)
    from orchestration.flows.running.runner import project_again

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
    (
        argument(
            "--run",
            default="latest",
            metavar="NAME",
            help="which run (default latest: the last training that ended with a model)",
        ),
    ),
)
CLEAN = Command(
    "clean",
    "free disk: keep the newest N runs and all that a model in production needs",
    _clean,
    (argument("--keep", type=int, default=5, metavar="N", help="runs to keep (default 5)"),),
)
