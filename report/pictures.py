"""Pictures of records as data URIs: the same record drawn by the same code is read from a file.

A drawing is imported only where its picture is missing, so that a run in which nothing changed never loads
matplotlib.
"""

from __future__ import annotations

import hashlib
import io
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from report.photographs.thumbnails import embed_png
from vision.base.closure import ROOT, import_closure
from vision.base.files import write_atomically

logger = logging.getLogger(__name__)

Array = npt.NDArray[Any]
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
        """The data URI of a plot; see `draw`."""
        return embed_png(self.draw(plot))

    def draw(self, plot: Plot) -> bytes:
        """A plot as PNG, drawn where it is not at hand.

        Raises:
            StorageError: the drawn picture cannot be stored.
        """
        key = make_key(plot.drawing, _figures_digest(), repr(plot.record))
        return self.get(f"{key}.png", lambda: _draw(plot))

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

    def get_arrays(self, key: str, make: Callable[[], dict[str, Array]]) -> dict[str, Array]:
        """Arrays by name, made and stored where they are missing or where their file was damaged.

        Raises:
            StorageError: the arrays cannot be stored.
        """
        if self.folder is None:
            return make()
        path = self.folder / f"{key}.npz"
        if path.is_file():
            try:
                with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as stored:
                    return dict(stored)
            except (ValueError, OSError, EOFError, BadZipFile) as error:
                logger.warning("%s is damaged (%s) and is made again.", path, error)
        arrays = make()
        if arrays:  # none may be a lack that is mended later
            write_atomically(path, _write_arrays(arrays))
        return arrays


def make_key(*parts: str) -> str:
    """A digest of what a picture is made of, as a file name."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def code_digest(modules: Iterable[str]) -> str:
    """A digest of every file of the project that these modules reach."""
    files = import_closure(tuple(modules))
    return hashlib.sha256(b"\0".join((ROOT / file).read_bytes() for file in files)).hexdigest()


def _write_arrays(arrays: dict[str, Array]) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]  # its stub takes the names for options
    return buffer.getvalue()


@cache
def _figures_digest() -> str:
    return make_key(code_digest((FIGURES,)), version("matplotlib"), version("pillow"))


def _draw(plot: Plot) -> bytes:
    module, function = plot.drawing.split(".")
    drawn: bytes = getattr(import_module(f"{FIGURES}.{module}"), function)(plot.record)
    return drawn
