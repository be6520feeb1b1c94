"""`run.py harvest NAME`: fetch the photographs that a config with `source: fathomnet` asks for."""

from __future__ import annotations

import sys
from argparse import Namespace
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from orchestration.commands.command import Command, argument, read_config
from orchestration.session.paths import ProjectPaths
from orchestration.session.progress_bar import progress_bar
from vision.base.errors import ConfigError
from vision.base.wording import count_of
from vision.config.sources.labelled import FathomnetSource

if TYPE_CHECKING:
    from vision.data.sources.fathomnet.harvest import Harvest

_MOST_ROWS = 60


def _run(options: Namespace, paths: ProjectPaths) -> int:
    settings = read_config(options, paths).dataset
    if not isinstance(settings, FathomnetSource):
        raise ConfigError(
            f"dataset.source is {settings.source}, which is not fetched. Expected fathomnet. Name a config "
            "that has it (docs/sources.md#fathomnet)."
        )
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)
    if options.scan:
        _scan(settings, console)
    else:
        _fetch(settings, console, options)
    return 0


def _scan(settings: FathomnetSource, console: Console) -> None:
    from vision.data.sources.fathomnet.client import Client
    from vision.data.sources.fathomnet.selection import scan_concepts

    with Client() as client:
        counts = scan_concepts(client, settings.api)
    table = Table("concept", box=SIMPLE_HEAD)
    table.add_column("boxes", justify="right")
    for each in counts[:_MOST_ROWS]:
        table.add_row(Text(each.concept), f"{each.count:,}")
    console.print(table)
    enough = sum(each.count >= settings.min_images for each in counts)
    told = f"{count_of(len(counts), 'concept')}; {enough} have {settings.min_images} boxes or more."
    console.print(told, soft_wrap=True)


def _fetch(settings: FathomnetSource, console: Console, options: Namespace) -> None:
    from vision.data.sources.fathomnet.harvest import FAILURES, harvest

    with progress_bar("Fetching photographs") as tell:
        found = harvest(settings, tell)
    _tell(found, console)
    if found.failures:
        first = next(iter(found.failures.values()))
        console.print(
            f"{count_of(len(found.failures), 'photograph')} could not be fetched (first: {first}); see "
            f"{settings.folder / FAILURES}. The same command tries again.",
            soft_wrap=True,
            markup=False,
        )
    named = options.name or f"--config {options.config}"
    console.print(f"Next  python run.py train {named}", markup=False)


def _tell(found: Harvest, console: Console) -> None:
    table = Table("class", box=SIMPLE_HEAD)
    table.add_column("boxes", justify="right")
    for concept, count in found.concepts.items():
        table.add_row(Text(concept), f"{count:,}")
    console.print(table)
    console.print(f"{count_of(found.num_there, 'photograph')}, {found.num_fetched:,} of them fetched now.")


HARVEST = Command(
    "harvest",
    "fetch the photographs that a config with source: fathomnet asks for",
    _run,
    (argument("--scan", action="store_true", help="only list FathomNet's concepts with their numbers"),),
    config="needed",
)
