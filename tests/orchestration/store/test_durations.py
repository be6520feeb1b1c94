"""Steps' seconds are read from the runs of the same data set and pipeline."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from orchestration.session.paths import ProjectPaths
from orchestration.store.durations import read_durations
from tests.orchestration.store.test_golden import STORE


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("toy-20270101-000000-000", True),
        ("toy-2-20270101-000000-000", False),
        ("toy-monitoring-20270101-000000-000", False),
        ("toy", False),
    ],
)
def test_only_runs_of_the_same_name_tell(
    name: str, known: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TAXON_STATE", str(tmp_path))
    paths = ProjectPaths.of(tmp_path)
    assert read_durations(paths, name) == {}
    with tarfile.open(STORE) as archive:
        archive.extractall(tmp_path, filter="data")
    seconds = read_durations(paths, name)
    assert ("train_cnn" in seconds) is known
    assert all(0 < each < 3600 for each in seconds.values())
