"""What the dashboard refuses, without ZenML; it is served in `test_store.py`."""

from importlib.util import find_spec
from pathlib import Path

import pytest

from orchestration.servers.dashboard import SCRIPT, open_readably, serve_dashboard
from orchestration.session.paths import ProjectPaths
from vision.base.errors import ConfigError


def test_runs_of_an_own_zenml_server_have_their_own_dashboard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZENML_STORE_URL", "https://zenml.example")
    with pytest.raises(ConfigError, match=r"https://zenml\.example"):
        serve_dashboard(ProjectPaths.of(tmp_path))


def test_the_page_brings_the_script_that_opens_runs_as_timelines() -> None:
    page = open_readably("<html><head><title>ZenML</title></head><body></body></html>")
    assert page.count("<script>") == 1
    assert page.index('[aria-label="Timeline view"]') < page.index("</head>")


@pytest.mark.parametrize("label", ["Timeline view", "Load Preview", "Dismiss local-server notice"])
def test_what_the_script_presses_is_called_so_in_the_installed_dashboard(label: str) -> None:
    zenml = find_spec("zenml")
    assert zenml is not None
    assert zenml.origin is not None
    assets = Path(zenml.origin).parent / "zen_server" / "dashboard" / "assets"
    assert any(label in path.read_text(encoding="utf-8") for path in assets.glob("*.js"))
    assert label in SCRIPT.read_text(encoding="utf-8")
