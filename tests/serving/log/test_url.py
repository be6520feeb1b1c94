"""A relative path means the same file to the service and to monitoring, wherever they run."""

from __future__ import annotations

from pathlib import Path

import pytest

from serving.log.prediction_log import PredictionLog
from serving.log.url import parse_url, resolve_log_url
from tests.serving.answers import make_entry
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


@pytest.mark.parametrize(
    "url",
    [
        "state/predictions.sqlite",
        "sqlite://",
        "sqlite:///a.sqlite?mode=ro",
        "sqlite+aiosqlite:///a.sqlite",
        "sqlite:///:memory:",
        "mysql://ada:secret@host/log",
    ],
)
def test_another_kind_of_url_is_refused_at_once(url: str, tmp_path: Path) -> None:
    for use in (lambda: PredictionLog(url), lambda: resolve_log_url(url, tmp_path)):
        with pytest.raises(ConfigError, match="sqlite:///PATH") as caught:
            use()
        assert "secret" not in str(caught.value)


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg"])
def test_without_postgresqls_driver_the_error_says_what_to_install(
    scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"{scheme}://ada:secret@host/log"
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(ConfigError, match=r"ada:\*\*\*@host/log.* python -m pip install 'psycopg\[binary\]'"):
        PredictionLog(url)
    monkeypatch.setattr("importlib.util.find_spec", lambda _: "psycopg")
    assert str(parse_url(url)) == "postgresql+psycopg://ada:***@host/log"


def test_a_relative_path_is_of_the_folder_in_which_the_log_was_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    log = PredictionLog("sqlite:///log.sqlite")
    monkeypatch.chdir("/")
    log.append(make_entry(1))
    assert (log.name, log.exists()) == (str(tmp_path / "log.sqlite"), True)
