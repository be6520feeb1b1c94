"""The command line: `COMMAND [NAME] [options]`, or `--pipeline NAME --config NAME.yaml`, to a command."""

from __future__ import annotations

import difflib
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Collection, Sequence
from typing import NoReturn

from orchestration.commands.command import Command
from orchestration.commands.registry import BY_NAME, COMMANDS

EXIT_CODES = """\
exit codes: 0 done (also when the champion is kept or answers drifted), 1 the run failed,
  2 the config or the data is wrong, 3 a gate refused (floors, leaks, tolerance),
  4 another run is going: try again later"""
USAGE = "run.py COMMAND [NAME] [options]\n       run.py --pipeline PIPELINE --config NAME.yaml [options]"
EXPECTED = "expected either --pipeline NAME --config NAME.yaml, or one command"


def parse(arguments: Sequence[str]) -> tuple[Command, Namespace]:
    """The command that was asked for and its arguments.

    Raises:
        SystemExit: of code 2, after saying what is wrong and what was meant; of 0 after the help.
    """
    command, rest = _find_command(list(arguments))
    parser = _parser_of(command)
    options, unknown = parser.parse_known_intermixed_args(rest)
    if unknown:
        _refuse(command, parser, unknown[0])
    if command.config != "no":
        _settle_config(command, parser, options)
    return command, options


def build_help() -> ArgumentParser:
    """The parser of the bare `run.py`, which lists all commands."""
    return ArgumentParser(
        prog="run.py",
        usage=USAGE,
        description="Taxon: from a folder of images to an honest image classifier.",
        epilog="\n".join(
            [
                "commands:",
                *map(_line, COMMANDS),
                f"pipelines, for --pipeline: {', '.join(each.name for each in COMMANDS if each.pipeline)}",
                "NAME is a config: my-fish is configs/my-fish.yaml. Options: run.py COMMAND --help",
                EXIT_CODES,
            ]
        ),
        formatter_class=RawDescriptionHelpFormatter,
    )


def _line(command: Command) -> str:
    name = command.aliases[0] if command.pipeline and command.aliases else command.name
    words = [name, *({"needed": ["NAME"], "optional": ["[NAME]"]}.get(command.config, []))]
    own = [each for each in command.arguments if not each.name.startswith("-")]
    words += [str(each.settings.get("metavar", each.name)) for each in own]
    return f"  {' '.join(words):<30}{command.text}"


def _find_command(words: list[str]) -> tuple[Command, list[str]]:
    """The command and the words without its name."""
    help_parser = build_help()
    for place, word in enumerate(words):
        if word == "--pipeline" or word.startswith("--pipeline="):
            given = [word[len("--pipeline=") :]] if "=" in word else words[place + 1 : place + 2]
            rest = words[:place] + words[place + (1 if "=" in word else 2) :]
            return _find_pipeline(help_parser, given), rest
    places = [place for place, word in enumerate(words) if word in _FIRST_WORDS]
    if words[:1] == ["help"]:
        words = ["--help"]
    if words and not words[0].startswith("-") and places[:1] != [0]:
        help_parser.error(_unknown("command", words[0], _FIRST_WORDS))
    if not places:
        help_parser.parse_known_args(words)  # ends after -h
        help_parser.error(f"{EXPECTED}; see --help")
    return _take_command(help_parser, words, places[0])


_FIRST_WORDS = {name.split()[0]: None for name in BY_NAME}


def _take_command(parser: ArgumentParser, words: list[str], place: int) -> tuple[Command, list[str]]:
    """The command whose first word stands at `place`, and the words without its name."""
    first = words[place]
    if first in BY_NAME:
        return BY_NAME[first], words[:place] + words[place + 1 :]
    name = " ".join(words[place : place + 2])
    if name not in BY_NAME:
        seconds = [each.split()[1] for each in BY_NAME if each.startswith(f"{first} ")]
        parser.error(f"expected one of {', '.join(seconds)} after {first}")
    return BY_NAME[name], words[:place] + words[place + 2 :]


def _find_pipeline(parser: ArgumentParser, given: list[str]) -> Command:
    pipelines = {each.name: each for each in COMMANDS if each.pipeline}
    named = BY_NAME.get(given[0]) if given else None
    if named is None or not named.pipeline:
        parser.error(
            _unknown("pipeline", given[0], pipelines)
            if given
            else f"--pipeline needs a name: {', '.join(pipelines)}"
        )
    return named


def _unknown(kind: str, word: str, known: Collection[str]) -> str:
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    hint = f"Did you mean {near[0]}?" if near else f"Expected one of: {', '.join(known)}."
    return f"there is no {kind} {word}. {hint}"


def _parser_of(command: Command) -> ArgumentParser:
    parser = ArgumentParser(prog=f"run.py {command.name}", description=f"{command.text}.")
    for each in command.all_arguments:
        parser.add_argument(each.name, **each.settings)
    return parser


def _settle_config(command: Command, parser: ArgumentParser, options: Namespace) -> None:
    """Put the config's name into `options.config`, whichever way it was given."""
    if options.name and options.config:
        parser.error(f"two configs were given, {options.name} and {options.config}; expected one")
    options.config = options.config or options.name
    if options.config:
        return
    if command.config == "needed":
        asked = f"--pipeline {command.name}" if command.pipeline else command.name
        parser.error(f"{asked} needs --config NAME.yaml, or just NAME")
    if options.overrides:
        given = " ".join(f"--set {each}" for each in options.overrides)
        parser.error(
            f"{given} has no effect without --config: it changes a setting of that file. "
            f"Expected: {command.name} --config NAME.yaml {given}"
        )


def _refuse(command: Command, parser: ArgumentParser, unknown: str) -> NoReturn:
    """End with what this command does not know, and where it belongs."""
    option = unknown.partition("=")[0]
    asked = f"--pipeline {command.name}" if command.pipeline else command.name
    owners = [each for each in COMMANDS if option in _options_of(each)]
    if not option.startswith("-"):
        parser.error(f"{asked} takes no word {unknown!r} here; see run.py {command.name} --help")
    if not owners:
        parser.error(_unknown("option", option, [*_options_of(command), "--help"]))
    if option in ("--set", "--config"):
        parser.error(f"{option} has no effect: {asked} reads no settings; leave it out")
    names = [f"--pipeline {each.name}" if each.pipeline else each.name for each in owners]
    told = "; its port is --set serve.port=N" if option == "--port" and command.config != "no" else ""
    parser.error(f"{option} has no effect on {asked}: it is for {' and '.join(names)}{told}")


def _options_of(command: Command) -> list[str]:
    return [each.name for each in command.all_arguments if each.name.startswith("-")]
