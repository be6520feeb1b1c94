"""Pictures of records as data URIs: the same record drawn by the same code is read from a file.

A drawing is imported only where its picture is missing, so that a run in which nothing changed never loads
matplotlib.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

from report.thumbnails import embed_png
from vision.base.closure import ROOT, import_closure
from vision.base.files import write_atomically

FIGURES = "report.figures"


@dataclass(frozen=True)
class Plot:
    """A picture that a page wants.

    Attributes:
        drawing: `module.function` of `report.figures`, from records to PNG bytes.
        record: what is drawn, a record or a tuple of records.
    """

    drawing: str
    record: Any


@dataclass(frozen=True)
class PictureCache:
    """Files of `folder`, named by a digest of what they were made of; without a folder nothing is kept."""

    folder: Path | None = None

    def embed(self, plot: Plot) -> str:
        """The data URI of a plot, drawn where it is not at hand.

        Raises:
            StorageError: the drawn picture cannot be stored.
        """
        key = make_key(plot.drawing, _figures_digest(), repr(plot.record))
        return embed_png(self.get(f"{key}.png", lambda: _draw(plot)))

    def get(self, name: str, make: Callable[[], bytes]) -> bytes:
        """The content of the file `name`, made and stored where it is missing.

        Raises:
            StorageError: the content cannot be stored.
        """
        if self.folder is None:
            return make()
        path = self.folder / name
        if path.is_file():
            return path.read_bytes()
        content = make()
        write_atomically(path, content)
        return content


def make_key(*parts: str) -> str:
    """A digest of what a picture is made of, as a file name."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def code_digest(modules: Iterable[str]) -> str:
    """A digest of every file of the project that these modules reach."""
    files = import_closure(tuple(modules))
    return hashlib.sha256(b"\0".join((ROOT / file).read_bytes() for file in files)).hexdigest()


@cache
def _figures_digest() -> str:
    return make_key(code_digest((FIGURES,)), version("matplotlib"), version("pillow"))


def _draw(plot: Plot) -> bytes:
    module, function = plot.drawing.split(".")
    drawn: bytes = getattr(import_module(f"{FIGURES}.{module}"), function)(plot.record)
    return drawn
