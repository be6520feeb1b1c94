"""Which graph is served, and how it compares with the trained network."""

from __future__ import annotations

from typing import Any

from report.sections.section import Section
from report.story import RunStory
from vision.bundle.records import PrecisionReport


def _summary(story: RunStory) -> dict[str, Any]:
    return {"precisions": _precisions(story.precision_report) if story.precision_report else None}


def _precisions(report: PrecisionReport) -> dict[str, Any]:
    return {
        "served": report.served.value,
        "automatic": report.automatic,
        "choice": report.describe_choice(),
        "num_images": report.num_images,
        "rows": [row.model_dump(mode="json") for row in report.rows],
    }


EXPORT = Section("export", "What is served", "Export", ("precision_report",), summary=_summary)
