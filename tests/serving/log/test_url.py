"""A relative path means the same file to the service and to monitoring, wherever they run."""

from __future__ import annotations

from pathlib import Path

import pytest

from serving.log.url import resolve_log_url
from vision.base.errors import ConfigError
from vision.config.serve import PredictionLogSettings


def test_the_default_lies_in_the_state_folder_of_the_projects_home(tmp_path: Path) -> None:
    found = resolve_log_url(PredictionLogSettings().url, tmp_path)
    assert found == f"sqlite:///{tmp_path}/state/predictions.sqlite"


def test_an_absolute_path_stays_and_resolving_twice_changes_nothing(tmp_path: Path) -> None:
    absolute = "sqlite:////srv/log.sqlite"
    assert resolve_log_url(absolute, tmp_path) == absolute
    once = resolve_log_url("sqlite:///log.sqlite", tmp_path)
    assert resolve_log_url(once, tmp_path / "elsewhere") == once


def test_what_is_no_log_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="expected sqlite:///PATH"):
        resolve_log_url("mysql://a/b", tmp_path)
