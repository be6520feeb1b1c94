"""The report says what to do next about what it found, and only where it was found."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from report.headline import describe_model, write_headline
from report.numbers import list_numbers
from report.page import render_report
from report.promises import lacks_groups
from report.story import LeftOut
from tests.example_data import KNOWN, around
from tests.example_story import make_history, with_test
from tests.report.test_page import STORY, TEST, advice_about, words_of
from vision.base.record import Interval
from vision.decision.records import Decision
from vision.evaluation.records import Answer
from vision.evaluation.split_inflation import SplitInflation
from vision.training.records import TrainingHistory


@pytest.mark.usefixtures("no_plots")
def test_what_a_random_split_would_have_shown_is_told_or_why_it_is_not_known() -> None:
    found = SplitInflation(by_groups=0.631, at_random=0.726, num_images=830, num_groups=116)
    told = words_of(replace(STORY, inflation=found))
    assert "A random split would have shown 72.6%; honest is 63.1%" in told
    assert "was not measured: no candidate is frozen" in words_of(STORY)
    assert "random split" not in words_of(replace(STORY, test=None))


@pytest.mark.usefixtures("no_plots")
def test_a_data_set_without_groups_is_told_to_declare_them() -> None:
    assert STORY.manifest is not None
    entries = tuple(
        entry.model_copy(update={"group": None, "path": f"{entry.class_name}/IMG_{row}.jpg"})
        for row, entry in enumerate(STORY.manifest.entries)
    )
    story = replace(STORY, manifest=STORY.manifest.model_copy(update={"entries": entries}))
    next_steps = words_of(story).split("What to do next")[-1].split("The data")[0]
    assert "No groups are declared" in next_steps
    assert "set dataset.group_by" in next_steps
    pairs = tuple((row, row + 1) for row in range(len(entries) - 1))
    assert not lacks_groups(
        replace(story, manifest=STORY.manifest.model_copy(update={"entries": entries, "alike": pairs}))
    )
    named = tuple(entry.model_copy(update={"group": None}) for entry in STORY.manifest.entries)
    suggested = replace(STORY, manifest=STORY.manifest.model_copy(update={"entries": named}))
    assert "Your file names suggest 216 of them. Set dataset.group_by: '^(?P<gr" in words_of(suggested)
    assert "no groups declared" in list_numbers(story)[0].detail
    assert "groups" not in describe_model(story)[1]
    assert "No groups are declared" not in advice_about(STORY)


def test_the_weakest_class_is_named_with_the_class_it_is_taken_for() -> None:
    rows = list(TEST.classes)
    rows[2] = rows[2].model_copy(update={"f1": around(0.7)})
    confusion = [[10 if i == j else 0 for j in range(6)] for i in range(6)]
    confusion[2] = [0, 3, 6, 1, 0, 0]
    told = advice_about(with_test(STORY, classes=tuple(rows), confusion=tuple(map(tuple, confusion))))
    assert "The weakest class is coral_grunter with F1 0.700 (0.670 to 0.730)" in told
    assert "it is most often confused with blue_sailfin (3)." in told
    confusion[2] = [0, 3, 6, 2, 0, 0]
    rows[2] = rows[2].model_copy(
        update={"num_groups": 2, "f1": Interval(value=0.7, low=math.nan, high=math.nan)}
    )
    told = advice_about(with_test(STORY, classes=tuple(rows), confusion=tuple(map(tuple, confusion))))
    assert "F1 0.700 (of 2 groups: too few for an interval)" in told
    assert f"blue_sailfin (3) and {TEST.class_names[3]} (2)" in told
    rows[2] = rows[2].model_copy(update={"recall": 0.0})
    missed = with_test(STORY, classes=tuple(rows))
    assert "Do not rely on" in write_headline(missed).sentences[-1]


def test_undetectable_classes_are_named_and_others_are_not() -> None:
    values = {"false_wrasse": 0.55, "ghost_goby": 0.69, "moon_damsel": 0.7}
    unknown = tuple(
        row.model_copy(update={"auroc": around(values.get(row.class_name, row.auroc.value))})
        for row in TEST.unknown
    )
    story = with_test(STORY, unknown=unknown)
    told = advice_about(story)
    assert (
        "Practically undetectable as unknown: false_wrasse (AUROC 0.55) and ghost_goby (AUROC 0.69)." in told
    )
    assert "moon_damsel" not in told


def test_sure_mistakes_are_label_suspects_named_by_file() -> None:
    assert STORY.manifest is not None
    sure = Answer(
        row=11,
        kind="known",
        true_class=KNOWN[0],
        class_name=KNOWN[1],
        confidence=0.97,
        unknown_score=0.0,
        decision=Decision.ACCEPT,
    )
    unsure = sure.model_copy(update={"row": 12, "confidence": 0.6})
    told = advice_about(with_test(STORY, mistakes=(sure, unsure)))
    assert "1 test image answered wrong with confidence of 90% or more" in told
    assert STORY.manifest.entries[11].path in told
    assert STORY.manifest.entries[12].path not in told


def test_a_left_out_candidate_says_how_to_get_it_in() -> None:
    story = replace(STORY, left_out=(LeftOut("efficientnet", "no ImageNet weights here."),))
    told = advice_about(story)
    assert "Candidate efficientnet was left out: no ImageNet weights here." in told
    assert "training.candidates.efficientnet.weights" in told


def test_an_uncertain_choice_is_said_and_a_certain_one_is_not() -> None:
    assert STORY.comparison is not None
    first = STORY.comparison.differences[0]
    for low, said in ((-0.01, True), (0.01, False)):
        interval = Interval(value=0.02, low=low, high=0.05)
        difference = first.model_copy(update={"difference": interval})
        comparison = STORY.comparison.model_copy(update={"differences": (difference,)})
        told = advice_about(replace(STORY, comparison=comparison))
        assert ("not certainly better than residual" in told) is said


def test_a_training_that_ended_while_improving_asks_for_more_epochs() -> None:
    history = STORY.histories[0]
    cut = history.model_copy(update={"best_epoch": history.epochs[-1].epoch})
    assert "training.candidates.cnn.epochs" in advice_about(replace(STORY, histories=(cut,)))
    assert "training.candidates.cnn.epochs" not in advice_about(STORY)


def make_heads(*, epochs: int) -> TrainingHistory:
    """A head with three strengths, then some epochs of fine-tuning that did not help."""
    history = make_history("cnn", epochs=3 + epochs)
    rows = tuple(
        row.model_copy(update={"regularisation": strength, "phase": "head"})
        for row, strength in zip(history.epochs, (0.01, 0.1, 1.0), strict=False)
    )
    return history.model_copy(update={"epochs": rows + history.epochs[3:], "best_epoch": 3})


@pytest.mark.usefixtures("no_plots")
def test_strengths_of_a_head_are_no_epochs_and_ask_for_nothing() -> None:
    said = advice_about(replace(STORY, histories=(make_heads(epochs=0),)))
    assert "candidates.cnn" not in said
    told = render_report(replace(STORY, histories=(make_heads(epochs=0),)))
    assert '<td class="n">none</td><td>the head, strength 1</td>' in told


@pytest.mark.usefixtures("no_plots")
def test_fine_tuning_that_did_not_help_is_told() -> None:
    story = replace(STORY, histories=(make_heads(epochs=4),))
    assert "Remove training.candidates.cnn" in advice_about(story)
    assert "the head, strength 1; fine-tuning did not help</td>" in render_report(story)
