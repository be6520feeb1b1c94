"""The pipelines and `rollback` as commands: run one, say how it ended and where to look next."""

from __future__ import annotations

import sys
from argparse import Namespace

from rich.console import Console

from orchestration.commands.command import Command, argument, read_config
from orchestration.flows.runner import Outcome, launch
from orchestration.session.paths import ProjectPaths
from pipelines.names import PipelineName
from vision.config.run import RunConfig

FILES = {
    "Report": "report.html",
    "Decision": "decision.md",
    "Drift": "drift.html",
    "Evidently": "evidently.html",
    "Figures": "summary.json",
}
"""What a run may leave in its folder, as it is announced."""

CACHED = (PipelineName.TRAINING, PipelineName.RETRAINING)
"""Pipelines that reuse finished steps of earlier runs."""

NO_CACHE = argument("--no-cache", action="store_true", help="run every step anew")


def _declare(name: PipelineName) -> Command:
    """The command of a pipeline."""

    def run(options: Namespace, paths: ProjectPaths) -> int:
        cached = name not in CACHED or not options.no_cache
        return run_flow(name, read_config(options, paths), paths, cached=cached)

    return Command(
        name,
        name.description,
        run,
        (NO_CACHE,) if name in CACHED else (),
        config="needed",
        aliases=(name.verb,) if name.verb else (),
        pipeline=True,
    )


def _roll_back(options: Namespace, paths: ProjectPaths) -> int:
    return run_flow("rollback", read_config(options, paths), paths)


PIPELINES = tuple(_declare(each) for each in PipelineName)
ROLLBACK = Command(
    "rollback",
    "put the previous model back into production, and into service if one runs",
    _roll_back,
    config="needed",
)


def run_flow(name: str, config: RunConfig, paths: ProjectPaths, *, cached: bool = True) -> int:
    """Run a pipeline, or `rollback`, and say how it ended and where to look next; the exit code."""
    style = "bold" if name == PipelineName.MONITORING else "bold green"  # drift is no green light
    code = tell_outcome(launch(name, config, paths, cached=cached), style)
    if name == PipelineName.DEPLOYMENT and code == 0:
        from orchestration.servers.service import tell_status

        tell_status(paths)
    return code


def tell_outcome(outcome: Outcome, style_of_done: str = "bold green") -> int:
    """Print how a run ended and where to look next; its exit code."""
    say = Console(file=sys.stderr, highlight=False).print
    style = {0: style_of_done, 3: "bold yellow"}.get(outcome.exit_code, "bold red")
    say(outcome.message, style=style, markup=False, soft_wrap=True)
    for sentence in outcome.sentences:
        say(sentence, markup=False, soft_wrap=True)
    for caution in outcome.cautions:
        say(caution, style="yellow", markup=False, soft_wrap=True)
    say()
    for title, name in FILES.items():
        if (outcome.folder / name).is_file():
            say(f"{title:<9} {outcome.folder / name}", markup=False, soft_wrap=True)
    say("Dashboard make dashboard")
    say("All runs  python run.py runs")
    return outcome.exit_code
