"""Writing to a closed pipe (`| head -3`) or a full disk (`> /dev/full`) does not end a command.

The exit code stays the command's own: what a run decided does not depend on who reads its words.
"""

from __future__ import annotations

import errno
import os
import sys
from typing import Any, TextIO

STANDARD = (0, 1, 2)
STANDARD_OUTPUT = 1


class ForgivingStream:
    """A text stream that goes on as /dev/null once nothing can be written to it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._number = stream.fileno()

    def write(self, text: str) -> int:
        """Write; the number of characters, whether or not they arrived."""
        try:
            self._stream.write(text)
        except OSError as error:
            self._give_up(error)
        return len(text)

    def writelines(self, lines: list[str]) -> None:
        """Write one after the other."""
        self.write("".join(lines))

    def flush(self) -> None:
        """Hand on what is buffered."""
        try:
            self._stream.flush()
        except OSError as error:
            self._give_up(error)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _give_up(self, error: OSError) -> None:
        """Send what is buffered and what comes to /dev/null; tell of a disk that is full."""
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self._number)
        os.close(nowhere)
        if error.errno != errno.EPIPE and self._number == STANDARD_OUTPUT:
            sys.stderr.write(f"Part of the output could not be written: {error.strerror}.\n")


def forgive_lost_readers() -> None:
    """Let standard output and standard error outlive their reader; call it before anything is printed."""
    for number in STANDARD:
        try:
            os.fstat(number)
        except OSError:  # closed by the caller (`>&-`): the next file that is opened must not get its number
            os.open(os.devnull, os.O_RDWR)
    for name, number in (("stdout", 1), ("stderr", 2)):
        stream = getattr(sys, name) or os.fdopen(number, "w", encoding="utf-8", errors="replace")
        setattr(sys, name, ForgivingStream(stream))
