"""ZenML lives inside the project, whatever the user's own ZenML does."""

import os
import sys
from pathlib import Path
from types import ModuleType

import pytest

from orchestration.session.environment import environment_variables, prepare_environment
from orchestration.session.paths import ProjectPaths
from vision.base.errors import StorageError


@pytest.fixture
def paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ProjectPaths:
    monkeypatch.setenv("TAXON_STATE", str(tmp_path / "home"))
    paths = ProjectPaths.of(tmp_path / "checkout")
    for name in [name for variables in environment_variables(paths) for name in variables]:
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.delitem(sys.modules, "zenml", raising=False)
    return paths


def test_taxon_state_moves_everything_that_a_run_writes(paths: ProjectPaths, tmp_path: Path) -> None:
    written = (paths.state, paths.zenml, paths.images, paths.data, paths.runs, paths.lock, paths.scratch)
    assert all(tmp_path / "home" in path.parents for path in written)
    assert paths.root == tmp_path / "checkout"


def test_without_taxon_state_everything_lies_in_the_checkout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TAXON_STATE", raising=False)
    paths = ProjectPaths.of(tmp_path)
    assert paths.zenml == tmp_path / "state" / "zenml"
    assert paths.runs == tmp_path / "runs"
    assert list(tmp_path.iterdir()) == []


def test_zenml_is_kept_inside_the_project_and_tracks_nobody(paths: ProjectPaths) -> None:
    os.environ["ZENML_CONFIG_PATH"] = "/somewhere/else"
    os.environ["ZENML_ANALYTICS_OPT_IN"] = "true"
    prepare_environment(paths)
    assert os.environ["ZENML_CONFIG_PATH"] == str(paths.zenml)
    assert os.environ["ZENML_ANALYTICS_OPT_IN"] == "false"
    assert paths.zenml.is_dir()


def test_verbosity_that_the_user_set_is_kept(paths: ProjectPaths) -> None:
    os.environ["ZENML_LOGGING_VERBOSITY"] = "DEBUG"
    prepare_environment(paths)
    assert os.environ["ZENML_LOGGING_VERBOSITY"] == "DEBUG"


def test_zenml_imported_too_early_is_refused(paths: ProjectPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "zenml", ModuleType("zenml"))
    with pytest.raises(RuntimeError, match="before anything imports zenml"):
        prepare_environment(paths)


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is a folder in which nobody can write a file")
def test_state_folder_that_cannot_be_written_is_a_storage_error(paths: ProjectPaths) -> None:
    paths.zenml.parent.mkdir(parents=True)
    paths.zenml.symlink_to("/proc/self")
    with pytest.raises(StorageError, match="cannot keep ZenML's state"):
        prepare_environment(paths)


def test_state_folder_that_cannot_be_made_is_a_storage_error(paths: ProjectPaths, tmp_path: Path) -> None:
    (tmp_path / "home").write_text("", encoding="utf-8")
    with pytest.raises(StorageError, match="cannot keep ZenML's state"):
        prepare_environment(paths)
