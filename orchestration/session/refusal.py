"""An error for the terminal: what arrived, what was expected, what to do, and where more is written."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence

from rich.text import Text

from vision.base.errors import TaxonError

SETTING = re.compile(r"--set (?='?dataset\.(layout|unknown_classes|skip_folders|follow_links|keep_damaged)=)")
IN_CONFIG = re.compile(r"(?:set )?dataset\.(skip_folders|follow_links|keep_damaged): (\[.*\]|true)")
HANDBOOK = "docs/troubleshooting.md"
BEFORE_EXPECTED = re.compile(r"[.;,:]\s+[Ee]xpected\s+")
BEFORE_ADVICE = re.compile(r"\.\s+(?=[A-Z])|;\s+")
"""Errors are written as `WHAT ARRIVED. Expected WHAT. WHAT TO DO`; the last two parts may be missing."""


def split_refusal(message: str) -> tuple[str, str, str]:
    """What arrived, what was expected, what to do; the last two are empty where there is no such part."""
    message = message.strip()
    parts = BEFORE_EXPECTED.split(message, maxsplit=1) if _is_one(message) else [message]
    if len(parts) == 1:
        return message, "", ""
    wanted, *advice = BEFORE_ADVICE.split(parts[1], maxsplit=1)
    return parts[0], wanted.rstrip("."), "".join(advice).rstrip(".")


def fill_in(message: str, typed: str | None) -> str:
    """The message with the config that was typed, where it names `--config NAME.yaml`."""
    return message.replace("--config NAME.yaml", f"--config {shlex.quote(typed)}") if typed else message


def _write_out(message: str, arguments: Sequence[str]) -> str:
    """The message with a whole command, to be copied, where it names a setting or a command without NAME."""
    if not arguments:
        return message
    if arguments[0] == "new":  # there is no config yet that a setting could be written in
        message = IN_CONFIG.sub(
            lambda found: f"type --set {shlex.quote(f'dataset.{found[1]}={found[2]}')}", message
        )
        if not arguments[1].startswith("-"):
            message = message.replace("run.py new NAME ", f"run.py new {shlex.quote(arguments[1])} ")
    return SETTING.sub(lambda found: f"{_without(arguments, found[1])} {found[0]}", message)


def _without(arguments: Sequence[str], key: str) -> str:
    """The command that was typed, without a setting of the data set."""
    starts = [
        " ".join(arguments[place : place + 2]).startswith(f"--set dataset.{key}=")
        for place in range(len(arguments))
    ]
    after = [False, *starts]
    kept = [each for place, each in enumerate(arguments) if not starts[place] and not after[place]]
    return shlex.join(["python", "run.py", *kept])


def _is_one(message: str) -> bool:
    """Whether a message tells of one fault: further lines are indented, or lie below a blank one."""
    rest = message.split("\n")[1:]
    return not rest or not rest[0] or all(line.startswith(" ") for line in rest)


def describe_refusal(
    error: TaxonError, arguments: Sequence[str] = (), typed: str | None = None
) -> Iterator[Text]:
    """The lines of an error as a person reads it.

    Args:
        error: what is told.
        arguments: those of the command that met it.
        typed: the config that was named to it, if one was.
    """
    found, wanted, advice = split_refusal(fill_in(_write_out(str(error), arguments), typed))
    yield Text.assemble((f"{type(error).__name__}: ", "bold red"), found)
    for label, text in (("Expected", wanted), ("Do this", advice)):
        if text:
            yield Text.assemble((f"  {label:<9} ", "bold"), text)
    yield Text.assemble(("  More      ", "bold"), f"{HANDBOOK}#{error.entry()}")
