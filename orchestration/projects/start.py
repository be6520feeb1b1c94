"""Looks at a folder of photographs and writes a project's configuration, with a contact sheet beside it."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestration.projects.draft import Plan, write_draft
from orchestration.projects.outlook import Outlook, foresee
from report.contact_sheet import draw_contact_sheet
from vision.base.errors import ConfigError
from vision.base.files import write_atomically
from vision.base.progress import in_words
from vision.config.data import FolderSource
from vision.config.loading import settle
from vision.config.run import RunConfig
from vision.config.yaml_text import parse_yaml
from vision.data.sources.declaration import Progress
from vision.data.survey import Survey, survey_folder

_SETTABLE = "dataset."


@dataclass(frozen=True)
class Started:
    """A project that was started.

    Attributes:
        survey: what was found in the folder.
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
    folder: str,
    configs: Path,
    overrides: Sequence[str] = (),
    progress: Progress | None = None,
) -> Started:
    """Look at a folder and write `NAME.yaml` and `NAME.png` into `configs`; nothing is overwritten.

    Args:
        name: of the project, its configuration and its model.
        folder: of photographs, as it was typed.
        configs: where configurations lie.
        overrides: `dataset.KEY=VALUE`, what is known of the folder.
        progress: is told images done and images in all.

    Raises:
        ConfigError: the name has another form, or is taken; an override is of something else.
        SourceError: the folder cannot be read as classes.
        StorageError: a file cannot be written.
    """
    config, sheet = configs / f"{name}.yaml", configs / f"{name}.png"
    settings = _settle_folder(name, folder, config, overrides)
    _refuse_taken(name, config, sheet)
    survey = survey_folder(settings, progress)
    plan = Plan.of(survey, len(os.sched_getaffinity(0)))
    text = write_draft(name, survey, plan)
    settled = settle(RunConfig, parse_yaml(text, str(config)), config)
    picture = draw_contact_sheet(survey)
    _refuse_taken(name, config, sheet)  # another `new` may have written them while this one looked
    write_atomically(config, text)  # first: a sheet that is alone would only stand in the way
    write_atomically(sheet, picture)
    return Started(survey, config, sheet, foresee(survey, settled, f"about {in_words(plan.seconds)}"))


def _settle_folder(name: str, folder: str, config: Path, overrides: Sequence[str]) -> FolderSource:
    """The settings of the folder, after the name and the overrides were found to be right."""
    other = next((each for each in overrides if not each.startswith(_SETTABLE)), None)
    if other is not None:
        raise ConfigError(
            f"--set {other}: does not say how the folder is read. Expected dataset.KEY=VALUE, such as "
            f"dataset.layout=place/class. Change other settings in {config}, once it is written."
        )
    path = (Path(folder).expanduser() if folder.startswith("~") else Path(folder)).absolute()
    path = path.resolve() if ".." in path.parts else path  # the config is read from wherever one stands
    least = {"backbone": "efficientnet_lite0", "weights": "auto", "strategy": "frozen"}
    tree = {
        "name": name,
        "dataset": {"source": "folder", "path": str(path)},
        "training": {"candidates": {"efficientnet_lite0": least}},
    }
    settings = settle(RunConfig, tree, config, overrides).dataset
    if not isinstance(settings, FolderSource):
        raise ConfigError("run.py new reads a folder of pictures. Expected no dataset.source. Leave it out.")
    return settings


def _refuse_taken(name: str, config: Path, sheet: Path) -> None:
    for path in (config, sheet):
        if path.exists():
            raise ConfigError(
                f"{path} is there already. Expected a name that is free: nothing is overwritten. Train with "
                f"it: python run.py train {name}; or choose another name, or remove that file."
            )
    named = re.compile(rf"^name:\s*['\"]?{re.escape(name)}['\"]?\s*(#.*)?$", re.MULTILINE)
    for path in sorted(config.parent.rglob("*.yaml")):
        if named.search(path.read_text(encoding="utf-8", errors="replace")):
            raise ConfigError(
                f"{name} is the name in {path}, whose model it would share. Expected a name of its own. "
                "Choose another."
            )
