"""The page of a training, one offline HTML file: what the model can do, why it was chosen, what to do next.

Everything is inside the file: pictures as data URIs, styles inline, no script; a checkbox beside a picture
enlarges it. A run that ended early is told
as far as it came: a section whose records are missing is left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from report.formatting import (
    format_bytes,
    format_count,
    format_interval,
    format_number,
    format_range,
    format_seconds,
    format_share,
    plain_name,
)
from report.headline import list_stages, write_headline
from report.numbers import list_numbers
from report.photographs.featured import show_featured
from report.pictures import PictureCache, Plot
from report.sections.registry import SECTIONS
from report.sections.section import Section
from report.story import RunStory
from vision.base.files import write_atomically
from vision.base.wording import count_of, format_hundred, noun_for, shorten
from vision.data.account import MUCH, count_losses

TEMPLATES = Path(__file__).parent / "templates"
NOT_KEPT = PictureCache()


@dataclass(frozen=True)
class RenderedSection:
    """A section as the page shows it."""

    id: str
    title: str
    html: Markup
    folded: bool


def write_report(story: RunStory, path: Path, pictures: PictureCache = NOT_KEPT) -> None:
    """Write the story of a run as one HTML file, whole or not at all.

    Raises:
        StorageError: the file or a picture of `pictures` cannot be written.
    """
    write_atomically(path, render_report(story, pictures).encode("utf-8"))


def render_report(story: RunStory, pictures: PictureCache = NOT_KEPT) -> str:
    """The story of a run as one HTML page."""
    return render_page(
        "report.html.j2",
        story=story,
        headline=write_headline(story),
        numbers=list_numbers(story),
        featured=show_featured(story),
        plots={"confusion": pictures.embed(Plot("truth.draw_confusion", story.test))} if story.test else {},
        stages=list_stages(story),
        losses=[loss for loss in count_losses(story.manifest, story.splits) if loss.share > MUCH]
        if story.manifest
        else [],
        sections=[render_section(each, story, pictures) for each in SECTIONS if each.applies_to(story)],
    )


def render_section(section: Section, story: RunStory, pictures: PictureCache = NOT_KEPT) -> RenderedSection:
    """One section; the story must hold what it needs."""
    plots = {name: pictures.embed(plot) for name, plot in section.plots(story).items()}
    html = render_page(f"sections/{section.id}.html.j2", story=story, plots=plots, **section.context(story))
    # the template has escaped every value already
    return RenderedSection(section.id, section.title, Markup(html), section.folded)


def render_page(template: str, **values: object) -> str:
    """A template of this folder as HTML; whatever is not marked safe is escaped."""
    return _environment().get_template(template).render(**values)


@cache
def _environment() -> jinja2.Environment:
    return make_environment(TEMPLATES, autoescape=True)


def make_environment(folder: Path, *, autoescape: bool, **options: Any) -> jinja2.Environment:
    """Templates of a folder with the filters of the report; a name without a value is an error."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder),
        autoescape=autoescape,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        **options,
    )
    environment.filters |= {
        "plain": plain_name,
        "cut": shorten,
        "hundred": format_hundred,
        "share": format_share,
        "range": format_range,
        "interval": format_interval,
        "size": format_bytes,
        "number": format_number,
        "seconds": format_seconds,
        "count": format_count,
        "count_of": count_of,
        "noun": noun_for,
    }
    return environment
