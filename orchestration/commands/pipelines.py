"""The pipelines and `rollback` as commands: run one, say how it ended and where to look next."""

from __future__ import annotations

import shlex
import sys
from argparse import Namespace
from collections.abc import Sequence
from functools import partial

from rich.console import Console

from orchestration.commands.command import EXECUTOR, Command, argument, read_config
from orchestration.commands.worker import MACHINES, use_machines
from orchestration.flows.running.runner import Outcome, launch
from orchestration.session.paths import ProjectPaths
from orchestration.session.refusal import describe_refusal, fill_in
from pipelines.names import PipelineName
from vision.base.errors import ConfigError, TaxonError
from vision.config.run import RunConfig

FILES = {
    "Report": "report.html",
    "Data": "exploration.html",
    "Decision": "decision.md",
    "Drift": "drift.html",
    "Evidently": "evidently.html",
    "Pictures": "predictions.html",
    "Trials": "tuning.html",
    "Strategies": "strategies.html",
    "Table": "predictions.csv",
    "Model": "model/README.md",
    "Figures": "summary.json",
}
"""What a run may leave in its folder, as it is announced."""

Commands = Sequence[tuple[str, str]]
"""Command -> what it does."""
SERVE = "make serve", "let it answer over HTTP"
ASK = "make ui", "ask it in the browser: drag a picture, read the answer"
PREDICT = "python run.py predict"
LIST = "python run.py runs", "all runs, and what is in production"
LOOK = "make dashboard", "the steps of the runs"

CACHED = (
    PipelineName.TRAINING,
    PipelineName.RETRAINING,
    PipelineName.TUNING,
    PipelineName.FINETUNE_COMPARISON,
)
"""Pipelines that reuse finished steps of earlier runs, and that a stack of the user's can run."""

SHARED = (PipelineName.TRAINING, PipelineName.RETRAINING, PipelineName.FINETUNE_COMPARISON)
"""Pipelines whose networks several machines can train together."""

STACK = argument("--stack", metavar="NAME", help="run the steps on this stack of ZenML's, such as a cluster")
NO_CACHE = argument("--no-cache", action="store_true", help="run every step anew")
READING = (*CACHED, PipelineName.BATCH_PREDICTION)
"""Pipelines that read many images."""
OPTIONS = (NO_CACHE, CACHED), (STACK, CACHED), (EXECUTOR, READING), (MACHINES, SHARED)


def _declare(name: PipelineName) -> Command:
    """The command of a pipeline."""

    def run(options: Namespace, paths: ProjectPaths) -> int:
        cached = name not in CACHED or not options.no_cache
        if name in SHARED:
            if options.stack and options.machines:
                raise ConfigError(
                    "--machines has no effect with --stack. Expected one of them. Leave one out"
                )
            use_machines(options.machines, 0)
        stack = options.stack if name in CACHED else None
        config = read_config(options, paths)
        return run_flow(name, config, paths, options.config, cached=cached, stack=stack)

    return Command(
        name,
        name.description,
        run,
        tuple(each for each, names in OPTIONS if name in names),
        config="needed",
        aliases=(name.verb,) if name.verb else (),
        pipeline=True,
    )


def _roll_back(options: Namespace, paths: ProjectPaths) -> int:
    return run_flow("rollback", read_config(options, paths), paths, options.config)


PIPELINES = tuple(_declare(each) for each in PipelineName)
ROLLBACK = Command(
    "rollback",
    "put the previous model back into production, and into service if one runs",
    _roll_back,
    config="needed",
)


def run_flow(
    name: str,
    config: RunConfig,
    paths: ProjectPaths,
    typed: str,
    *,
    cached: bool = True,
    stack: str | None = None,
) -> int:
    """Run a pipeline, or `rollback`, of a config by its `typed` name; say how it ended; the exit code."""
    style = "bold" if name == PipelineName.MONITORING else "bold green"  # drift is no green light
    outcome = launch(name, config, paths, cached=cached, stack=stack)
    code = tell_outcome(outcome, style, list_next(name, outcome, typed), typed)
    if name == PipelineName.DEPLOYMENT and code == 0:
        from orchestration.servers.service import tell_status

        tell_status(paths)
    return code


def tell_outcome(
    outcome: Outcome,
    style_of_done: str = "bold green",
    commands: Commands = (),
    typed: str | None = None,
) -> int:
    """Print how a run of the config `typed` ended, where to look and what to type next; its exit code."""
    say = partial(Console(file=sys.stderr, highlight=False).print, markup=False, soft_wrap=True)
    if isinstance(outcome.failure, TaxonError):
        for line in describe_refusal(outcome.failure, typed=typed):
            say(line)
    else:
        style = {0: style_of_done, 3: "bold yellow"}.get(outcome.exit_code, "bold red")
        say(fill_in(outcome.message, typed), style=style)
    for sentence in outcome.sentences:
        say(sentence)
    for caution in outcome.cautions:
        say(caution, style="yellow")
    files = {title: outcome.folder / name for title, name in FILES.items()}
    lines = [f"{title:<10} {path}" for title, path in files.items() if path.is_file()]
    if lines:
        say("\n".join(["", *lines]))
    if commands:
        width = max(len(command) for command, _ in commands)
        say("\n".join(["", "Next", *(f"  {command:<{width}}   {text}" for command, text in commands)]))
    return outcome.exit_code


def list_next(name: str, outcome: Outcome, typed: str) -> Commands:
    """The commands that one types next, and what each does; `typed` is the config's name or file."""
    if outcome.failure is not None:
        return ()
    word = f"--config {shlex.quote(typed)}" if typed.endswith(".yaml") else shlex.quote(typed)
    if outcome.promoted:
        asked = f"{PREDICT} {word} PICTURES"
        return (SERVE, ASK, (asked, "name your own pictures: a file, a folder, a CSV or a ZIP"))
    if name == PipelineName.TRAINING:
        tried = f"{PREDICT} --run {outcome.run_name} PICTURES"
        return ((tried, "try it on your own pictures all the same"), LIST)
    following = [(command.replace("NAME", word), text) for command, text in outcome.following]
    return (ASK, LIST) if name == PipelineName.DEPLOYMENT else (*following, LIST, LOOK)
