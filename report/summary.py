"""summary.json: every figure of a run, for programs. Undefined figures are null, never 0."""

from __future__ import annotations

from typing import Any

from report.sections.registry import SECTIONS
from report.sections.values import to_plain
from report.story import MACHINE, RunStory


def summarise(story: RunStory, circumstances: dict[str, Any], report_seconds: float) -> dict[str, Any]:
    """The summary of a run as JSON values: that of every section, and what is about the run itself."""
    summary: dict[str, Any] = {
        "run": story.run_name,
        "model": story.config.name,
        "failure": story.failure,
        "failed_step": story.failed_step,
    }
    for section in SECTIONS:
        summary |= section.summary(story)
    summary |= {
        "versions": story.versions,
        "machine": {key: circumstances.get(key) for key in MACHINE},
        "peak_memory_mb": circumstances.get("peak_memory_mb"),
        "seconds": {
            "total": circumstances.get("seconds"),
            "orchestration": story.orchestration_seconds,
            "report": report_seconds,
            "steps": story.step_seconds,
        },
        "cached_steps": list(story.cached_steps),
    }
    return to_plain(summary)
