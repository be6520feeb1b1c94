"""An error for the terminal: what arrived, what was expected, what to do, and where more is written."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence

from rich.text import Text

from vision.base.errors import TaxonError

LAYOUT = "--set dataset.layout="
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


def _write_out(message: str, arguments: Sequence[str]) -> str:
    """The message with a whole command, to be copied, where it names the setting of a layout alone."""
    if not arguments:
        return message
    kept = [
        each
        for place, each in enumerate(arguments)
        if not _is_layout(arguments[place : place + 2]) and not _is_layout(arguments[max(place - 1, 0) :])
    ]
    return message.replace(LAYOUT, f"{shlex.join(['python', 'run.py', *kept])} {LAYOUT}")


def _is_layout(words: Sequence[str]) -> bool:
    """Whether arguments begin with a layout, as in `--set dataset.layout=class`."""
    return " ".join(words[:2]).startswith(LAYOUT)


def _is_one(message: str) -> bool:
    """Whether a message tells of one fault: further lines are indented, or lie below a blank one."""
    rest = message.split("\n")[1:]
    return not rest or not rest[0] or all(line.startswith(" ") for line in rest)


def describe_refusal(error: TaxonError, arguments: Sequence[str] = ()) -> Iterator[Text]:
    """The lines of an error as a person reads it; `arguments` are those of the command that met it."""
    found, wanted, advice = split_refusal(_write_out(str(error), arguments))
    yield Text.assemble((f"{type(error).__name__}: ", "bold red"), found)
    for label, text in (("Expected", wanted), ("Do this", advice)):
        if text:
            yield Text.assemble((f"  {label:<9} ", "bold"), text)
    yield Text.assemble(("  More      ", "bold"), f"{HANDBOOK}#{error.entry()}")
