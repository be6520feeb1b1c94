"""ZenML's own dashboard beside the client: the same SQLite file, this machine only.

The server runs in this process with a configuration folder of its own, so that the client goes on using the
store directly.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import httpx
from jinja2 import DictLoader, Environment
from starlette.templating import Jinja2Templates

from orchestration.servers.local_server import Application, serve_locally
from orchestration.session.paths import ProjectPaths
from orchestration.session.relocation import DASHBOARD_FOLDER, LOCAL_STORES_FOLDER
from vision.base.errors import ConfigError

DEFAULT_PORT = 8237
SCRIPT = Path(__file__).with_name("dashboard.js")
RUNS_PAGE = "/projects/default/runs"
SURVEY_DONE = {"email_opted_in": False, "user_metadata": {"finished_onboarding_survey": True}}


def serve_dashboard(paths: ProjectPaths, port: int = DEFAULT_PORT) -> None:
    """Serve until Ctrl-C or SIGTERM; the URL is printed once the dashboard answers.

    Raises:
        ConfigError: the port is taken (by this project's dashboard or another program) or not a port, or the
            runs are kept by a ZenML server of the user's own, which has its own dashboard.
        StorageError: the state folder cannot be written.
    """
    if own_server := os.environ.get("ZENML_STORE_URL"):
        raise ConfigError(f"The runs are kept by {own_server} (ZENML_STORE_URL). Open its dashboard instead.")

    def make() -> Application:
        os.environ.update(server_variables(paths))
        from zenml.zen_server import zen_server_api

        page = Path(zen_server_api.dashboard_directory(), "index.html").read_text(encoding="utf-8")
        pages = Environment(loader=DictLoader({"index.html": open_readably(page)}), autoescape=True)
        zen_server_api.templates = Jinja2Templates(env=pages)
        return cast(Application, zen_server_api.app)

    def announce(url: str) -> str:
        return f"Dashboard {url}{RUNS_PAGE} {_clear_survey(url)}"

    serve_locally("dashboard", port, paths.state, make, announce, usual_port=DEFAULT_PORT)


def server_variables(paths: ProjectPaths) -> Mapping[str, str]:
    """What makes a ZenML server of this process, over the project's store."""
    database = paths.zenml / LOCAL_STORES_FOLDER / "default_zen_store" / "zenml.db"
    return {
        "ZENML_SERVER": "true",
        "ZENML_SERVER_AUTH_SCHEME": "NO_AUTH",
        "ZENML_SERVER_AUTO_ACTIVATE": "true",
        "ZENML_SERVER_DEPLOYMENT_TYPE": "local",
        "ZENML_SERVER_ALLOW_LOCAL_FILE_ACCESS": "true",
        "ZENML_CONFIG_PATH": str(paths.zenml / DASHBOARD_FOLDER),
        "ZENML_LOCAL_STORES_PATH": str(paths.zenml / LOCAL_STORES_FOLDER),
        # A store that does not exist yet must be made; one that does is the client's to migrate.
        "DISABLE_DATABASE_MIGRATION": str(database.exists()).lower(),
    }


def open_readably(page: str) -> str:
    """ZenML's page with the script that opens runs as timelines and shows previews without asking."""
    script = SCRIPT.read_text(encoding="utf-8")
    return page.replace("</head>", f"<script>\n{script}</script>\n</head>", 1)


def _clear_survey(url: str) -> str:
    """Answer ZenML's welcome survey, which would stand before the runs; a note where that failed."""
    try:
        httpx.put(f"{url}/api/v1/current-user", json=SURVEY_DONE, timeout=30).raise_for_status()
    except httpx.HTTPError as error:
        return f"(its welcome survey could not be skipped: {error})"
    return ""
