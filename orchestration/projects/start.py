"""Looks at a folder or a table of photographs and writes a project's config, beside it a contact sheet."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestration.projects.draft import Plan, write_draft
from orchestration.projects.outlook import Outlook, foresee
from orchestration.projects.source import settle_source
from report.photographs.contact_sheet import draw_contact_sheet
from vision.base.errors import ConfigError
from vision.base.files import write_atomically
from vision.base.progress import in_words
from vision.config.reading.loading import settle
from vision.config.reading.yaml_text import parse_yaml
from vision.config.run import RunConfig
from vision.data.sources.declaration import Progress
from vision.data.survey import Survey, survey_images


@dataclass(frozen=True)
class Started:
    """A project that was started.

    Attributes:
        survey: what was found.
        config: the file that was written.
        sheet: the contact sheet.
        outlook: what a training would come to, and what to type next.
    """

    survey: Survey
    config: Path
    sheet: Path
    outlook: Outlook


def start_project(
    name: str,
    source: str,
    configs: Path,
    overrides: Sequence[str] = (),
    progress: Progress | None = None,
) -> Started:
    """Look at a folder or a table; write `NAME.yaml` and `NAME.png` into `configs`, overwriting nothing.

    Args:
        name: of the project, its configuration and its model.
        source: the folder of photographs, or the table of paths and labels, as it was typed.
        configs: where configurations lie.
        overrides: `dataset.KEY=VALUE`, what is known of it.
        progress: is told images done and images in all.

    Raises:
        ConfigError: the name has another form, or is taken; an override is of something else.
        SourceError: it cannot be read as classes.
        StorageError: a file cannot be written.
    """
    config, sheet = configs / f"{name}.yaml", configs / f"{name}.png"
    settings = settle_source(name, source, config, overrides)
    _refuse_taken(name, source, config, sheet)
    survey = survey_images(settings, progress)
    plan = Plan.of(survey, len(os.sched_getaffinity(0)))
    draft = write_draft(name, survey, plan)
    settled = settle(RunConfig, parse_yaml(draft, str(config)), config)
    outlook = foresee(survey, settled, f"about {in_words(plan.seconds)}")
    text = write_draft(name, survey, plan, outlook.doubts)
    picture = draw_contact_sheet(survey)
    _refuse_taken(name, source, config, sheet)  # another `new` may have written them while this one looked
    write_atomically(config, text)  # first: a sheet that is alone would only stand in the way
    write_atomically(sheet, picture)
    return Started(survey, config, sheet, outlook)


def _refuse_taken(name: str, source: str, config: Path, sheet: Path) -> None:
    for path in (config, sheet):
        if path.exists():
            raise ConfigError(
                f"{path} is there already. Expected a name that is free: nothing is overwritten. Train with "
                f"it: python run.py train {name}; or choose another name, or remove that file."
            )
    free = f"my-{name}"
    named = re.compile(rf"^name:\s*['\"]?{re.escape(name)}['\"]?\s*(#.*)?$", re.MULTILINE)
    for path in sorted(config.parent.rglob("*.yaml")):
        if named.search(path.read_text(encoding="utf-8", errors="replace")):
            raise ConfigError(
                f"{name} is the name in {path}, whose model it would share. Expected a name of its own. "
                f"Choose another: python run.py new {free} {shlex.quote(source)}"
            )
