"""`run.py explore NAME|FOLDER|CSV`: look at images before a training, as a page."""

from __future__ import annotations

import shlex
import sys
from argparse import Namespace
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from orchestration.commands.command import Command, argument, set_argument
from orchestration.commands.new import LABEL
from orchestration.session.paths import ProjectPaths
from orchestration.session.progress_bar import progress_bar
from vision.base.errors import ConfigError
from vision.base.wording import count_of, join_words
from vision.config.data import AUTO_GROUPS
from vision.config.reading.loading import find_config, find_near_config, load_config
from vision.config.run import RunConfig
from vision.config.training import TrainingSettings

if TYPE_CHECKING:
    from orchestration.projects.exploration import Looked

FOLDER = "explorations"
MOST_PAIRS = 3


def _explore(options: Namespace, paths: ProjectPaths) -> int:
    what, configs = options.what, paths.root / "configs"
    is_named = (configs / f"{what}.yaml").is_file() or what.endswith(".yaml")
    if is_named:
        config, then = load_config(find_config(what, configs), options.overrides), f"train {what}"
        if any(paths.runs.glob(f"{config.name}-{'[0-9]' * 8}-*/results.csv")):
            then = "runs"
    else:
        config, then = _make_config(options, configs), f"new NAME {shlex.quote(what)}"
    from orchestration.projects.exploration import explore_images  # imports scipy, and later TensorFlow

    name = config.name if is_named else Path(what).absolute().stem
    folder = paths.home / FOLDER / f"{name}-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    with progress_bar("Reading") as tell:
        looked = explore_images(
            config,
            paths.data,
            folder,
            lambda what, done, total: tell(done, total, what),
            choose=not is_named,
        )
    _tell(looked, then)
    return 0


def _make_config(options: Namespace, configs: Path) -> RunConfig:
    """Settings for a folder or a table; groups are read from names where nothing else says them."""
    from orchestration.projects.exploration import NETWORK
    from orchestration.projects.source import settle_source

    what = options.what
    if not Path(what).expanduser().exists():
        near = find_near_config(what, configs)
        hint = f"Type python run.py explore {near}" if near else "Check the path."
        raise ConfigError(
            f"{what}: there is no such config, folder or CSV file. Expected one of these. {hint}"
        )
    dataset = settle_source("exploration", what, configs / "NAME.yaml", options.overrides)
    declared = dataset.group_by or getattr(dataset, "group_column", None)
    if not declared and "group" not in getattr(dataset, "layout", "").split("/"):
        dataset = dataset.model_copy(update={"group_by": AUTO_GROUPS})
    training = TrainingSettings(candidates={"efficientnet_lite0": NETWORK})
    return RunConfig(name="exploration", dataset=dataset, training=training)


def _tell(looked: Looked, then: str) -> None:
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)
    console.print(Text.assemble((f"{'Look at':<{LABEL}}", "bold"), f"{looked.page}\n"), soft_wrap=True)
    for label, text, style in _list_findings(looked):
        console.print(Text.assemble((f"{label:<{LABEL}}", "bold"), (text, style)), soft_wrap=True)
    console.print(Text.assemble("\n", ("Next", "bold"), f"\n  python run.py {then}"), soft_wrap=True)


def _list_findings(looked: Looked) -> Iterator[tuple[str, str, str]]:
    """Label, text and style of each thing worth knowing."""
    from vision.data.account import list_left_out
    from vision.evaluation.suspected import count_confusions, find_strangers

    manifest, splits, explored = looked.story.manifest, looked.story.splits, looked.explored
    if manifest is None or splits is None:
        return
    groups = splits.num_groups()
    of = f", in {count_of(groups, 'group')}" if groups < len(manifest.entries) else ""
    yield "Pictures", f"{len(manifest.entries):,} of {count_of(len(splits.class_names), 'class')}{of}", ""
    if explored.held_out is not None:
        suspects = explored.find_suspects()
        pairs = [
            f"{splits.class_names[first]} and {splits.class_names[second]} ({len(found)})"
            for first, second, found in count_confusions(suspects)[:MOST_PAIRS]
        ]
        if pairs:
            yield "Hardest", f"to tell apart before any training: {join_words(pairs)}", ""
        told = f"{len(suspects):,} of {len(explored.held_out.rows):,} look like another class"
        yield (
            "Labels",
            f"{told} to a network that was never taught these; most may be right; test is left out",
            "",
        )
        strangers = len(find_strangers(explored.held_out))
        if strangers:
            yield "Strangers", f"{count_of(strangers, 'picture')} like no class", "yellow"
    alike = manifest.num_alike()
    if alike:
        yield "Alike", f"{count_of(alike, 'picture')} with the looks of another (copy, burst)", ""
    left_out = list_left_out(manifest, splits)
    yield "Left out", f"{len(left_out):,}, on the page with reasons" if left_out else "nothing", ""
    if explored.lack:
        yield "Refused" if explored.held_out is not None else "Note", explored.lack, "yellow"


EXPLORE = Command(
    "explore",
    "look before training: a map, classes, doubtful labels, as a page",
    _explore,
    (
        argument("what", metavar="NAME|FOLDER|CSV", help="a config, or photographs that have none yet"),
        set_argument("of a config any setting, of a folder or a table dataset.KEY"),
    ),
)
