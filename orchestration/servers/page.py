"""The page for people, served beside the service that it asks; see `serving/app`."""

from __future__ import annotations

import os
from pathlib import Path

import serving.app
from orchestration.servers.local_server import Application, serve_locally
from orchestration.session.paths import ProjectPaths

DEFAULT_PORT = 8501
SCRIPT = Path(serving.app.__file__).parent / "page.py"

OPTIONS = {
    "browser.gatherUsageStats": False,
    "client.showErrorDetails": "none",
    "client.toolbarMode": "minimal",
    "runner.magicEnabled": False,
    "server.fileWatcherType": "none",
    "server.maxUploadSize": 200,
    "theme.baseRadius": "large",
    "theme.light.primaryColor": "#0072b2",
    "theme.dark.primaryColor": "#56b4e9",
}
"""Streamlit's own: nothing reported to its makers, no traceback or developers' menu for the reader, no bare
expression of the script drawn; the largest upload in MB: the page shrinks what the service would refuse."""


def serve_page(paths: ProjectPaths, port: int = DEFAULT_PORT) -> None:
    """Serve the page until Ctrl-C or SIGTERM; the URL is printed once it answers.

    Raises:
        ConfigError: the port is taken (by this project's page or another program) or not a port.
        StorageError: the state folder cannot be written.
    """

    def make() -> Application:
        os.environ[serving.app.HOME_VARIABLE] = str(paths.home)
        from streamlit import config
        from streamlit.starlette import App

        for name, value in OPTIONS.items():
            config.set_option(name, value)
        return App(SCRIPT)

    serve_locally("page", port, paths.state, make, lambda url: f"Page {url}", usual_port=DEFAULT_PORT)
