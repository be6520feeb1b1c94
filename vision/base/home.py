"""Where the project lies; stored paths below it are relative to it, so that a project may be moved."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, FieldSerializationInfo, PlainSerializer, ValidationInfo

from vision.base.closure import ROOT

STATE_VARIABLE = "TAXON_STATE"
"""Names the folder that holds `state`, `data` and `runs`, where that is not the checkout."""

_KEY = "home"


def project_home(root: Path = ROOT) -> Path:
    """The folder that holds `state`, `data` and `runs`: TAXON_STATE, or the checkout `root`."""
    return Path(os.environ.get(STATE_VARIABLE) or root).resolve()


def checkpoints_folder() -> Path:
    """Where trainings that go on keep their checkpoints, each in a folder of its own."""
    return project_home() / "state" / "checkpoints"


def home_context() -> dict[str, Path]:
    """The context in which pydantic writes places relative to the project's folder and reads them again."""
    return {_KEY: project_home()}


def shorten_path(path: str, home: Path) -> str:
    """A path relative to `home` if it lies inside, as it is otherwise."""
    return Path(path).relative_to(home).as_posix() if Path(path).is_relative_to(home) else path


def _read_place(path: str, info: ValidationInfo) -> str:
    return str(info.context[_KEY] / path) if info.context else path


def _write_place(path: str, info: FieldSerializationInfo) -> str:
    return shorten_path(path, info.context[_KEY]) if info.context else path


Place = Annotated[str, AfterValidator(_read_place), PlainSerializer(_write_place)]
"""A folder: absolute in memory; with `home_context` as pydantic's context, stored relative to the project."""
