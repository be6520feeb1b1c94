"""What a section of the training page declares.

Its template is `report/templates/sections/<id>.html.j2`. It is rendered with the story, with the values of
`context`, and with `plots`: name -> data URI of each plot of `plots`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from report.pictures import Plot
from report.story import RunStory


def _nothing(_story: RunStory) -> dict[str, Any]:
    return {}


@dataclass(frozen=True)
class Section:
    """One section.

    Attributes:
        id: anchor of the section and name of its template.
        needs: fields of the story without which the section is left out.
        plots: name -> plot.
        summary: the section's part of summary.json, also for a story in which something is missing.
        folded: whether a reader opens it himself; in print it is always open.
    """

    id: str
    title: str
    needs: tuple[str, ...] = ()
    context: Callable[[RunStory], Mapping[str, Any]] = _nothing
    plots: Callable[[RunStory], Mapping[str, Plot]] = _nothing
    summary: Callable[[RunStory], Mapping[str, Any]] = _nothing
    folded: bool = True

    def applies_to(self, story: RunStory) -> bool:
        """Whether the story holds everything that the section needs."""
        return all(getattr(story, name) for name in self.needs)
