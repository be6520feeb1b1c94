"""One service of the toy, one page as `make ui` starts it, and a browser that looks at it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, FilePayload, Page, sync_playwright

from serving.log.prediction_log import PredictionLog
from serving.runtime.bento import build_in_store
from serving.runtime.process import start_service, stop_service
from serving.runtime.running import BuiltBento, ServiceFolder
from tests.orchestration.test_store import wait_for
from tests.serving.runtime.services import find_port
from tests.serving.toy import make_bundle, paint
from vision.base.closure import ROOT
from vision.config.serve import PredictionLogSettings, ServeSettings

OWN = ("127.0.0.1", None)
"""Where the page may ask: this machine, and what it holds itself (data:, blob:)."""
CHROMIUM = Path("/usr/bin/chromium")
WAIT_MS = 30_000
"""For what the page does after a click; on two busy cores Streamlit takes seconds."""


@dataclass(frozen=True)
class Shown:
    """A project whose service runs, and where its page is.

    Attributes:
        folder: of the project.
        bento: that is served.
        serve: with its port.
        url: of the page.
    """

    folder: ServiceFolder
    bento: BuiltBento
    serve: ServeSettings
    url: str

    def open_log(self) -> PredictionLog:
        """The prediction log that the service writes."""
        return PredictionLog(f"sqlite:///{self.folder.home}/state/predictions.sqlite", wait_s=5, create=False)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Debian's Chromium; of a module, for Playwright's event loop keeps asyncio.run from others meanwhile."""
    if not CHROMIUM.is_file():
        pytest.skip(f"{CHROMIUM} is absent: no test looks at the page. Install it: apt-get install chromium")
    with sync_playwright() as playwright:
        options = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=options)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def shown(chromium: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    """The toy served with a log that keeps pictures, and its page."""
    folder, bundle = ServiceFolder(tmp_path_factory.mktemp("home")), make_bundle()
    bento = build_in_store(folder, bundle.root, bundle.digest, "3")
    serve = ServeSettings(port=find_port(), log=PredictionLogSettings(keep_images=True))
    start_service(folder, bento, serve)
    port, said = find_port(), folder.home / "said.txt"
    with said.open("wb") as output:
        page = subprocess.Popen(
            [sys.executable, "run.py", "ui", "--port", str(port)],
            cwd=ROOT,
            env=os.environ | {"TAXON_STATE": str(folder.home)},
            stderr=output,
            stdout=output,
        )
    try:
        wait_for(lambda: f"Page http://127.0.0.1:{port}" in said.read_text(), page)
        yield Shown(folder, bento, serve, f"http://127.0.0.1:{port}")
    finally:
        page.kill()
        page.wait()
        stop_service(folder)


@pytest.fixture
def page(chromium: Browser, shown: Shown) -> Iterator[Page]:
    """The page, opened by somebody who was not there before, on a wide screen; it asks this machine alone."""
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(WAIT_MS)
    opened, elsewhere = context.new_page(), list[str]()
    opened.on(
        "request", lambda sent: None if urlsplit(sent.url).hostname in OWN else elsewhere.append(sent.url)
    )
    opened.goto(shown.url)
    yield opened
    context.close()
    assert not elsewhere


def picture(name: str, colour: tuple[int, int, int]) -> FilePayload:
    """A PNG of one colour to be dropped."""
    return {"name": name, "mimeType": "image/png", "buffer": paint(colour)}
