"""Images that are new to the champion: it is asked about them, and contradicts labels that were swapped."""

from __future__ import annotations

import pytest

from tests.vision.gate.test_challenge import (
    NAMES,
    NUM_ROWS,
    SPLITS,
    FakeChampion,
    ask_gate,
    make_baselines,
    message_of,
)
from vision.data.records import Split, Splits
from vision.evaluation.baselines import Baselines
from vision.gate import challenge
from vision.gate.records import Verdict


def without_rows(new: range) -> Splits:
    """The champion's splits, whose data set had all rows but those of `new`."""
    kept = [i for i in range(NUM_ROWS) if i not in new]
    columns = ("digests", "groups", "image_classes", "splits")
    return SPLITS.model_copy(update={name: tuple(getattr(SPLITS, name)[i] for i in kept) for name in columns})


def relabel(rows: range, splits: Splits = SPLITS) -> Splits:
    """Bream called cod and cod bream in some rows."""
    other = {"bream": "cod", "cod": "bream"}
    names = [other[name] if i in rows else name for i, name in enumerate(splits.image_classes)]
    return splits.model_copy(update={"image_classes": tuple(names)})


def test_the_champion_is_asked_about_new_images_of_every_split(monkeypatch: pytest.MonkeyPatch) -> None:
    new = range(30, NUM_ROWS)
    columns = [Split.TRAIN if i in range(30, 38) else split for i, split in enumerate(SPLITS.splits)]
    current = SPLITS.model_copy(update={"splits": tuple(columns)})
    promotion = ask_gate(
        FakeChampion(wrong=range(10, 14)),
        monkeypatch,
        splits=current,
        champion_splits=without_rows(new),
        baselines=make_baselines_of(current),
    )
    assert "of 7 groups of new images, 0 are contradicted" in message_of(promotion, "labels of new images")


def make_baselines_of(splits: Splits) -> Baselines:
    rows = tuple(int(row) for row in splits.rows(Split.TEST))
    return make_baselines().model_copy(
        update={
            "rows": rows,
            "majority_correct": tuple(i % 2 == 0 for i in range(len(rows))),
            "pixels_correct": tuple(i % 2 == 0 for i in range(len(rows))),
        }
    )


def test_a_batch_with_two_swapped_classes_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    new = range(28, NUM_ROWS)
    poisoned = relabel(new)
    promotion = ask_gate(
        FakeChampion(),
        monkeypatch,
        challenger_wrong=range(0),
        splits=poisoned,
        champion_splits=without_rows(new),
    )
    assert promotion.verdict is Verdict.REFUSED
    assert [check.name for check in promotion.checks if not check.passed] == ["labels of new images"]
    assert {each.row for each in promotion.contradictions} == set(new)
    first = promotion.contradictions[0]
    assert (first.class_name, first.answer) == (
        poisoned.image_classes[first.row],
        SPLITS.image_classes[first.row],
    )


def test_images_of_a_class_that_the_champion_does_not_know_are_not_held_against_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    new = range(28, NUM_ROWS)
    names = tuple("dab" if i in new else name for i, name in enumerate(SPLITS.image_classes))
    current = SPLITS.model_copy(update={"image_classes": names, "class_names": (*NAMES, "dab")})
    quarantined = current.model_copy(
        update={"splits": tuple(None if i in new else split for i, split in enumerate(current.splits))}
    )
    for splits in (current, quarantined):
        rows = challenge.find_new_rows(splits, without_rows(new), NAMES)
        assert not len(rows)
    assert challenge.find_new_rows(SPLITS, without_rows(new), NAMES).tolist() == list(new)


def test_old_images_under_swapped_labels_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    swapped = relabel(range(4, 24))
    promotion = ask_gate(
        FakeChampion(),
        monkeypatch,
        challenger_wrong=range(0),
        splits=swapped,
        champion_splits=SPLITS,
        baselines=make_baselines_of(swapped),
    )
    assert promotion.verdict is Verdict.REFUSED
    assert "contradict" in " ".join(promotion.reasons)


def test_a_relabelled_image_is_new_and_no_evidence_of_the_champions_own_test() -> None:
    swapped = relabel(range(4, 6))
    assert challenge.find_new_rows(swapped, SPLITS, NAMES).tolist() == [4, 5]
    assert not challenge._unrelabelled(SPLITS, swapped) & {SPLITS.digests[4], SPLITS.digests[5]}
    assert SPLITS.digests[6] in challenge._unrelabelled(SPLITS, swapped)
