"""`run.py service`: start, status, logs or stop; imports no ZenML where nothing is deployed."""

from __future__ import annotations

from argparse import Namespace

from orchestration.commands.command import Command, argument, read_config
from orchestration.session.paths import ProjectPaths


def _start(options: Namespace, paths: ProjectPaths) -> int:
    from orchestration.servers import service

    config = read_config(options, paths) if options.config else None
    return service.start(paths, config, options.config)


def _serve(options: Namespace, paths: ProjectPaths) -> int:
    from orchestration.servers.production import serve_production

    return serve_production(paths, read_config(options, paths) if options.config else None)


def _tell_status(_options: Namespace, paths: ProjectPaths) -> int:
    from orchestration.servers import service

    return service.tell_status(paths)


def _show_logs(options: Namespace, paths: ProjectPaths) -> int:
    from orchestration.servers import service

    return service.show_logs(paths, options.tail)


def _stop(_options: Namespace, paths: ProjectPaths) -> int:
    from orchestration.servers import service

    return service.stop(paths)


TAIL = argument("--tail", type=int, default=50, metavar="N", help="lines (default 50)")

SERVICE = (
    Command("serve", "let what is in production answer over HTTP", _serve, config="optional"),
    Command(
        "service start",
        "start again what was deployed last",
        _start,
        config="optional",
    ),
    Command("service status", "what answers, where, and a line that asks it", _tell_status),
    Command("service logs", "the last lines that the service printed", _show_logs, (TAIL,)),
    Command("service stop", "stop it", _stop),
)
