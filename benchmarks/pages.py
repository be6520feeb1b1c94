"""A page of figures is generated between two markers; what people write around them outlasts every rerun.

A new page holds the markers and what is between them. A page that exists must have both already, so that
nothing written by hand is taken for generated; that is asked before anything is measured.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from vision.base.errors import ConfigError
from vision.base.files import storage_errors, write_atomically

BEGIN, END = "<!-- generated: begin -->", "<!-- generated: end -->"


def page_path(text: str) -> Path:
    """The page at a path, for `argparse` to read `--output` by; refused before hours are spent on it.

    Raises:
        argparse.ArgumentTypeError: a page is there in which the place of the generated part is not marked.
    """
    path = Path(text)
    try:
        _split(path)
    except ConfigError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return path


def write_page(path: Path, generated: str) -> None:
    """Put text between a page's markers and keep the rest as it is now; a page that is absent is made.

    Raises:
        ConfigError: the page has not each marker once, in order; it is left as it is.
        StorageError: it cannot be read or written.
    """
    before, after = _split(path)
    write_atomically(path, f"{before}{BEGIN}\n\n{generated.strip()}\n\n{END}{after}")


def _split(path: Path) -> tuple[str, str]:
    """What stands before and after the generated part."""
    if not path.exists():
        return "", "\n"
    with storage_errors(path, "read"):
        text = path.read_text(encoding="utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end) or text.count(BEGIN) + text.count(END) != 2:
        raise ConfigError(
            f"{path} has {text.count(BEGIN)} lines {BEGIN} and {text.count(END)} lines {END}; expected one "
            "of each, in this order, around what is generated. Put them in, or name another file."
        )
    return before, after
