"""What to do next follows from the records by fixed rules, the most pressing first."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from report.advice import Advice, Severity
from report.formatting import LONGEST_LIST, format_interval, list_names
from report.promises import advise_groups, lacks_groups, list_shortfalls, promised_strangers
from report.story import RunStory
from report.unknown_rows import UNDETECTABLE, near_rows
from vision.base.names import isolate
from vision.base.wording import count_of, format_hundred, join_words
from vision.decision.records import ReviewThreshold
from vision.evaluation.records import FEW_GROUPS, Evaluation

WEAK_F1 = 0.9
GUESSING = 0.5
SURE = 0.9
LOW_COVERAGE = 0.6


def derive_advice(story: RunStory) -> tuple[Advice, ...]:
    """Everything that the run's records call for; empty when nothing stands out."""
    rules = (
        _mend_failure,
        _clear_gate,
        _keep_promises,
        _declare_groups,
        _help_weakest_class,
        _name_undetectable,
        _check_labels,
        _accept_more,
        _calibrate,
        _add_groups,
        _train_longer,
        _settle_choice,
        _bring_in_left_out,
        _mend_precisions,
        _mend_data,
    )
    return tuple(advice for rule in rules for advice in rule(story))


def _mend_failure(story: RunStory) -> Iterator[Advice]:
    if story.failure is not None:
        where = f" in step {story.failed_step}" if story.failed_step else ""
        yield Advice(
            f"The run ended early{where}.",
            "Mend what the message above names and start the same command again: finished steps are reused.",
            Severity.ERROR,
        )


def _clear_gate(story: RunStory) -> Iterator[Advice]:
    failed = [check for check in story.promotion.checks if not check.passed] if story.promotion else []
    if failed:
        yield Advice(
            f"The gate was not passed: {list_names([check.name for check in failed])}.",
            "The model that was in production, if any, stays. The points below are what would help most.",
            Severity.ERROR,
        )


def _keep_promises(story: RunStory) -> Iterator[Advice]:
    for each in list_shortfalls(story):
        yield Advice(f"{each.answer} {each.finding}", each.action, Severity.WARNING)
    yield from _broken_promises(story)


def _broken_promises(story: RunStory) -> Iterator[Advice]:
    known = [rates for rates in story.test.rates if rates.kind == "known"] if story.test else []
    if story.rule is None or not known:
        return
    alpha, target = story.rule.unknown.alpha + promised_strangers(story.rule), story.rule.review.target_risk
    if known[0].called_unknown.low > alpha:
        yield Advice(
            f"On test {known[0].called_unknown.value:.1%} of known images are called unknown, more than the "
            f"promised {100 * alpha:g}%.",
            "Calibration and test images seem to differ; check how groups were declared and split.",
        )
    wrong = known[0].wrong_among_accepted_interval
    if wrong is not None and wrong.low > target:
        yield Advice(
            f"On test {wrong.value:.1%} of what it decides alone is wrong, more than the promised "
            f"{100 * target:g}%.",
            "Calibration and test images seem to differ; look at the worst mistakes before trusting it.",
        )


def _declare_groups(story: RunStory) -> Iterator[Advice]:
    if lacks_groups(story):
        yield advise_groups(story)


def _help_weakest_class(story: RunStory) -> Iterator[Advice]:
    if story.test is None:
        return
    rows = [row for row in story.test.classes if math.isfinite(row.f1.value)]
    weakest = min(rows, key=lambda row: row.f1.value, default=None)
    if weakest is None or weakest.f1.value >= WEAK_F1:
        return
    confused = [
        f"{isolate(name)} ({count})" for name, count in _most_confused(story.test, weakest.class_name)
    ]
    with_whom = f"; it is most often confused with {join_words(confused)}" if confused else ""
    alike = ", above all of those that look like these" if confused else ""
    known = format_interval(weakest.f1)
    if not weakest.f1.low < weakest.f1.high:  # none, or of no width in older records
        known = (
            f"{weakest.f1.value:.3f} (of {count_of(weakest.num_groups, 'group')}: too few for an interval)"
        )
    yield Advice(
        f"The weakest class is {isolate(weakest.class_name)} with F1 {known}{with_whom}.",
        f"Add images of more individuals of it{alike}.",
    )


def _most_confused(evaluation: Evaluation, class_name: str) -> list[tuple[str, int]]:
    """The class that is most often taken for this one, or this one for it, and how often.

    A second one comes along where it has at least half as many.
    """
    index = evaluation.class_names.index(class_name)
    confusion = np.array(evaluation.confusion, dtype=np.int64)
    counts = confusion[index] + confusion[:, index]
    counts[index] = 0
    order = np.argsort(-counts, kind="stable")[:2]
    return [(evaluation.class_names[i], int(counts[i])) for i in order if 2 * counts[i] >= counts.max() > 0]


def _name_undetectable(story: RunStory) -> Iterator[Advice]:
    if story.test is None:
        return
    rows = near_rows(story.test)
    hard = [row for row in rows if row.auroc.value < UNDETECTABLE]
    if not rows:
        yield Advice(
            "No class was held out, so it is not known how the model answers look-alikes of its classes.",
            "Name one or more class folders in dataset.unknown_classes, best ones that resemble known ones.",
        )
    elif hard:
        told = list_names([f"{isolate(row.class_name)} (AUROC {row.auroc.value:.2f})" for row in hard])
        worse = list_names([row.class_name for row in hard if row.auroc.high < GUESSING])
        aside = f" {worse}: worse than guessing, it looks more known than the known." if worse else ""
        yield Advice(
            f"Practically undetectable as unknown: {told}.{aside}",
            "Do not count on the answer 'unknown' for these. If they occur where the model works, collect "
            "images of them and teach them as classes of their own.",
        )


def _check_labels(story: RunStory) -> Iterator[Advice]:
    if story.test is None or story.manifest is None:
        return
    sure = [answer for answer in story.test.mistakes if answer.confidence >= SURE and answer.kind == "known"]
    if sure:
        entries = story.manifest.entries
        paths = [entries[answer.row].path for answer in sure if answer.row < len(entries)]
        shown = ", ".join(paths[:LONGEST_LIST]) + (" …" if len(paths) > LONGEST_LIST else "")
        yield Advice(
            f"{count_of(len(sure), 'test image')} answered wrong with confidence of {SURE:.0%} or more: "
            f"{shown}.",
            "Check their labels first: where the label is wrong, the model was right.",
        )


def _accept_more(story: RunStory) -> Iterator[Advice]:
    known = [rates for rates in story.test.rates if rates.kind == "known"] if story.test else []
    if story.rule is not None and not story.rule.review.attainable:
        return  # nothing is accepted, whatever the network: told with the promises
    if story.rule is not None and known and known[0].accepted.value < LOW_COVERAGE:
        yield Advice(
            f"Only {format_hundred(known[0].accepted.value)}% of known images are decided alone.",
            f"Pictures of other individuals help most.{_loosen(story.rule.review)}",
        )


def _loosen(review: ReviewThreshold) -> str:
    """The next promise of the ladder that decides more alone, as a setting; empty where there is none."""
    more = [
        rung
        for rung in review.ladder
        if rung.attainable and rung.target_risk > review.target_risk and rung.coverage > review.coverage
    ]
    if not more:
        return ""
    rung = min(more, key=lambda each: each.target_risk)
    return (
        f" --set review.target_risk={rung.target_risk:g} decides {format_hundred(rung.coverage)}% alone, "
        f"of which at most {rung.target_risk:.0%} are wrong; nothing is trained again."
    )


def _calibrate(story: RunStory) -> Iterator[Advice]:
    if story.test is not None and story.test.ece > story.test.ece_floor:
        yield Advice(
            f"Confidence is off by {story.test.ece:.3f} on average, more than chance allows "
            f"({story.test.ece_floor:.3f}).",
            "Read confidence as an order, not as a share of right answers; more calibration groups help.",
        )


def _add_groups(story: RunStory) -> Iterator[Advice]:
    few = [row.class_name for row in story.test.classes if row.num_groups < FEW_GROUPS] if story.test else []
    if few:
        yield Advice(
            f"Fewer than {FEW_GROUPS} groups were tested of {list_names(few)}: these figures may be wrong.",
            "Add images of other individuals, days or places; more pictures of the same ones help little.",
        )


def _train_longer(story: RunStory) -> Iterator[Advice]:
    for history in story.histories:
        epochs, kept = history.trained_epochs, history.kept
        if kept in history.strengths and epochs:
            yield Advice(
                f"Fine-tuning did not help {history.candidate}, not even at a tenth of its learning rate; "
                "the head alone was kept.",
                f"Remove training.candidates.{history.candidate}; strategy frozen is the same and faster.",
            )
        elif len(epochs) > 1 and kept == epochs[-1]:
            yield Advice(
                f"{history.candidate} was still improving in its last epoch ({len(epochs)}).",
                f"Raise training.candidates.{history.candidate}.epochs.",
            )


def _settle_choice(story: RunStory) -> Iterator[Advice]:
    if story.comparison is None:
        return
    winner = story.comparison.winner
    open_ones = [
        each.second if each.first == winner else each.first
        for each in story.comparison.differences
        if each.metric == story.comparison.metric
        and winner in (each.first, each.second)
        and each.difference.low <= 0 <= each.difference.high
    ]
    if open_ones:
        yield Advice(
            f"On validation {winner} is not certainly better than {list_names(open_ones)}.",
            "With other images the choice may differ; prefer the smaller or faster one if that matters.",
        )


def _bring_in_left_out(story: RunStory) -> Iterator[Advice]:
    for each in story.left_out:
        yield Advice(
            f"Candidate {each.name} was left out: {each.reason.partition('. ')[0].rstrip('.')}.",
            f"Put its weights on this machine and name the file in training.candidates.{each.name}.weights, "
            f"or run once with network access.",
        )


def _mend_precisions(story: RunStory) -> Iterator[Advice]:
    rows = story.precision_report.rows if story.precision_report else ()
    for row in rows:
        if not row.within_tolerance:
            yield Advice(
                f"The {row.precision} graph strays from the trained model: {'; '.join(row.reasons)}.",
                f"Do not name {row.precision} in export.precision; auto serves one that can be served.",
            )


def _mend_data(story: RunStory) -> Iterator[Advice]:
    if story.data_report is None:
        return
    for each in story.data_report.findings:
        if each.severity == "warning":
            finding, _, action = each.message.rstrip(".").partition(". ")
            yield Advice(f"The data: {finding}.", f"{action}." if action else "")
