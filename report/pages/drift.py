"""One offline HTML page tells a verdict on drift: what was found, what to do, and the evidence."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from report.advice import Advice
from report.figures.drift import draw_drift, title_drift
from report.page import render_page
from report.photographs.thumbnails import embed_png
from vision.base.files import write_atomically
from vision.base.wording import count_of
from vision.config.run import RunConfig
from vision.drift.records import DriftCause, DriftPage, DriftReport, DriftStatus, LoggedSpan, LogTrimming
from vision.drift.words import may_be_mix_alone, mix_explains_embedding, tell_since

QUESTIONS = {
    "quality": "Do the pictures look otherwise? (light, contrast, sharpness, colour)",
    "embedding": "Does the network see other images?",
    "unknown_rate": "Are more images called unknown?",
    "label_mix": "Do the classes come in other shares?",
    "embedding_at_shares": "Does the network see other images, each class weighed as it is frequent now?",
    "known_embedding": "Does the network see other images among those that look known?",
}

IN_WORDS = {
    "quality": (
        "The pictures look as they did: light, contrast, sharpness, colour.",
        "The pictures look otherwise: light, contrast, sharpness or colour.",
    ),
    "embedding": ("The network sees the same kind of pictures.", "The network sees other pictures."),
    "unknown_rate": ("No more pictures are called unknown.", "More pictures are called unknown."),
    "label_mix": ("The classes come in the same shares.", "The classes come in other shares."),
    "embedding_at_shares": (
        "That is explained by the shares of the classes.",
        "Other shares of the classes do not explain that.",
    ),
    "known_embedding": (
        "Those that look known look as they did.",
        "Those that look known look otherwise too.",
    ),
}
"""Question -> what it means in a sentence, answered with no and with yes."""


@dataclass(frozen=True)
class MonitoringStory:
    """What happened in one monitoring run; what it did not reach is None."""

    run_name: str
    config: RunConfig
    failure: str | None = None
    failed_step: str | None = None
    span: LoggedSpan | None = None
    report: DriftReport | None = None
    evidently: Path | None = None
    trimming: LogTrimming | None = None
    step_seconds: dict[str, float] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)


def write_drift_page(story: MonitoringStory, path: Path) -> None:
    """Write the story of a monitoring run as one HTML file, whole or not at all.

    Raises:
        StorageError: the file cannot be written.
    """
    write_atomically(path, render_drift_page(story))


def render_drift_page(story: MonitoringStory) -> str:
    """The story of a monitoring run as one HTML page."""
    return render_page("drift.html.j2", **_gather(story))


def advise(report: DriftReport) -> tuple[Advice, ...]:
    """What each verdict asks of the people who run the service."""
    listed = [_BY_CAUSE[report.cause]] if report.cause is not None else []
    if may_be_mix_alone(report):
        listed = [_MIX_OR_COVARIATE]
    if mix_explains_embedding(report):
        listed = [_MIX_EXPLAINS]
    if report.status is DriftStatus.QUIET:
        listed.append(Advice("Nothing has to be done.", "The next run judges the next answers."))
    if report.status is DriftStatus.INSUFFICIENT:
        listed.append(_advise_waiting(report))
    if report.status is DriftStatus.DRIFT:
        listed.append(_CONFIRM if report.verified else _UNCONFIRMED)
    elif report.num_ungrouped:
        listed.append(_SEND_GROUPS)
    return tuple(listed)


def choose_tone(story: MonitoringStory) -> str:
    """Colour of the verdict: that of a promoted, kept, refused or failed run."""
    if story.failure is not None or story.report is None:
        return "failed"
    tones = {DriftStatus.QUIET: "promoted", DriftStatus.DRIFT: "refused", DriftStatus.INSUFFICIENT: "kept"}
    return tones[story.report.status]


_BY_CAUSE = {
    DriftCause.CAPTURE: Advice(
        "The pictures are taken otherwise (acquisition shift, of image quality).",
        "Look at the camera, the lens, the light and the water, and at the measures below that moved. If "
        "something is wrong there, mend it: the model needs nothing. If pictures will look like this from "
        "now on, label some of them, name their folder in retraining.new_images and run the retraining "
        "pipeline. Until then answers may be wrong more often than their confidence says.",
    ),
    DriftCause.NOVELTY: Advice(
        "More images are unlike every class that the model knows (novelty).",
        "Look at images that were answered unknown. If they show a class that it should know, label them as "
        "that class, name their folder in retraining.new_images and run the retraining pipeline; if not, the "
        "answer unknown is right.",
    ),
    DriftCause.COVARIATE: Advice(
        "The images show the known classes otherwise than before, though they are taken alike (covariate "
        "shift).",
        "Look at images of the newest answers beside old ones: another place, season, age or pose? Label "
        "some of them, name their folder in retraining.new_images and run the retraining pipeline.",
    ),
    DriftCause.LABEL_MIX: Advice(
        "The classes come in other shares than before (label shift, or prior shift).",
        "Ask whether the season or the place explains it: then nothing has to be done. If the new shares are "
        "to stay, label a plain sample of the newest images, name its folder in retraining.new_images and "
        "run the retraining pipeline.",
    ),
}

_MIX_OR_COVARIATE = Advice(
    "The images look otherwise to the network, though they are taken alike (covariate shift), and the "
    "classes come in other shares too, which alone can move what the network sees; which of the two it is "
    "could not be tested.",
    "Look first whether the mix explains it: is a class missing, or far more frequent, by season or place? "
    "If so, and images of one class look as they did, nothing has to be done unless the new shares are to "
    "stay. If they are, or images of one class look otherwise than old ones of that class, label a plain "
    "sample of the newest images, name its folder in retraining.new_images and run the retraining pipeline.",
)

_MIX_EXPLAINS = Advice(
    "The classes come in other shares than before (label shift, or prior shift), which explains, as far as "
    "that can be tested, why the network sees other images.",
    "Look at some images of each frequent class beside old ones of that class: a small change may hide "
    "behind that of the shares. If they look as they did, ask whether the season or the place explains the "
    "shares: then nothing has to be done. If the new shares are to stay, or the images look otherwise, label "
    "a plain sample of the newest images, name its folder in retraining.new_images and run the retraining "
    "pipeline.",
)

_CONFIRM = Advice(
    "One window is a warning.",
    "Drift starts a retraining by itself only when the next window, which shares no answer with this one, "
    "finds the same cause, and there are new labelled images to learn from. Enough new labelled images, or "
    "the champion's age, start one without any drift.",
)

_UNCONFIRMED = Advice(
    "The verdict is unverified: some images name no group, or groups seem to be single frames.",
    "It starts no retraining by itself. Send the field group (individual, visit, camera) with every image.",
)

_SEND_GROUPS = Advice(
    "Some images name no group.",
    "Send the field group (individual, visit, camera) with every image: several frames of one individual are "
    "no several proofs, and a verdict on guessed groups never starts a retraining.",
)


def _advise_waiting(report: DriftReport) -> Advice:
    missing = []
    if report.missing_images:
        missing.append(count_of(report.missing_images, "more image"))
    if report.missing_groups:
        missing.append(count_of(report.missing_groups, "more group"))
    if not missing:
        return Advice(
            "Waiting does not help.", "The reference itself has too few groups; the reasons above say more."
        )
    return Advice(
        f"At least {' and '.join(missing)} are needed.",
        "The answers so far count in the next run, as far as they are still among the newest of "
        "monitoring.window.",
    )


def _tell_left_out(span: LoggedSpan | None) -> str:
    """The first line of the page: what no verdict is given on; empty where that is nothing."""
    if span is None or not span.num_skipped:
        return ""
    since = count_of(span.num_answers + span.num_skipped, "answer")
    return f"{span.num_skipped} of {since}{tell_since(span)} were not looked at."


def _gather(story: MonitoringStory) -> dict[str, Any]:
    """Everything that the template shows."""
    report = story.report
    return {
        "story": story,
        "report": report,
        "span": story.span,
        "tone": choose_tone(story),
        "title": title_drift(report) if report else "The run did not reach a verdict",
        "advice": advise(report) if report else (),
        "picture": embed_png(draw_drift(report)) if report and report.columns else None,
        "questions": QUESTIONS,
        "answers": [(IN_WORDS[test.name][test.fired], test.fired) for test in report.tests] if report else [],
        "left_out": _tell_left_out(story.span),
        "columns": sorted(report.columns, key=lambda each: -each.studentised) if report else [],
        "evidently": DriftPage.FILE_NAME if story.evidently else None,
    }
