"""What each word of the command line does; every function returns an exit code."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.table import Table

from orchestration.flows.runner import Outcome, launch, project_again
from orchestration.schedule.config import ScheduleConfig
from orchestration.session.environment import prepare_environment
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


def run_flow(name: str, config: RunConfig, paths: ProjectPaths, *, cached: bool = True) -> int:
    """Run a pipeline, or `rollback`, and say how it ended and where to look next."""
    style = "bold" if name == PipelineName.MONITORING else "bold green"  # drift is no green light
    code = _tell(launch(name, config, paths, cached=cached), style)
    if name == PipelineName.DEPLOYMENT and code == 0:
        control_service("status", None, paths)
    return code


def _tell(outcome: Outcome, style_of_done: str = "bold green") -> int:
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


def schedule(config: ScheduleConfig, paths: ProjectPaths, *, once: bool, status: bool) -> int:
    """Keep the jobs of a schedule going, or say what they did and do next; imports no ZenML."""
    if status:
        from orchestration.schedule.state import print_status

        return print_status(config, paths)
    from orchestration.schedule.runner import run_schedule

    return run_schedule(config, paths, once=once)


def control_service(action: str, config: RunConfig | None, paths: ProjectPaths, tail: int = 50) -> int:
    """Start, describe, listen to or stop the service; imports no ZenML where nothing is deployed."""
    from orchestration.servers import service

    if action == "start":
        return service.start(paths, config)
    if action == "status":
        return service.tell_status(paths)
    return service.show_logs(paths, tail) if action == "logs" else service.stop(paths)


def list_runs(paths: ProjectPaths) -> int:
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


def clean(paths: ProjectPaths, keep: int) -> int:
    """Free disk."""
    prepare_environment(paths)
    from orchestration.store.disk import clean as free_disk

    freed = free_disk(paths, keep)
    Console(highlight=False).print(freed.tell(), soft_wrap=True)
    return 0


def dashboard(paths: ProjectPaths, port: int | None) -> int:
    """Serve the ZenML dashboard until stopped."""
    prepare_environment(paths)
    from orchestration.servers.dashboard import DEFAULT_PORT, serve_dashboard

    serve_dashboard(paths, DEFAULT_PORT if port is None else port)
    return 0


def show_page(paths: ProjectPaths, port: int | None) -> int:
    """Serve the page for people until stopped; imports no ZenML."""
    from orchestration.servers.page import DEFAULT_PORT, serve_page

    serve_page(paths, DEFAULT_PORT if port is None else port)
    return 0


def report(paths: ProjectPaths, run: str) -> int:
    """Write a run folder again from the artifact store."""
    prepare_environment(paths)
    Console(highlight=False).print(f"Wrote {project_again(run, paths)}", markup=False)
    return 0
