"""How far confidence can be believed."""

from __future__ import annotations

from report.pictures import Plot
from report.sections.section import Section
from report.story import RunStory


def _plots(story: RunStory) -> dict[str, Plot]:
    plots = {
        "reliability": Plot("truth.draw_reliability", story.test),
        "confidence": Plot("truth.draw_confidence", story.test),
    }
    if story.rule is not None:
        plots["temperature"] = Plot("training.draw_temperature", story.rule.temperature)
    return plots


SURE = Section("sure", "How sure it is", ("test",), plots=_plots)
