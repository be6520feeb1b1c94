"""`run.py new NAME FOLDER` or `CSV`: look at photographs, write its config, say what to type next."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from orchestration.commands.command import Command, argument, set_argument
from orchestration.session.paths import ProjectPaths
from orchestration.session.progress_bar import BAR, progress_bar
from vision.base.wording import count_of, join_words
from vision.config.data import CheckSettings
from vision.config.reading.yaml_text import write_inline
from vision.config.sources.tables import CsvSource

if TYPE_CHECKING:  # the survey imports scipy, which no other command needs to start
    from orchestration.projects.outlook import Outlook
    from vision.data.survey import ClassSize, Survey

MOST_ROWS = 40
MOST_LEFT_OUT = 5
MOST_UNUSED = 8
LABEL = 10


def _new(options: Namespace, paths: ProjectPaths) -> int:
    from orchestration.projects.start import start_project

    with progress_bar("Looking at the pictures") as tell:
        started = start_project(
            options.project, options.source, paths.root / "configs", options.overrides, tell
        )
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)
    show_survey(console, options.project, started.survey)
    for label, path in (("Look at", started.sheet), ("Wrote", started.config)):
        console.print(Text.assemble((f"{label:<{LABEL}}", "bold"), str(path)), soft_wrap=True)
    show_outlook(console, started.outlook)
    return 2 if started.outlook.refusal else 0


def show_outlook(console: Console, outlook: Outlook) -> None:
    """Print what stands in the way of a model, what helps, and what to type next."""
    refused = [("Refused", line, "red") for line in outlook.refusal.splitlines()]
    for label, text, style in (*refused, *(("Gate", each, "yellow") for each in outlook.doubts)):
        console.print(Text.assemble((f"{label:<{LABEL}}", "bold"), (text, style)), soft_wrap=True)
    if outlook.advice:
        console.print(Text.assemble((f"{'Do this':<{LABEL}}", "bold"), outlook.advice), soft_wrap=True)
    width = max(len(command) for command, _ in outlook.commands)
    lines = "".join(f"\n  {command:<{width}}   {text}" for command, text in outlook.commands)
    console.print(Text.assemble("\n", ("Next", "bold"), lines), soft_wrap=True)
    if outlook.refusal:
        console.print(
            "\nThe config is written, and a training would refuse these pictures as they are.", style="red"
        )


def show_survey(console: Console, name: str, survey: Survey) -> None:
    """Print what was found in a folder on one screen."""
    title = f"  {survey.tell_pictures()} in {survey.manifest.root}"
    console.print(Text.assemble((name, "bold"), title), soft_wrap=True)
    sizes = survey.class_sizes()
    console.print(_draw_classes(survey, sizes))
    for label, text, style in _list_findings(survey):
        console.print(Text.assemble((f"{label:<{LABEL}}", "bold"), (text, style)), soft_wrap=True)


def _draw_classes(survey: Survey, sizes: list[ClassSize]) -> Table:
    checks = CheckSettings()
    table = Table("class", box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("pictures", justify="right")
    if survey.has_groups:
        table.add_column("groups", justify="right")
    table.add_column("")
    most = max(size.num_images for size in sizes)
    shown = sorted(sizes, key=lambda size: (-size.num_images, size.name))
    for size in [*shown[: MOST_ROWS - 5], *shown[-5:]] if len(shown) > MOST_ROWS else shown:
        groups = [f"{size.num_groups:,}"] if survey.has_groups else []
        bar = "━" * max(1, round(BAR * size.num_images / most))
        fault = size.fault(checks)
        style = "red" if fault else "yellow" if size.is_rare() else "green"
        words = fault or ("held out as unknown" if size.is_unknown else "few" if size.is_rare() else "")
        table.add_row(Text(size.name), f"{size.num_images:,}", *groups, Text(f"{bar} {words}", style=style))
    if len(shown) > MOST_ROWS:
        table.caption = f"and {len(shown) - MOST_ROWS} more between these"
    return table


def _list_findings(survey: Survey) -> Iterator[tuple[str, str, str]]:
    """Label, text and style of each thing worth knowing."""
    from orchestration.projects.draft import describe_layout

    smallest, usual, largest = (f"{width} x {height}" for width, height in survey.size_range())
    spread = f"usually about {usual}, from {smallest} to {largest} (by area)"
    yield "Sizes", spread if smallest != largest else f"all {usual}", ""
    if isinstance(survey.settings, CsvSource):
        yield from _tell_columns(survey.settings)
    else:
        yield "Folders", describe_layout(survey), ""
    yield from _tell_groups(survey)
    copies, alike = survey.num_copies(), survey.num_alike()
    if alike:
        yield (
            "Alike",
            f"{count_of(alike, 'picture')} with the looks of another (copy, burst) share its split: "
            f"{survey.num_together():,} independent groups in all",
            "",
        )
    if survey.manifest.too_alike:
        names = join_words(survey.manifest.too_alike)
        yield "Alike", f"the pictures of {names} are all much alike: only near copies share a split", "yellow"
    if copies:
        yield (
            "Copies",
            f"{count_of(copies, 'picture')} with the bytes of another; both stay in one split",
            "yellow",
        )
    if survey.contradictions:
        row = min(survey.contradictions)
        first = f"{survey.manifest.entries[row].path}: {survey.contradictions[row]}"
        num = count_of(len(survey.contradictions), "picture")
        yield (
            "Labels",
            f"{num} under two labels, not counted above, set aside by a training (first: {first})",
            "yellow",
        )
    for remark in survey.manifest.remarks:
        yield "Note", remark.tell(), "yellow"
    yield from _tell_left_out(survey)


def _tell_columns(settings: CsvSource) -> Iterator[tuple[str, str, str]]:
    from vision.data.sources.table.columns import list_possible_groups, list_unused

    named = {
        "picture": settings.path_column,
        "class": settings.rank or settings.label_column,
        "group": settings.group_column,
        "split": settings.split_column,
        "box": " ".join(settings.box_columns or ()),
    }
    yield "Columns", ", ".join(f"{what} {name!r}" for what, name in named.items() if name), ""
    unused = list_unused(settings)
    if unused:
        more = f" and {len(unused) - MOST_UNUSED} more" if len(unused) > MOST_UNUSED else ""
        yield "", f"not used: {', '.join(unused[:MOST_UNUSED])}{more}", ""
    for name in list_possible_groups(settings)[:1]:
        text = f"If {name!r} names individuals, write under dataset: group_column: {write_inline(name)}"
        text += ", in place of group_by" if settings.group_by else ""
        yield "", text, "yellow"


def _tell_groups(survey: Survey) -> Iterator[tuple[str, str, str]]:
    if survey.suggestion is None:
        yield "Groups", f"{survey.num_groups():,}, each in one split", ""
    elif survey.suggestion.pattern is None:
        yield "Groups", f"{survey.suggestion.sentence()} If some are of the same individual, say so.", ""
    else:
        yield "Groups", survey.suggestion.sentence(), ""
        yield "", f"They stay in one split: {survey.suggestion.setting()}", ""


def _tell_left_out(survey: Survey) -> Iterator[tuple[str, str, str]]:
    left_out = survey.manifest.quarantined
    if not left_out:
        yield "Left out", "nothing", ""
        return
    folders = sum(item.path.endswith("/") for item in left_out)
    nouns = [(len(left_out) - folders, "file"), (folders, "whole folder")]
    counts = join_words([count_of(number, noun) for number, noun in nouns if number])
    yield "Left out", f"{counts}, damaged or without a class:", "yellow"
    for item in left_out[:MOST_LEFT_OUT]:
        yield "", f"{item.path}: {item.reason}", "yellow"
    if len(left_out) > MOST_LEFT_OUT:
        yield "", f"and {len(left_out) - MOST_LEFT_OUT:,} more, which the report lists", "yellow"


NEW = Command(
    "new",
    "look at photographs and write their config",
    _new,
    (
        argument("project", metavar="NAME", help="of the project: my-fish writes configs/my-fish.yaml"),
        argument(
            "source",
            metavar="FOLDER|CSV",
            help="photographs, one folder a class; or a table of paths and labels",
        ),
        set_argument(
            "how it is read, as in --set dataset.layout=place/class or dataset.label_column=species",
            "dataset.KEY=VALUE",
        ),
    ),
)
