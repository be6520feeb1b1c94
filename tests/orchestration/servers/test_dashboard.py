"""What the dashboard refuses, without ZenML; it is served in `test_store.py`."""

from pathlib import Path

import pytest

from orchestration.servers.dashboard import serve_dashboard
from orchestration.session.paths import ProjectPaths
from vision.base.errors import ConfigError


def test_runs_of_an_own_zenml_server_have_their_own_dashboard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZENML_STORE_URL", "https://zenml.example")
    with pytest.raises(ConfigError, match=r"https://zenml\.example"):
        serve_dashboard(ProjectPaths.of(tmp_path))
