"""The figures of a run's page as files."""

from __future__ import annotations

from pathlib import Path

from report.pictures import PictureCache, Plot
from report.sections.registry import SECTIONS
from report.story import RunStory
from vision.base.files import write_atomically


def write_charts(story: RunStory, folder: Path, pictures: PictureCache) -> None:
    """Write every figure of the page into `folder` as PNG; StorageError if a file cannot be written."""
    for name, plot in list_plots(story).items():
        write_atomically(folder / f"{name}.png", pictures.draw(plot))


def list_plots(story: RunStory) -> dict[str, Plot]:
    """Name -> figure, of all sections that the story holds enough for."""
    plots = {"confusion": Plot("truth.draw_confusion", story.test)} if story.test else {}
    for section in SECTIONS:
        if section.applies_to(story):
            plots |= section.plots(story)
    return plots
