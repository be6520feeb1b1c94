"""`run.py ui` and `run.py dashboard`: servers on this machine until Ctrl-C."""

from __future__ import annotations

from argparse import Namespace

from orchestration.commands.command import Command, argument
from orchestration.session.environment import prepare_environment
from orchestration.session.paths import ProjectPaths


def _dashboard(options: Namespace, paths: ProjectPaths) -> int:
    prepare_environment(paths)
    from orchestration.servers.dashboard import DEFAULT_PORT, serve_dashboard

    serve_dashboard(paths, DEFAULT_PORT if options.port is None else options.port)
    return 0


def _show_page(options: Namespace, paths: ProjectPaths) -> int:
    """Serve the page for people; imports no ZenML."""
    from orchestration.servers.page import DEFAULT_PORT, serve_page

    serve_page(paths, DEFAULT_PORT if options.port is None else options.port)
    return 0


UI = Command(
    "ui",
    "the page for people: drag a picture, read the answer",
    _show_page,
    (argument("--port", type=int, metavar="N", help="port on 127.0.0.1 (default 8501)"),),
    stoppable=False,
)
DASHBOARD = Command(
    "dashboard",
    "show the runs in the ZenML dashboard",
    _dashboard,
    (argument("--port", type=int, metavar="N", help="port on 127.0.0.1 (default 8237)"),),
    stoppable=False,
)
