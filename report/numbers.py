"""The four numbers of the first screen, a row of tiles: the best of them beside the worst."""

from __future__ import annotations

import math
from dataclasses import dataclass

from report.formatting import format_hundred_bounds, list_names, split_hundred
from report.headline import count_right, decided_shares, format_wrong, tell_other
from report.promises import lacks_groups
from report.story import RunStory
from report.unknown_rows import far_rows, near_rows
from vision.base.wording import count_of
from vision.decision.records import DecisionRule
from vision.evaluation.records import DecisionRates, Evaluation

MOST_NAMED = 3
"""Classes that are named on a tile; more are counted."""

NOTABLE = 0.05
"""Share of look-alikes or strangers under a wrong name from which on its tile is marked."""


@dataclass(frozen=True)
class Number:
    """One tile.

    Attributes:
        value: how many of 100.
        unit: after the value; empty of what was not tried.
        marked: whether it is a figure to be warned of.
    """

    value: str
    name: str
    detail: str
    unit: str = " of 100"
    marked: bool = False


def list_numbers(story: RunStory) -> tuple[Number, ...]:
    """Named right, decided alone, look-alikes and strangers wrongly named; and what was not tried."""
    if story.test is None:
        return ()
    test, rates = story.test, {each.kind: each for each in story.test.rates}
    numbers = [_count_right(story, test)]
    if "known" in rates:
        numbers.append(_count_decided(rates["known"], story.rule))
    if "near" in rates:
        classes = [row.class_name for row in near_rows(test)]
        told = list_names(classes) if len(classes) <= MOST_NAMED else count_of(len(classes), "class")
        numbers.append(_count_named(rates["near"], "look-alikes wrongly named", told))
    else:
        numbers.append(Number("?", "look-alikes: not tried", "no class was held out", unit=""))
    if "far" in rates:
        kinds = list_names([row.class_name for row in far_rows(test)])
        numbers.append(_count_named(rates["far"], "strangers wrongly named", kinds))
    return tuple(numbers)


def _count_right(story: RunStory, test: Evaluation) -> Number:
    expected, other = test.expected, tell_other(story, test)
    bounds = format_hundred_bounds(expected.accuracy)
    groups = f" of {count_of(expected.num_groups, 'group')}"
    groups = ", no groups declared" if lacks_groups(story) else groups
    which = "test picture" if test.is_lucky is None else "held-out picture"
    measured = f"on {count_of(expected.num_images, which)}{groups}"
    told = f"{bounds} is likely; {measured}" if bounds else measured
    value, unit = count_right(expected)
    detail = f"{told}. {other}" if other else told
    return Number(value, "new pictures named right", detail, unit, marked=bool(test.is_lucky))


def _count_decided(known: DecisionRates, rule: DecisionRule | None) -> Number:
    wrong = known.wrong_among_accepted
    promised = rule.review.target_risk if rule is not None and rule.review.attainable else 1.0
    parts = [] if math.isnan(wrong) else [f"{format_wrong(wrong, promised)} of 100 of these wrong"]
    if parts and promised < 1:
        parts[0] += f", at most {100 * promised:g} promised"
    alone, person, unknown = split_hundred(*decided_shares(known))
    parts.append(f"{person} to a person, {unknown} called unknown")
    return Number(alone, "decided alone", "; ".join(parts))


def _count_named(rates: DecisionRates, name: str, which: str) -> Number:
    named, person, unknown = split_hundred(*decided_shares(rates))
    shown = f"of {count_of(rates.num_images, 'picture')}{f' ({which})' if which else ''}"
    return Number(
        named,
        name,
        f"{unknown} called unknown, {person} to a person; {shown}",
        marked=rates.accepted.value >= NOTABLE,
    )
