"""Taxon's command line: parses it, hands over to the command, turns errors into exit codes; nothing else."""

from __future__ import annotations

import gc
import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from orchestration.commands.command import Command
from orchestration.commands.parsing import parse
from orchestration.session.paths import ProjectPaths
from orchestration.session.refusal import describe_refusal
from orchestration.session.stopping import INTERRUPTED, stop_on_signals
from orchestration.session.streams import forgive_lost_readers
from vision.base.errors import TaxonError

ROOT = Path(__file__).resolve().parent


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    command, options = parse(arguments)
    try:
        return _run_stoppable(command, options) if command.stoppable else _run(command, options)
    except TaxonError as error:
        console = Console(file=sys.stderr, highlight=False)
        for line in describe_refusal(error, arguments, getattr(options, "config", None)):
            console.print(line, soft_wrap=True)
        return error.exit_code
    except KeyboardInterrupt as stop:
        return _tell_stopped(command, INTERRUPTED, stop)


def _run(command: Command, options: Namespace) -> int:
    return command.run(options, ProjectPaths.of(ROOT))


def _run_stoppable(command: Command, options: Namespace) -> int:
    """Run a command that SIGTERM and SIGHUP end as Ctrl-C does."""
    with stop_on_signals() as stopped:
        try:
            return _run(command, options)
        except KeyboardInterrupt as stop:
            return _tell_stopped(command, stopped.exit_code, stop)


def _tell_stopped(command: Command, exit_code: int, stop: KeyboardInterrupt) -> int:
    told = str(stop)  # where something goes on elsewhere
    if not told and (command.pipeline or command.resumable):
        told = "Nothing was lost: what is finished is kept, and the same command goes on from there."
    sys.stderr.write(f"Stopped. {told}".rstrip() + "\n")
    return exit_code


if __name__ == "__main__":
    forgive_lost_readers()
    code = main()
    gc.freeze()  # the process ends: collecting ZenML's million objects would take a second
    sys.exit(code)
