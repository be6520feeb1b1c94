"""What every command declares: its name, its line of the help, its arguments and its function."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestration.session.paths import ProjectPaths
from vision.config.reading.loading import find_config, load_config
from vision.config.run import RunConfig


@dataclass(frozen=True)
class Argument:
    """One argument of a command.

    Attributes:
        name: `--tail` for an option, `file` for a word after the command.
        settings: keywords for `ArgumentParser.add_argument`, the help among them.
    """

    name: str
    settings: Mapping[str, Any] = field(default_factory=dict)


def argument(name: str, **settings: Any) -> Argument:
    """An argument in the words of `ArgumentParser.add_argument`."""
    return Argument(name, settings)


def set_argument(text: str, metavar: str = "KEY=VALUE") -> Argument:
    """The option `--set`, which may be repeated."""
    told = f"{text}; may be repeated"
    return argument("--set", metavar=metavar, action="append", default=[], dest="overrides", help=told)


@dataclass(frozen=True)
class Command:
    """One command of run.py.

    Attributes:
        name: one word, or two as in `service start`.
        text: its line of the help.
        run: does it; gets the parsed arguments and the project, returns the exit code.
        arguments: its own; those that `config` brings need not be named.
        config: whether it takes `NAME` or `--config NAME.yaml`, and `--set`: `needed`, `optional`, `no`.
        aliases: other names for it.
        pipeline: it can also be asked for as `--pipeline NAME`.
        resumable: where it was stopped, the same command goes on, as every pipeline does.
        stoppable: SIGTERM and SIGHUP end it as Ctrl-C does; servers end in ways of their own.
    """

    name: str
    text: str
    run: Callable[[Namespace, ProjectPaths], int]
    arguments: tuple[Argument, ...] = ()
    config: str = "no"
    aliases: tuple[str, ...] = ()
    pipeline: bool = False
    stoppable: bool = True
    resumable: bool = False

    @property
    def all_arguments(self) -> tuple[Argument, ...]:
        """Its own arguments, after those that a config brings."""
        return self.arguments if self.config == "no" else (*CONFIG_ARGUMENTS, *self.arguments)


CONFIG_ARGUMENTS = (
    argument("name", nargs="?", metavar="NAME", help="the config, as in my-fish for configs/my-fish.yaml"),
    argument(
        "--config", metavar="NAME.yaml", help="the same by its file: looked up in configs/, then as a path"
    ),
    set_argument("override one setting, as in --set images.size=128"),
)


EXECUTOR = argument(
    "--executor",
    metavar="process|dask|ADDRESS",
    action="append",
    dest="overrides",
    type=lambda word: f"executor={word}",
    help="who reads the images: processes of this machine, a Dask cluster that is started on it, or the one "
    "whose scheduler is at tcp://HOST:8786",
)
"""Stands for `--set executor=...`, after `--set`, whose list it goes on with."""


def find_config_file(options: Namespace, paths: ProjectPaths) -> Path:
    """The file of the config that was named.

    Raises:
        ConfigError: there is none.
    """
    return find_config(options.config, paths.root / "configs")


def read_config(options: Namespace, paths: ProjectPaths) -> RunConfig:
    """The settings of the config that was named, with every `--set`.

    Raises:
        ConfigError: there is no such file, or something in it is wrong.
    """
    return load_config(find_config_file(options, paths), options.overrides)
