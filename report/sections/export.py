"""Which graph is served, and how it compares with the trained network."""

from __future__ import annotations

from typing import Any

from report.sections.section import Section
from report.story import RunStory


def _summary(story: RunStory) -> dict[str, Any]:
    report = story.precision_report
    if report is None:
        return {"precisions": None}
    precisions = {
        "served": report.served.value,
        "automatic": report.automatic,
        "choice": report.describe_choice(),
        "num_images": report.num_images,
        "rows": [row.model_dump(mode="json") for row in report.rows],
    }
    return {"precisions": precisions}


EXPORT = Section("export", "What is served", ("precision_report",), summary=_summary)
