"""Champion and challenger answer the same images, by class name, and only images that neither has seen."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.vision.toy import MSP, make_msp, make_outputs, make_rule, make_splits
from vision.base.errors import BundleError
from vision.base.outputs import Forward, ModelOutputs
from vision.base.record import ImageArray
from vision.bundle.records import Bundle
from vision.config.evaluation import BootstrapSettings
from vision.config.gate import GateSettings
from vision.data.records import Split, Splits
from vision.decision.predictor import Predictor
from vision.decision.served import Served
from vision.evaluation.baselines import Baselines
from vision.gate import challenge
from vision.gate.challenge import Current, Incumbent, judge
from vision.gate.records import Promotion, Verdict

NAMES = ("bream", "cod")
NUM_TEST = 40
NUM_ROWS = NUM_TEST + 4
TEST_ROWS = range(4, NUM_ROWS)
RULE = make_rule(NAMES, unknown_above=2.0, review_below=0.0)
Rows = list[tuple[str, str, Split | None]]


def make_rows(num_unknown: int = 0) -> Rows:
    """Four images to train on, forty to test on in pairs; bream in even pairs, cod in odd ones."""
    rows: Rows = [(NAMES[i % 2], f"train{i}", Split.TRAIN) for i in range(4)]
    rows += [(NAMES[i // 2 % 2], f"group{i // 2}", Split.TEST) for i in range(NUM_TEST)]
    return rows + [("dab", f"unknown{i}", Split.TEST) for i in range(num_unknown)]


SPLITS = make_splits(make_rows(), NAMES)


def make_bundle(content: str) -> Bundle:
    return Bundle(root=Path("somewhere") / content, files={Bundle.CONTRACT_NAME: content}, name="reef")


def answer(splits: Splits, wrong: range) -> ModelOutputs:
    """A challenger that is right on every row but the test images of `wrong`."""
    classes = np.maximum(splits.labels(), 0)
    classes[4:][list(wrong)] ^= 1
    return make_outputs([[4.0 * (c == 0), 4.0 * (c == 1)] for c in classes])


def make_baselines(rows: range = TEST_ROWS) -> Baselines:
    return Baselines(
        majority_class="bream",
        rows=tuple(rows),
        majority_correct=tuple(i // 2 % 2 == 0 for i in range(len(rows))),
        pixels_correct=tuple(i % 2 == 0 for i in range(len(rows))),
        majority_accuracy=0.5,
        pixels_accuracy=0.5,
    )


@dataclass
class FakeChampion:
    """A champion on images that are their own row number; right on all test images but those of `wrong`.

    Attributes:
        class_names: in the order of its logits.
        wrong: test images that it takes for the next class of its own.
        unknown_above: threshold of its rule; at 2, nothing is unknown, at -0.6 what it cannot tell.
        loaded: (root, digest) of every bundle asked for.
        images_asked: (size, policy) of all images asked for.
        largest_batch: images given to the network at once.
    """

    class_names: tuple[str, ...] = NAMES
    wrong: range = range(0)
    unknown_above: float = 2.0
    loaded: list[tuple[Path, str]] = field(default_factory=list)
    images_asked: list[tuple[int, str]] = field(default_factory=list)
    largest_batch: int = 0

    def load_bundle(self, root: Path, expected_digest: str) -> Any:
        self.loaded.append((root, expected_digest))
        contract = SimpleNamespace(class_names=self.class_names, image_size=8, resize="crop")
        rule = make_rule(self.class_names, unknown_above=self.unknown_above, review_below=0.0)
        predictor = Predictor(rule, make_msp(len(self.class_names)), self.forward)
        return SimpleNamespace(
            contract=contract, engine=SimpleNamespace(forward=self.forward), predictor=lambda: predictor
        )

    def images_at(self, size: int, policy: str) -> ImageArray:
        self.images_asked.append((size, policy))
        rows = np.arange(200, dtype=np.uint8)
        return np.broadcast_to(rows[:, None, None, None], (200, size, size, 3))

    def forward(self, images: ImageArray) -> Forward:
        self.largest_batch = max(self.largest_batch, len(images))
        num = len(self.class_names)
        logits = np.zeros((len(images), num))
        for i, row in enumerate(images[:, 0, 0, 0].astype(int)):
            if row >= NUM_ROWS:
                continue  # of no class: it cannot tell
            own = self.class_names.index(make_rows()[row][0])
            logits[i, (own + int(row - 4 in self.wrong)) % num] = 4.0
        return Forward(logits=logits, embeddings=logits)


def ask_gate(
    champion: FakeChampion | None,
    monkeypatch: pytest.MonkeyPatch,
    *,
    challenger_wrong: range = range(2),
    bundle: str = "new",
    splits: Splits = SPLITS,
    champion_splits: Splits = SPLITS,
    baselines: Baselines | None = None,
    digest: str | None = None,
    regression: Path | None = None,
) -> Promotion:
    """The verdict on a challenger; the registry pins `digest`, by default that of the champion's files."""
    fake = champion or FakeChampion()
    monkeypatch.setattr(challenge, "load_bundle", fake.load_bundle)
    pinned = make_bundle("old")
    return judge(
        make_bundle(bundle),
        Served(answer(splits, challenger_wrong), RULE, MSP),
        Current(splits, baselines or make_baselines(), fake.images_at, regression=regression),
        GateSettings(),
        BootstrapSettings(resamples=200),
        seed=0,
        incumbent=Incumbent(pinned, digest or pinned.digest, champion_splits) if champion else None,
    )


def message_of(promotion: Promotion, name: str) -> str:
    return next(check.message for check in promotion.checks if check.name == name)


def test_without_a_champion_the_floors_decide_and_no_bundle_is_opened(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    promotion = ask_gate(None, monkeypatch)
    assert promotion.verdict is Verdict.PROMOTED
    assert promotion.champion_digest is None
    assert promotion.bundle_digest == make_bundle("new").digest
    assert "0.950" in message_of(promotion, "accuracy")  # 38 of 40


def test_both_are_counted_on_the_same_test_images(monkeypatch: pytest.MonkeyPatch) -> None:
    promotion = ask_gate(FakeChampion(wrong=range(10, 18)), monkeypatch)
    assert promotion.verdict is Verdict.PROMOTED
    current = promotion.differences[-2]
    assert current.difference.value == pytest.approx((38 - 32) / 40)
    assert (current.first, current.second) == ("challenger", "champion")


@pytest.mark.parametrize("order", [("bream", "cod"), ("cod", "bream")])
def test_a_champion_of_another_class_order_is_asked_by_name(
    order: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    promotion = ask_gate(FakeChampion(order, wrong=range(10, 14)), monkeypatch)
    assert promotion.differences[-2].difference.value == pytest.approx((38 - 36) / 40)


def test_a_class_that_the_champion_does_not_know_counts_as_its_mistake(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class OnlyBream(FakeChampion):
        def forward(self, images: ImageArray) -> Forward:
            logits = np.ones((len(images), 1))
            return Forward(logits=logits, embeddings=logits)

    promotion = ask_gate(OnlyBream(("bream",)), monkeypatch)
    assert promotion.verdict is Verdict.PROMOTED
    assert promotion.differences[-2].difference.value == pytest.approx((38 - 20) / 40)


def test_the_champion_gets_images_of_its_own_size_and_policy_in_batches(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(challenge, "BATCH_SIZE", 16)
    champion = FakeChampion(wrong=range(10, 14))
    promotion = ask_gate(champion, monkeypatch)
    assert champion.images_asked == [(8, "crop")]
    assert champion.largest_batch == 16
    assert promotion.differences[-2].difference.value == pytest.approx(2 / 40)


def test_the_champions_bundle_is_checked_against_the_pinned_digest(monkeypatch: pytest.MonkeyPatch) -> None:
    champion = FakeChampion()
    promotion = ask_gate(champion, monkeypatch, digest="as the registry has it")
    assert champion.loaded == [(make_bundle("old").root, "as the registry has it")]
    assert promotion.champion_digest == "as the registry has it"


def test_a_tampered_champion_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    class Tampered(FakeChampion):
        def load_bundle(self, root: Path, expected_digest: str) -> Any:
            raise BundleError(f"{root} has been changed: expected {expected_digest}.")

    with pytest.raises(BundleError, match="changed"):
        ask_gate(Tampered(), monkeypatch)


def test_the_same_bundle_keeps_the_champion_without_asking_it(monkeypatch: pytest.MonkeyPatch) -> None:
    champion = FakeChampion()
    promotion = ask_gate(champion, monkeypatch, bundle="old")
    assert promotion.verdict is Verdict.KEPT
    assert "very bundle" in promotion.reasons[0]
    assert champion.images_asked == []
    assert len(champion.loaded) == 1  # its files are checked all the same


@pytest.mark.parametrize("split", [Split.TRAIN, Split.VALIDATION, Split.CALIBRATION])
def test_the_champion_is_not_asked_a_regression_picture_of_a_split_that_taught_it(
    split: Split, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / NAMES[0]).mkdir()
    (tmp_path / NAMES[0] / "a.png").write_bytes(b"picture")
    taught = SPLITS.splits.index(Split.TRAIN)
    digests, uses = list(SPLITS.digests), list(SPLITS.splits)
    digests[taught], uses[taught] = hashlib.sha256(b"picture").hexdigest(), split
    splits = SPLITS.model_copy(update={"digests": tuple(digests), "splits": tuple(uses)})
    promotion = ask_gate(FakeChampion(), monkeypatch, champion_splits=splits, regression=tmp_path)
    assert message_of(promotion, "regression set").endswith("none is judged: the champion learned 1.")


@pytest.mark.parametrize("split", [Split.TRAIN, Split.VALIDATION, Split.CALIBRATION])
def test_images_that_the_champion_has_seen_are_left_out_with_their_groups(
    split: Split, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = make_rows()
    for i in (4, 10):  # one image each of the pairs of test images 0 and 1, and 6 and 7
        rows[i] = (rows[i][0], rows[i][1], split)
    champion = FakeChampion(wrong=range(10, 14))
    promotion = ask_gate(champion, monkeypatch, champion_splits=make_splits(rows, NAMES))
    assert message_of(promotion, "current test groups").startswith("36 images in 18 ")
    assert promotion.differences[-2].difference.value == pytest.approx((36 - 32) / 36)


@pytest.mark.parametrize("split", [Split.TRAIN, Split.VALIDATION, Split.CALIBRATION])
def test_images_that_the_challenger_has_seen_are_left_out_with_their_groups(
    split: Split, monkeypatch: pytest.MonkeyPatch
) -> None:
    columns = [split, *SPLITS.splits[1:]]
    digests = [SPLITS.digests[8], *SPLITS.digests[1:]]  # the first image is a copy of a test image
    copied = SPLITS.model_copy(update={"splits": tuple(columns), "digests": tuple(digests)})
    promotion = ask_gate(FakeChampion(wrong=range(10, 14)), monkeypatch, splits=copied)
    assert message_of(promotion, "current test groups").startswith("38 images in 19 ")


def test_only_the_champions_own_test_images_are_original(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [(name, group, own if i < 24 else None) for i, (name, group, own) in enumerate(make_rows())]
    champion = FakeChampion(wrong=range(20, 30))
    promotion = ask_gate(champion, monkeypatch, champion_splits=make_splits(rows, NAMES))
    assert message_of(promotion, "original test groups").startswith("20 images in 10 ")
    assert promotion.differences[-2].difference.value == pytest.approx((38 - 30) / 40)
    assert promotion.differences[-1].difference.value == pytest.approx(-2 / 20)
    assert promotion.verdict is Verdict.KEPT


@pytest.mark.parametrize("lost", ["bundle", "digest", "splits"])
def test_a_champion_in_parts_ends_the_run_and_is_not_taken_for_none(lost: str) -> None:
    given: dict[str, Any] = {"bundle": make_bundle("old"), "digest": "pinned", "splits": SPLITS}
    with pytest.raises(BundleError, match=f"without its {lost};"):
        Incumbent.of(**{**given, lost: None})
    whole = Incumbent.of(**given)
    assert whole is not None
    assert (whole.bundle, whole.digest, whole.splits) == (given["bundle"], "pinned", SPLITS)
    assert Incumbent.of(None, None, None) is None


@pytest.mark.parametrize(
    ("unknown_above", "verdict", "failing"),
    [(-0.6, Verdict.KEPT, ["near_found", "far_found"]), (2.0, Verdict.PROMOTED, [])],
)
def test_the_same_network_with_another_alpha_is_kept_out_if_it_finds_fewer_unknowns(
    unknown_above: float, verdict: Verdict, failing: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    champion = FakeChampion(wrong=range(2), unknown_above=unknown_above)
    monkeypatch.setattr(challenge, "load_bundle", champion.load_bundle)
    splits = make_splits(make_rows(num_unknown=20), NAMES)
    far = np.full((20, 8, 8, 3), NUM_ROWS, np.uint8)
    old = make_bundle("old")

    def far_at(size: int, resize: str) -> dict[str, ImageArray]:
        assert (size, resize) == (8, "crop")
        return {"noise": far[:, :size, :size]}

    promotion = judge(
        make_bundle("new"),
        Served(answer(splits, range(2)), RULE, MSP),
        Current(
            splits,
            make_baselines(),
            champion.images_at,
            far={"noise": make_outputs([[0.0, 0.0]] * 20)},
            far_at=far_at,
        ),
        GateSettings(),
        BootstrapSettings(resamples=200),
        seed=0,
        incumbent=Incumbent(old, old.digest, SPLITS),
    )
    assert promotion.verdict is verdict
    assert [check.name for check in promotion.checks if not check.passed] == failing
    assert promotion.decides
