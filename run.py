"""Taxon's command line: parses it, loads the config, hands over; nothing else."""

from __future__ import annotations

import argparse
import gc
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from orchestration.schedule.config import ScheduleConfig
from orchestration.session.paths import ProjectPaths
from orchestration.session.stopping import INTERRUPTED, stop_on_signals
from pipelines.names import PipelineName
from vision.base.errors import TaxonError
from vision.config.loading import find_config, load_config, load_settings
from vision.config.run import RunConfig

ROOT = Path(__file__).resolve().parent
PIPELINES = {each.value: each.description for each in PipelineName}
COMMANDS = {
    "runs": "list runs and champions",
    "clean": "free disk: keep the newest N runs and all that a champion needs",
    "dashboard": "show the runs in the ZenML dashboard",
    "schedule": "start pipelines by the cron expressions of --config until stopped; --status, --once",
    "service": "start, status, logs or stop of the service: what was deployed last",
    "ui": "the page for people: drag a picture, read the answer",
    "rollback": "put the previous model back into production, and into service if one runs",
    "report": "write runs/<name>/ again from the artifact store",
}
ACTIONS = ("start", "status", "logs", "stop")
CONFIGURED = ("rollback", "schedule", "service start")
"""Commands that read the settings of --config."""
OWNERS = {
    "status": ("schedule",),
    "once": ("schedule",),
    "keep": ("clean",),
    "tail": ("service logs",),
    "run": ("report",),
    "port": ("dashboard", "ui"),
    "no_cache": ("--pipeline training", "--pipeline retraining"),
}
"""Which commands an option is for; `service` has its port in `serve.port`."""
SERVERS = ("dashboard", "schedule", "ui")
"""They end by SIGTERM in ways of their own."""


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    lines = ["pipelines:", *(f"  {name:<12}{text}" for name, text in PIPELINES.items())]
    lines += ["commands:", *(f"  {name:<12}{text}" for name, text in COMMANDS.items())]
    lines += ["exit codes: 0 done (also when the champion is kept or answers drifted), 1 the run failed,"]
    lines += ["  2 the config or the data is wrong, 3 a gate refused (floors, leaks, tolerance),"]
    lines += ["  4 another run is going: try again later"]
    parser = argparse.ArgumentParser(
        prog="run.py",
        description="Taxon: from a folder of images to an honest image classifier.",
        epilog="\n".join(lines),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("command", nargs="?", choices=sorted(COMMANDS), help="instead of a pipeline")
    parser.add_argument("action", nargs="?", choices=ACTIONS, help="service: what to do")
    parser.add_argument("--pipeline", choices=sorted(PIPELINES), help="the pipeline to run")
    parser.add_argument("--config", metavar="NAME.yaml", help="looked up in configs/, then as a path")
    parser.add_argument(
        "--set",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        dest="overrides",
        help="override one setting, as in --set images.size=128; may be repeated",
    )
    parser.add_argument("--no-cache", action="store_true", help="training, retraining: run every step anew")
    parser.add_argument("--status", action="store_true", help="schedule: what was done and is next")
    parser.add_argument("--once", action="store_true", help="schedule: run what is due now and end")
    parser.add_argument("--keep", type=int, default=5, metavar="N", help="clean: runs to keep (default 5)")
    parser.add_argument("--tail", type=int, default=50, metavar="N", help="service logs: lines (default 50)")
    parser.add_argument("--run", default="latest", metavar="NAME", help="report: which run (default latest)")
    parser.add_argument("--port", type=int, help="dashboard, ui: port on 127.0.0.1 (default 8237, 8501)")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code."""
    parser = build_parser()
    options = parser.parse_args(arguments)
    if bool(options.command) == bool(options.pipeline):
        parser.error("expected either --pipeline NAME --config NAME.yaml, or one command; see --help")
    if (options.pipeline or options.command in ("rollback", "schedule")) and not options.config:
        parser.error(f"{options.command or '--pipeline ' + options.pipeline} needs --config NAME.yaml")
    if bool(options.action) != (options.command == "service"):
        parser.error(f"expected one of {', '.join(ACTIONS)} after service, and after nothing else")
    _require_owners(parser, options)
    if options.overrides:
        _require_effect(parser, options)
    try:
        return _dispatch(options) if options.command in SERVERS else _dispatch_stoppable(options)
    except TaxonError as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        return error.exit_code
    except KeyboardInterrupt:
        return _tell_stopped(INTERRUPTED)


def _dispatch_stoppable(options: argparse.Namespace) -> int:
    """Run a command that SIGTERM and SIGHUP end as Ctrl-C does."""
    with stop_on_signals() as stopped:
        try:
            return _dispatch(options)
        except KeyboardInterrupt:
            return _tell_stopped(stopped.exit_code)


def _tell_stopped(exit_code: int) -> int:
    sys.stderr.write("Stopped. Finished steps are kept; the same command goes on from there.\n")
    return exit_code


def _require_owners(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """End with a parser error where an option is given to a command that does not know it."""
    asked = " ".join(filter(None, (options.command, options.action))) or f"--pipeline {options.pipeline}"
    for name, owners in OWNERS.items():
        if getattr(options, name) != parser.get_default(name) and asked not in owners:
            told = "; its port is --set serve.port=N" if name == "port" and options.config else ""
            option = name.replace("_", "-")
            parser.error(f"--{option} has no effect on {asked}: it is for {' and '.join(owners)}{told}")


def _require_effect(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """End with a parser error where nothing would read what --set says."""
    asked = " ".join(filter(None, (options.command, options.action)))
    given = " ".join(f"--set {each}" for each in options.overrides)
    if not options.pipeline and asked not in CONFIGURED:
        parser.error(f"{given} has no effect: {asked} reads no settings; leave it out")
    if not options.config:
        parser.error(
            f"{given} has no effect without --config: it changes a setting of that file. "
            f"Expected: {asked} --config NAME.yaml {given}"
        )


def _dispatch(options: argparse.Namespace) -> int:
    from orchestration import commands

    paths = ProjectPaths.of(ROOT)
    if options.pipeline or options.command == "rollback":
        name, config = options.pipeline or options.command, _load_config(options)
        return commands.run_flow(name, config, paths, cached=not options.no_cache)
    if options.command == "schedule":
        jobs = load_settings(ScheduleConfig, find_config(options.config, ROOT / "configs"), options.overrides)
        return commands.schedule(jobs, paths, once=options.once, status=options.status)
    if options.command == "service":
        given = _load_config(options) if options.config else None
        return commands.control_service(options.action, given, paths, options.tail)
    others: dict[str, Callable[[], int]] = {
        "runs": lambda: commands.list_runs(paths),
        "clean": lambda: commands.clean(paths, options.keep),
        "dashboard": lambda: commands.dashboard(paths, options.port),
        "ui": lambda: commands.show_page(paths, options.port),
        "report": lambda: commands.report(paths, options.run),
    }
    return others[options.command]()


def _load_config(options: argparse.Namespace) -> RunConfig:
    return load_config(find_config(options.config, ROOT / "configs"), options.overrides)


if __name__ == "__main__":
    code = main()
    gc.freeze()  # the process ends: collecting ZenML's million objects would take a second
    sys.exit(code)
