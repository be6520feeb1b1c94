"""What cannot be promised is said with what the model answers instead, and with how many images it takes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from report.headline import describe_model
from report.next_steps import derive_advice
from report.promises import list_cautions, list_promises, list_shortfalls, state_thresholds
from report.sections.answers import ANSWERS
from report.story import RunStory
from report.summary import summarise
from tests.example_evaluation import make_rule
from tests.example_story import evaluated, make_story, with_test
from vision.base.record import Interval
from vision.data.records import Split
from vision.decision.records import AlphaRung, DecisionRule, RiskRung
from vision.decision.selective import UNATTAINABLE

STORY = make_story()
TEST = evaluated(STORY)


def rule_without(*promises: str, **review: Any) -> DecisionRule:
    """The example rule, whose promises of these names are not attainable."""
    rule = make_rule(attainable="unknown" not in promises)
    changes = {"attainable": False, "value": UNATTAINABLE} if "review" in promises else {}
    return rule.model_copy(update={"review": rule.review.model_copy(update=changes | review)})


def ungrouped(story: RunStory) -> RunStory:
    """The same images, none of which says what it belongs to."""
    assert story.manifest is not None
    assert story.splits is not None
    entries = tuple(entry.model_copy(update={"group": None}) for entry in story.manifest.entries)
    return replace(
        story,
        manifest=story.manifest.model_copy(update={"entries": entries}),
        splits=story.splits.model_copy(update={"groups": story.splits.digests}),
    )


def test_promises_that_are_kept_call_for_no_word() -> None:
    assert list_cautions(STORY) == ()
    assert list_cautions(replace(STORY, rule=None)) == ()


def test_a_model_that_never_says_unknown_tells_how_many_groups_that_takes() -> None:
    # 180 groups of known classes, of which the held-out images count as 42: 180 * 59 / 42 = 252.9
    (told,) = list_cautions(replace(STORY, rule=rule_without("unknown")))
    assert told.startswith("It never answers unknown")
    assert "needs 59 independent held-out images, and has 42 (60 images of 30 groups)" in told
    assert "about 253 groups in all, where there are 180 now" in told
    assert "set unknowns.alpha to 0.069" in told


def test_a_model_that_accepts_nothing_tells_how_many_images_that_takes() -> None:
    rule = rule_without("review", num_images=50, num_groups=50, design_effect=1.0, num_needed=115)
    told = list_cautions(ungrouped(replace(STORY, rule=rule)))
    assert told[0].startswith("It decides nothing alone")
    assert "about 828 images in all, where there are 360 now" in told[0]  # 360 * 115 / 50
    assert "dataset.group_by" in told[1]
    assert len(told) == 2


def test_a_class_of_one_group_is_said_to_be_in_no_promise() -> None:
    assert STORY.splits is not None
    name = STORY.splits.class_names[0]
    groups = [
        "alone" if own == name and split is not Split.TEST else group
        for group, own, split in zip(
            STORY.splits.groups, STORY.splits.image_classes, STORY.splits.splits, strict=True
        )
    ]
    splits = STORY.splits.model_copy(update={"groups": tuple(groups)})
    (told,) = list_cautions(replace(STORY, splits=splits))
    assert name in told
    assert "cannot be held out" in told


def test_a_looser_promise_that_holds_is_the_way_out_that_is_named() -> None:
    rung = RiskRung(target_risk=0.1, attainable=True, value=0.9, coverage=0.412, risk=0.05, risk_bound=0.09)
    rule = rule_without("review", num_needed=115, ladder=(rung,))
    (shortfall,) = list_shortfalls(replace(STORY, rule=rule))
    assert shortfall.action == "Set review.target_risk to 0.1: it accepts 41 of 100."


def test_a_better_network_is_no_advice_where_nothing_can_be_accepted() -> None:
    nothing = Interval(value=0.0, low=0.0, high=0.0)
    story = with_test(STORY, {"accepted": nothing})
    low = "Only 0% of known images are decided alone."
    assert low in [each.finding for each in derive_advice(story)]
    assert low not in [each.finding for each in derive_advice(replace(story, rule=rule_without("review")))]


@pytest.mark.parametrize(
    ("target", "told"), [(0.2, "--set review.target_risk=0.2 decides 80% alone"), (0.05, "")]
)
def test_the_next_looser_promise_is_named_where_it_decides_more(target: float, told: str) -> None:
    assert STORY.rule is not None
    low = Interval(value=0.1, low=0.1, high=0.1)
    rung = RiskRung(target_risk=target, attainable=True, value=0.5, coverage=0.8, risk=0.1, risk_bound=0.2)
    changes = {"target_risk": 0.1, "coverage": 0.4, "attainable": True, "ladder": (rung,)}
    rule = STORY.rule.model_copy(update={"review": STORY.rule.review.model_copy(update=changes)})
    story = with_test(replace(STORY, rule=rule), {"accepted": low})
    (advice,) = [each for each in derive_advice(story) if each.finding.startswith("Only 10%")]
    assert ("--set" in advice.action) is bool(told)
    assert told in advice.action


def test_a_model_that_errs_too_often_is_not_told_to_bring_more_images() -> None:
    rule = rule_without("review", num_images=400, num_groups=400, design_effect=1.0)
    (shortfall,) = list_shortfalls(replace(STORY, rule=rule))
    assert "takes" not in shortfall.action
    assert "errs too often where it is sure" in shortfall.action


def test_without_splits_nothing_is_said_of_images_in_all() -> None:
    (told,) = list_cautions(replace(STORY, rule=rule_without("unknown"), splits=None))
    assert "It takes 59 held-out images." in told


@pytest.mark.parametrize(
    ("promises", "words"),
    [
        ((), "An image is called unknown when its unknown score is above 1.900, and goes to a person when"),
        (("review",), "Every other goes to a person, however sure the model is."),
        (
            ("unknown",),
            "No image is called unknown. An image goes to a person when its unknown score is above",
        ),
        (("unknown", "review"), "Every image goes to a person, whatever its unknown score"),
    ],
)
def test_thresholds_are_told_as_what_they_decide(promises: tuple[str, ...], words: str) -> None:
    told = state_thresholds(rule_without(*promises))
    assert words in told
    assert "1.01" not in told
    assert ("less than 0.6200 sure" in told) == ("review" not in promises)


def with_strangers(rule: DecisionRule, *, attainable: bool = True) -> DecisionRule:
    """The rule, which also tells strangers and promises that 2% of known images are called so."""
    changes = {"score_name": "stranger", "value": 3.5, "alpha": 0.02, "attainable": attainable}
    return rule.model_copy(update={"stranger": rule.unknown.model_copy(update=changes)})


@pytest.mark.parametrize("promises", [(), ("unknown",), ("review",), ("unknown", "review")])
def test_strangers_are_called_unknown_whatever_else_can_be_promised(promises: tuple[str, ...]) -> None:
    rule = with_strangers(rule_without(*promises))
    told = state_thresholds(rule)
    assert told.startswith("An image whose stranger score is above 3.500 is called unknown, as a stranger.")
    cautions = " ".join(list_cautions(replace(STORY, rule=rule)))
    assert "It never answers unknown" not in cautions
    assert ("It answers unknown to strangers alone" in cautions) == ("unknown" in promises)


def test_a_set_that_holds_as_much_as_was_promised_keeps_its_promise() -> None:
    rule = make_rule()
    ready = rule.model_copy(update={"prediction_set": rule.unknown})
    covers = Interval(value=0.95, low=0.9, high=1.0)  # 1 - 0.95 is more than 0.05
    story = with_test(replace(STORY, rule=ready), set_covers=covers, set_size=1.2)
    assert list_promises(story)[-1].state == "kept"


def test_known_images_called_strangers_count_in_the_promise_on_unknown() -> None:
    plain = list_promises(replace(STORY, rule=make_rule()))[0]
    both = list_promises(replace(STORY, rule=with_strangers(make_rule())))[0]
    none = list_promises(replace(STORY, rule=with_strangers(make_rule(), attainable=False)))[0]
    assert plain.text == none.text == "at most 5% of known images are called unknown"
    assert both.text == "at most 7% of known images are called unknown, 2% as strangers"
    called = Interval(value=0.08, low=0.06, high=0.1)
    rates = tuple(each.model_copy(update={"called_unknown": called}) for each in TEST.rates)
    story = with_test(STORY, rates=rates)
    for rule, broken in ((make_rule(), True), (with_strangers(make_rule()), False)):
        told = [each.finding for each in derive_advice(replace(story, rule=rule))]
        assert any("more than the promised 5%." in each for each in told) == broken
        assert not any("more than the promised 7%." in each for each in told)


def test_strangers_and_look_alikes_have_a_promise_of_their_own_where_both_were_measured() -> None:
    measured = {
        "called_stranger": Interval(value=0.01, low=0.0, high=0.02),
        "called_look_alike": Interval(value=0.09, low=0.06, high=0.12),
    }
    told = list_promises(with_test(replace(STORY, rule=with_strangers(make_rule())), measured))
    assert [each.state for each in told[:2]] == ["kept", "broken"]
    assert told[0].text.startswith("at most 2%")
    assert told[1].text.startswith("at most 5%")
    assert "3.500" in told[0].threshold


def test_the_ladder_of_unknowns_says_what_each_promise_finds() -> None:
    rungs = tuple(
        AlphaRung(alpha=alpha, attainable=True, value=1.0, share=share)
        for alpha, share in ((0.05, 0.03), (0.2, 0.15))
    )
    rule = make_rule()
    rule = rule.model_copy(update={"unknown": rule.unknown.model_copy(update={"ladder": rungs})})
    rows = ANSWERS.context(replace(STORY, rule=rule))["unknown_ladder"]
    found = [share for _, share in rows]
    assert 0 <= found[0] < found[1] <= 1
    rows = ANSWERS.context(with_test(replace(STORY, rule=rule), roc=()))["unknown_ladder"]
    assert [share for _, share in rows] == [None, None]


def test_a_promise_is_not_rounded_to_a_stricter_one() -> None:
    rule = make_rule()
    unknown = rule.unknown.model_copy(update={"alpha": 0.025})
    review = rule.review.model_copy(update={"target_risk": 0.004})
    story = replace(STORY, rule=rule.model_copy(update={"unknown": unknown, "review": review}))
    told = [each.text for each in list_promises(story)]
    assert told[0].startswith("at most 2.5% of known")
    assert told[1].startswith("at most 0.4% of what is decided alone")
    assert story.test is not None
    assert "at most 0.4 in 100 are wrong" in describe_model(story)[0]


def test_a_measured_share_above_the_promise_is_not_rounded_to_it() -> None:
    rule = make_rule()
    promised = rule.review.target_risk
    told = describe_model(with_test(STORY, {"wrong_among_accepted": promised + 0.004}))[0]
    assert f"({100 * promised + 0.4:g} on test, which is more)" in told


def test_a_confidence_that_no_image_reaches_is_null_in_the_summary() -> None:
    review = summarise(replace(STORY, rule=rule_without("review")), {}, 0.0)["rule"]["review"]
    assert (review["attainable"], review["value"]) == (False, None)
    assert summarise(STORY, {}, 0.0)["rule"]["review"]["value"] == 0.62
