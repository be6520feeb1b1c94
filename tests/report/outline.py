"""What a test looks for in a page."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

VOID = {"meta", "img", "br", "link", "input"}


class Outline(HTMLParser):
    """Collects sources, links, ids and words, and checks that every tag is closed.

    `in_sight` are the words that are read before anything is unfolded.
    """

    def __init__(self, page: str) -> None:
        super().__init__()
        self.sources: list[str] = []
        self.links: list[str] = []
        self.ids: list[str] = []
        self.missing_alt = 0
        self.open: list[str] = []
        self.words = self.in_sight = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag not in VOID:
            self.open.append(tag)
        if tag == "img":
            self.sources.append(values.get("src") or "")
            self.missing_alt += not values.get("alt")
        if values.get("href"):
            self.links.append(values["href"] or "")
        if values.get("id"):
            self.ids.append(values["id"] or "")

    def handle_endtag(self, tag: str) -> None:
        if tag not in ("p", "li"):
            while self.open and self.open[-1] in ("p", "li") and self.open[-1] != tag:
                self.open.pop()
            assert self.open, f"</{tag}> closes nothing"
            assert self.open.pop() == tag, f"</{tag}> closes another tag"
        elif tag in self.open:
            while self.open.pop() != tag:
                pass

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.words += " " + data
            if self.open.count("details") == ("summary" in self.open):
                self.in_sight += " " + data


def check_tiles(page: str, summary: dict[str, Any]) -> None:
    """The four numbers on the first screen of a report are those of summary.json."""
    test = summary["test"]
    accepted = {kind: each["accepted"]["value"] for kind, each in test["decisions"].items()}
    wanted = {
        "new pictures named right": test["expected"]["accuracy"]["value"],
        "decided alone": accepted["known"],
        "look-alikes wrongly named": accepted["near"],
        "strangers wrongly named": accepted["far"],
    }
    tiles = re.findall(r"<b>(?:under |over )?([\d.]+)<i> of (\d+)</i></b><span>([^<]+)</span>", page)
    assert [name for *_, name in tiles] == list(wanted)
    for value, number, name in tiles:  # of 100, or of the pictures where these are few
        assert abs(float(value) - float(number) * wanted[name]) <= 0.5, name
