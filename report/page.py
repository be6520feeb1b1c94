"""One offline HTML page tells a run as a story: what the model can do, why it was chosen, what to do next.

Everything is inside the file: pictures as data URIs, styles inline, no script. A run that ended early is told
as far as it came.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2

from report.advice import derive_advice, near_rows
from report.figures.choice import draw_candidates, draw_differences
from report.figures.data import draw_class_counts, draw_quality
from report.figures.tables import format_bytes, format_interval, format_share
from report.figures.training import draw_temperature, draw_training_curves
from report.figures.truth import (
    draw_class_scores,
    draw_confidence,
    draw_confusion,
    draw_rates,
    draw_reliability,
    draw_rule,
)
from report.figures.unknowns import UNDETECTABLE, draw_unknown_classes, draw_unknown_roc
from report.headline import format_range, list_figures, list_promises, list_stages, write_headline
from report.promises import state_thresholds
from report.story import RunStory
from report.thumbnails import embed_answer, embed_heat_map, embed_image, embed_png, sample_rows
from vision.base.files import write_atomically
from vision.base.wording import count_of, noun_for
from vision.data.records import POOLED, Split
from vision.decision.records import Decision
from vision.evaluation.records import Answer, Evaluation

TEMPLATES = Path(__file__).parent / "templates"
SAMPLES_PER_CLASS = 6
MOST_CLASSES = 60
MOST_MISTAKES = 12
MOST_EXAMPLES = 12
MOST_QUARANTINED = 12
FEWEST_BARS = 2

ANSWERS = {
    Decision.ACCEPT: "accepted",
    Decision.REVIEW: "sent to a person",
    Decision.UNKNOWN: "called unknown",
}
KINDS = {
    "known": "Images of classes it knows",
    "near": "Images of classes it was never taught",
    "far": "Pictures of nothing of the kind",
}


@dataclass(frozen=True)
class Picture:
    """A thumbnail with its words; `source` is a data URI, None where the image is not at hand."""

    source: str | None
    title: str
    detail: str
    tone: str
    heat_map: str | None = None


@dataclass(frozen=True)
class Gallery:
    """Pictures that were answered alike."""

    title: str
    tone: str
    pictures: tuple[Picture, ...]


def write_report(story: RunStory, path: Path) -> None:
    """Write the story of a run as one HTML file, whole or not at all.

    Raises:
        StorageError: the file cannot be written.
    """
    write_atomically(path, render_report(story).encode("utf-8"))


def render_report(story: RunStory) -> str:
    """The story of a run as one HTML page."""
    return render_page("report.html.j2", **_gather(story))


def render_page(template: str, **values: object) -> str:
    """A template of this folder as one HTML page; whatever is not marked safe is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "plain": lambda name: str(name).replace("_", " "),
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
    return environment.get_template(template).render(**values)


def format_number(value: float, digits: int = 3) -> str:
    """A figure with some decimals; n/a for NaN."""
    return "n/a" if math.isnan(value) else f"{value:.{digits}f}"


def format_seconds(value: float) -> str:
    """`4.2 s` or `3 min 05 s`."""
    if value < 60:
        return f"{value:.1f} s"
    return f"{int(value // 60)} min {int(value % 60):02d} s"


def format_count(value: int) -> str:
    """`1.23 M`, `457 k` or the figure itself."""
    if value >= 1_000_000:
        return f"{value / 1e6:.2f} M"
    return f"{value / 1e3:.0f} k" if value >= 1000 else str(value)


def _gather(story: RunStory) -> dict[str, Any]:
    """Everything that the template shows."""
    return {
        "story": story,
        "headline": write_headline(story),
        "figures": list_figures(story),
        "promises": list_promises(story),
        "thresholds": state_thresholds(story.rule) if story.rule else "",
        "stages": list_stages(story),
        "advice": derive_advice(story),
        "samples": _show_samples(story),
        "split_rows": _count_splits(story),
        "mistakes": _show_mistakes(story),
        "galleries": _show_answers(story),
        "near": near_rows(story.test) if story.test else [],
        "unknown_rows": _unknown_table(story.test) if story.test else [],
        "score_rows": _score_table(story.test) if story.test else [],
        "undetectable": UNDETECTABLE,
        "class_rows": _class_table(story.test) if story.test else [],
        "seconds_rows": _list_seconds(story),
        "most_quarantined": MOST_QUARANTINED,
        "config_text": story.config.model_dump_json(indent=2),
        "plots": _draw_plots(story),
    }


def _draw_plots(story: RunStory) -> dict[str, str]:
    """Name -> data URI of every picture that the run came far enough for."""
    plots: dict[str, str] = {}

    def add(name: str, draw: Callable[[Any], bytes], record: Any) -> None:
        if record:
            plots[name] = embed_png(draw(record))

    report, comparison, test = story.data_report, story.comparison, story.test
    add("class_counts", draw_class_counts, report)
    add("quality", draw_quality, report if report and report.quality else None)
    add("training", draw_training_curves, story.histories)
    add("rule", draw_rule, story.rule)
    add("temperature", draw_temperature, story.rule.temperature if story.rule else None)
    if comparison is not None and len(comparison.candidates) >= FEWEST_BARS:
        add("candidates", draw_candidates, comparison)
        add("differences", draw_differences, comparison.differences)
    for name, draw in (
        ("rates", draw_rates),
        ("classes", draw_class_scores),
        ("confusion", draw_confusion),
        ("reliability", draw_reliability),
        ("confidence", draw_confidence),
    ):
        add(name, draw, test)
    if test is not None and test.unknown:
        add("unknown_classes", draw_unknown_classes, test)
        add("unknown_roc", draw_unknown_roc, test)
    add("gate_differences", draw_differences, story.promotion.differences if story.promotion else None)
    return plots


def _show_samples(story: RunStory) -> list[tuple[str, bool, list[str]]]:
    """For each class: its name, whether it is held out, some of its images."""
    if story.manifest is None or story.images is None:
        return []
    held_out = set(story.manifest.unknown_class_names)
    names = [*story.manifest.class_names, *story.manifest.unknown_class_names][:MOST_CLASSES]
    return [
        (
            name,
            name in held_out,
            [embed_image(story.images[row]) for row in sample_rows(story, name, SAMPLES_PER_CLASS)],
        )
        for name in names
    ]


def _count_splits(story: RunStory) -> list[tuple[str, int, int, int]]:
    """For each split: images, groups, held-out images."""
    if story.splits is None:
        return []
    groups = story.splits.group_array()
    rows = []
    for split in Split:
        known, unknown = story.splits.rows(split), story.splits.rows(split, unknown=True)
        rows.append((split.value, len(known), len(set(groups[known])), len(unknown)))
    return rows


def _show_mistakes(story: RunStory) -> list[Picture]:
    mistakes = story.test.mistakes[:MOST_MISTAKES] if story.test else ()
    return [
        Picture(
            embed_answer(story, answer),
            f"{_plain(answer.true_class)}, taken for {_plain(answer.class_name)}",
            f"{_sureness(answer.confidence)} sure, {ANSWERS[answer.decision]}",
            answer.decision.value,
            embed_heat_map(story, answer),
        )
        for answer in mistakes
    ]


def _show_answers(story: RunStory) -> list[tuple[str, list[Gallery]]]:
    """For each kind of image a gallery of every answer that it was given."""
    if story.test is None:
        return []
    shown = []
    for kind, title in KINDS.items():
        galleries = []
        for decision, words in ANSWERS.items():
            answers = [each for each in story.test.examples if (each.kind, each.decision) == (kind, decision)]
            pictures = tuple(_show_answer(story, each) for each in answers[:MOST_EXAMPLES])
            if pictures:
                galleries.append(Gallery(words, decision.value, pictures))
        if galleries:
            shown.append((title, galleries))
    return shown


def _show_answer(story: RunStory, answer: Answer) -> Picture:
    if answer.decision is Decision.UNKNOWN:
        detail = "unknown"
    else:
        detail = f"{_plain(answer.class_name)}, {_sureness(answer.confidence)}"
    right = answer.kind == "known" and answer.class_name == answer.true_class
    good = right if answer.decision is not Decision.UNKNOWN else answer.kind != "known"
    return Picture(
        embed_answer(story, answer), _plain(answer.true_class), f"→ {detail}", "right" if good else "wrong"
    )


def _class_table(test: Evaluation) -> list[Any]:
    """Rows of the known classes, the weakest first."""
    return sorted(test.classes, key=lambda row: (math.isnan(row.f1.value), row.f1.value))


def _unknown_table(test: Evaluation) -> list[Any]:
    """Rows of the deciding score: held-out classes, the hardest first, then far kinds."""
    far = [row for row in test.deciding_rows() if row.kind == "far" and row.class_name != POOLED]
    return [*near_rows(test), *far]


def _score_table(test: Evaluation) -> list[tuple[str, dict[str, Any]]]:
    """Every score that was computed, with its pooled rows by kind."""
    names = list(dict.fromkeys(row.score_name for row in test.unknown))
    pooled = [row for row in test.unknown if row.class_name == POOLED]
    return [(name, {row.kind: row for row in pooled if row.score_name == name}) for name in names]


def _list_seconds(story: RunStory) -> list[tuple[str, float, float, bool]]:
    """For each step: seconds, share of the longest, whether its result was reused."""
    longest = max(story.step_seconds.values(), default=0.0) or 1.0
    rows: Sequence[tuple[str, float]] = list(story.step_seconds.items())
    return [(name, seconds, 100 * seconds / longest, name in story.cached_steps) for name, seconds in rows]


def _plain(name: str) -> str:
    return name.replace("_", " ")


def _sureness(confidence: float) -> str:
    """A confidence as a share; close to 1, where thresholds often lie, with more digits."""
    if confidence < 0.995:
        return f"{confidence:.0%}"
    return f"{confidence:.2%}" if confidence < 0.9999 else "over 99.99%"
