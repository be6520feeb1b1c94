"""Every section of the registry: it renders, it may be missing, it escapes, its summary can be written."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest

from report.page import TEMPLATES, render_report, render_section
from report.pictures import Plot
from report.sections.data import tell_data
from report.sections.registry import SECTIONS
from report.sections.section import Section
from report.sections.values import to_plain
from report.story import RunStory
from report.summary import summarise
from tests.example_data import make_config, make_manifest
from tests.example_story import make_story, with_test
from tests.report.outline import Outline, check_tiles

HOSTILE = "<script>alert(1)</script>"
STORY = make_story()
HOSTILE_STORY = make_story(manifest=make_manifest(known=(HOSTILE, "b&b", "c"), unknown=("<b>u</b>",)))
FAILED = RunStory("reef-1", make_config(), failure="<img src=http://example.org/x>", failed_step="ingest")

pytestmark = pytest.mark.usefixtures("no_plots")
each_section = pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.id)


@each_section
def test_a_section_renders_a_whole_run(section: Section) -> None:
    assert section.applies_to(STORY)
    html = render_section(section, STORY).html
    outline = Outline(html)
    assert outline.open == []
    assert outline.missing_alt == 0
    assert outline.words.strip()


def test_it_is_said_that_there_are_more_mistakes_than_are_shown() -> None:
    assert STORY.test is not None
    confusion = np.full((len(STORY.test.class_names),) * 2, 9).tolist()
    many = with_test(STORY, confusion=tuple(map(tuple, confusion)), mistakes=STORY.test.mistakes[:1] * 12)
    errs = next(section for section in SECTIONS if section.id == "errs")
    assert "Its worst mistakes, 12 of " in render_section(errs, many).html


@each_section
def test_a_section_shows_names_as_text(section: Section) -> None:
    html = render_section(section, HOSTILE_STORY).html
    assert HOSTILE not in html
    assert "<b>u</b>" not in html


@each_section
@pytest.mark.parametrize("story", [STORY, FAILED], ids=["whole", "failed"])
def test_the_summary_of_a_section_has_the_same_keys_for_every_run(section: Section, story: RunStory) -> None:
    summary = dict(section.summary(story))
    assert json.loads(json.dumps(to_plain(summary), allow_nan=False)).keys() == section.summary(STORY).keys()


@each_section
def test_a_section_names_drawings_and_a_template_that_are_there(section: Section) -> None:
    assert set(section.needs) <= {field.name for field in fields(RunStory)}
    assert (TEMPLATES / "sections" / f"{section.id}.html.j2").is_file()
    assert all(isinstance(plot, Plot) for plot in section.plots(STORY).values())


def test_a_run_that_failed_early_has_only_the_sections_that_need_nothing() -> None:
    page = render_report(FAILED)
    assert Outline(page).ids == [section.id for section in SECTIONS if not section.needs]
    assert "<img src=http" not in page


@pytest.mark.parametrize(
    "missing",
    [
        *("manifest", "splits", "data_report", "comparison", "gains", "precision_report", "rule", "test"),
        *("promotion", "registration", "images", "far_images", "orchestration_seconds"),
    ],
)
def test_each_record_may_be_missing(missing: str) -> None:
    absent: dict[str, Any] = {missing: None}
    outline = Outline(render_report(replace(STORY, **absent)))
    assert outline.open == []
    assert {link.removeprefix("#") for link in outline.links} <= {*outline.ids, "exploration.html"}


def test_that_test_is_another_than_before_is_told_first_in_page_and_terminal() -> None:
    change = "Test is not that of the model in production: 3 pictures left it."
    assert STORY.data_report is not None
    story = replace(STORY, data_report=STORY.data_report.model_copy(update={"test_change": change}))
    assert change in render_report(story)
    assert tell_data(story)[0] == change
    assert change not in tell_data(STORY)


def test_the_numbers_on_the_first_screen_are_those_of_the_summary() -> None:
    check_tiles(render_report(STORY), summarise(STORY, {}, 0.0))
