"""The configuration of a new project, with comments; `configs/folder.yaml` is the same with defaults."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2

from orchestration.session.steps import STEPS
from vision.base.progress import in_words
from vision.base.wording import count_of
from vision.config.data import FolderSource
from vision.config.reading.yaml_text import write_inline
from vision.config.sources.tables import CsvSource
from vision.data.survey import USUAL_SIZE, Survey, choose_size

ENOUGH_TO_FINE_TUNE = 1000
"""Images from which on training the whole network may pay."""

AFFORDABLE_SECONDS = 300.0
"""What fine-tuning may add without being asked for."""

_TWICE = "224 shows more of a picture and takes twice as long"
TEMPLATE = Path(__file__).parent / "config.yaml.j2"

_FINE_EPOCHS = 8
_TRAINED_SHARE = 0.55
_IMAGES_A_SECOND = 14.0
"""Fine-tuning at 160 pixels on two cores; 9 to 15 were measured beside other work."""
_CORES = 2


_START_SECONDS = 20.0
_OTHER_PIPELINES = frozenset(
    {
        "read_window",
        "monitor",
        "trim_log",
        "count_new_images",
        "decide_retraining",
        "answer_batch",
        "tune",
        "deploy",
    }
)
_LINE = 112


@dataclass(frozen=True)
class Plan:
    """What is trained, and how long that takes here, roughly.

    Attributes:
        size: pixels a side of the network's input.
        cores: of this machine.
        seconds: of the whole run.
        fine_seconds: that training the whole network takes.
        fine_tuned: whether that is part of the run.
    """

    size: int
    cores: int
    seconds: float
    fine_seconds: float
    fine_tuned: bool

    @classmethod
    def of(cls, survey: Survey, cores: int) -> Plan:
        """The plan for a folder that was looked at."""
        num_images, size = len(survey.manifest.entries), choose_size(survey.usual_side())
        pace = (size / USUAL_SIZE) ** 2 * _CORES / max(cores, 1)
        steps = [step for name, step in STEPS.items() if name not in _OTHER_PIPELINES]
        seconds = _START_SECONDS + sum(step.fixed + pace * step.each * num_images / 1000 for step in steps)
        fine_seconds = pace * _FINE_EPOCHS * _TRAINED_SHARE * num_images / _IMAGES_A_SECOND
        fine_tuned = num_images >= ENOUGH_TO_FINE_TUNE and fine_seconds <= AFFORDABLE_SECONDS
        return cls(size, cores, seconds + fine_tuned * fine_seconds, fine_seconds, fine_tuned)


def describe_layout(survey: Survey) -> str:
    """What the folders are, in words; a folder that is one for all, or for all of a split, is no place."""
    layout, around = survey.layout, ""
    if "place" in layout and not survey.has_places():
        layout, around = layout.replace("place/", ""), "; one folder more around them means nothing"
    known = {
        "class": "one folder a class",
        "split/class": "one folder a class, in trees of splits, which are kept (split/class)",
        "class/group": "one folder a class, in it one folder a group (class/group)",
        "place/class": "one folder a class, in folders of places, which mean nothing (place/class)",
    }
    return known.get(layout, layout) + around


def write_draft(name: str, survey: Survey, plan: Plan, doubts: Sequence[str] = ()) -> str:
    """The configuration of a folder or a table that was looked at; `doubts` are told in a comment."""
    adds = f"adds about {in_words(plan.fine_seconds)} here"
    smallest = min(survey.class_sizes(), key=lambda each: each.num_images)
    enough = f"enough: a usual picture here has {survey.usual_side()}"
    return _render(
        survey.settings,
        purpose=f"{survey.tell_pictures()}; looked at by `run.py new`.",
        cost=f"About {in_words(plan.seconds)} on {plan.cores} CPU cores.",
        command=f"python run.py --pipeline training --config {name}.yaml",
        doubts=doubts,
        name=name,
        layout_words=f"Here: {describe_layout(survey)}. Where folders allow two readings",
        group_words=_tell_groups(survey),
        example_class=write_inline(smallest.name),
        size=plan.size,
        size_words=_TWICE if plan.size == USUAL_SIZE else enough,
        fine_tuned=plan.fine_tuned,
        fine_words=f"It {adds}." if plan.fine_tuned else f"To try it, remove the marks: it {adds}.",
    )


def _render(settings: FolderSource | CsvSource, **values: Any) -> str:
    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    environment.globals["comment"] = _comment
    given = settings.model_dump(mode="json", exclude_defaults=True)
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        dataset=[f"{key}: {write_inline(value)}" for key, value in given.items() if key != "group_by"],
        source=settings.source,
        layout_set="layout" in given or settings.source != "folder",
        group_column=given.get("group_column"),
        unknown_set="unknown_classes" in given,
        group_by=f"group_by: {write_inline(settings.group_by)}" if settings.group_by else "# group_by: auto",
        enough=ENOUGH_TO_FINE_TUNE,
        **values,
    )


def _tell_groups(survey: Survey) -> str:
    """What is known of groups, for the comment."""
    if isinstance(survey.settings, CsvSource) and survey.settings.group_column:
        groups = count_of(survey.num_groups(), "group")
        return f"Here the column {survey.settings.group_column} says it: {groups}."
    if survey.suggestion is not None and survey.suggestion.pattern is None:
        return survey.suggestion.sentence()
    pictures = count_of(len(survey.manifest.entries), "picture")
    found = f"Here {pictures} are of {count_of(survey.num_groups(), 'group')}"
    if survey.suggestion is not None:
        return f"{found}: {survey.suggestion.why} repeats."
    return f"{found}."


def _comment(text: str, indent: int) -> str:
    """A text as lines of comment."""
    mark = f"{' ' * indent}# "
    return textwrap.fill(text, _LINE, initial_indent=mark, subsequent_indent=mark, break_long_words=False)
