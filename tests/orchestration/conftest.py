"""A project that lies in a test's own folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestration.session.paths import ProjectPaths


@pytest.fixture
def paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ProjectPaths:
    monkeypatch.setenv("TAXON_STATE", str(tmp_path))
    return ProjectPaths.of(tmp_path)
