"""The report tells a whole run, or as much of it as there was, in one file that needs nothing else."""

from __future__ import annotations

import base64
import hashlib
import io
import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from orchestration.store.rows import RunRow
from report.headline import describe_model, tell_verdict, write_headline
from report.next_steps import derive_advice
from report.numbers import list_numbers
from report.page import render_report, write_report
from report.photographs.featured import choose_featured, judge_answer, show_featured
from report.photographs.thumbnails import embed_answer, embed_image, embed_row, read_photograph, sample_rows
from report.promises import list_promises
from report.story import RunStory
from report.summary import summarise
from tests.example_data import KNOWN, around, make_config
from tests.example_evaluation import make_rule
from tests.example_story import evaluated, make_promotion, make_story, with_test
from tests.report.outline import Outline
from vision.base.errors import StorageError
from vision.base.record import Interval
from vision.base.wording import format_hundred
from vision.data.records import ImageEntry, Manifest
from vision.decision.records import Decision
from vision.decision.selective import UNATTAINABLE
from vision.evaluation.records import Measured
from vision.gate.records import Verdict

STORY = make_story()
TEST = evaluated(STORY)


@pytest.fixture(scope="module")
def page() -> str:
    """The whole report with every figure, drawn once."""
    return render_report(STORY)


def advice_about(story: RunStory) -> str:
    return "\n".join(f"{each.finding} {each.action}" for each in derive_advice(story))


def words_of(story: RunStory) -> str:
    return re.sub(r"\s+", " ", Outline(render_report(story)).words)


# --- the file -------------------------------------------------------------------------------------------


def test_the_file_needs_nothing_from_outside(page: str) -> None:
    outline = Outline(page)
    assert outline.sources
    assert all(source.startswith("data:image/") for source in outline.sources)
    assert all(link.startswith("#") or link == "exploration.html" for link in outline.links)
    assert "<script" not in page
    assert "@import" not in page
    assert "url(" not in page


def test_every_tag_is_closed_every_link_has_its_place_every_picture_its_words(page: str) -> None:
    outline = Outline(page)
    assert outline.open == []
    assert {link.removeprefix("#") for link in outline.links} <= {*outline.ids, "exploration.html"}
    assert outline.missing_alt == 0


@pytest.mark.usefixtures("no_plots")
def test_the_report_is_written_whole(tmp_path: Path) -> None:
    write_report(STORY, tmp_path / "runs" / "report.html")
    text = (tmp_path / "runs" / "report.html").read_text(encoding="utf-8")
    assert text.rstrip().endswith("</html>")
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["report.html"]


@pytest.mark.usefixtures("no_plots")
def test_a_report_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("a file where a folder should be")
    with pytest.raises(StorageError, match="runs"):
        write_report(STORY, tmp_path / "runs" / "report.html")


# --- the story ------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("no_plots")
def test_the_answer_comes_first() -> None:
    words = words_of(STORY)
    assert "Ready: version 3 of reef is now in production" in words
    right = f"{100 * TEST.accuracy.value:.0f} of 100 new pictures named right"
    assert words.index("Ready:") < words.index(right) < words.index("What to do next")


def test_the_numbers_are_those_of_the_test_and_the_worst_is_marked() -> None:
    known, near, far = TEST.rates
    numbers = list_numbers(STORY)
    shares = (TEST.accuracy, known.accepted, near.accepted, far.accepted)
    assert [each.value for each in numbers] == [format_hundred(each.value) for each in shares]
    assert [each.marked for each in numbers] == [False, False, near.accepted.value >= 0.05, False]
    assert [each.value for each in list_numbers(with_test(STORY, rates=(known, far)))][2] == "?"


@pytest.mark.parametrize(
    ("held_out", "num_groups", "luck"),
    [(0.7, 90, "lucky"), (0.999, 90, "unlucky"), (0.7, 3, ""), (0.92, 90, "")],
    ids=["test flatters", "test is too hard", "fewer groups prove less", "they agree"],
)
def test_the_accuracy_that_rests_on_more_groups_is_the_one_that_is_told(
    held_out: float, num_groups: int, luck: str
) -> None:
    other = Measured(accuracy=around(held_out, 0.05), num_images=815, num_groups=num_groups)
    story = with_test(STORY, accuracy=around(0.94, 0.05), held_out=other)
    told, share = describe_model(story)[1], held_out if luck else 0.94
    assert told.startswith(f"Right on {format_hundred(share)} of 100 new pictures")
    assert (f" {luck} draw: 94 of 100" in told) is bool(luck)
    assert (f"Held-out pictures (815): {format_hundred(held_out)} of 100." in told) is not bool(luck)
    number = list_numbers(story)[0]
    assert (number.value, number.marked) == (format_hundred(share), luck == "lucky")
    assert ("test split" in number.detail) is bool(luck)
    assert summarise(story, {}, 0.0)["test"]["expected"]["accuracy"]["value"] == share
    row = RunRow.of(
        "r", "training", "completed", "", {"evaluate_test": {"accuracy": 0.94, **evaluated(story).figures()}}
    )
    assert row.accuracy == 0.94
    few = with_test(STORY, accuracy=around(1.0), num_images=6, num_groups=3, held_out=other)
    told = describe_model(few)[1]
    assert ("6 of 6" in told, "100 of 100" in told, "draw" in told) == (
        True,
        False,
        False,
    )


def test_a_share_of_wrong_is_rounded_alike_everywhere() -> None:
    assert STORY.rule is not None
    wrong = with_test(STORY, {"wrong_among_accepted": 2 / 30})
    promised = 100 * STORY.rule.review.target_risk
    assert promised < 6
    assert "(7 on test, which is more)" in describe_model(wrong)[0]
    assert "7 of 100 of these wrong" in list_numbers(wrong)[1].detail


def test_six_photographs_show_right_asked_wrong_look_alike_and_unknown() -> None:
    chosen = choose_featured(TEST)[:6]
    assert len({(each.kind, each.row) for each in chosen}) == 6
    right = next(each for each in TEST.examples if judge_answer(each) == "right")
    many = [
        right.model_copy(update={"row": 2 * row + copy, "true_class": name, "class_name": name})
        for row, name in enumerate(KNOWN)
        for copy in range(2)
    ]
    spread = evaluated(with_test(STORY, examples=tuple(many), mistakes=()))
    assert {each.true_class for each in choose_featured(spread)[:6]} == set(KNOWN)
    assert {judge_answer(each) for each in chosen} == {"right", "wrong", "asks"}
    assert {"known", "near"} <= {each.kind for each in chosen}
    assert Decision.UNKNOWN in {each.decision for each in chosen}
    assert choose_featured(evaluated(with_test(STORY, examples=(), mistakes=()))) == ()


def test_a_photograph_that_is_not_at_hand_leaves_no_hole_in_the_row() -> None:
    first = choose_featured(TEST)[0]
    lost = first.model_copy(update={"row": 10**6})
    examples = tuple(lost if each == first else each for each in TEST.examples)
    story = with_test(STORY, examples=examples)
    assert len(show_featured(story)) == 6
    assert len(show_featured(with_test(STORY, examples=choose_featured(TEST)[:5], mistakes=()))) == 3


def test_fewer_than_900_words_stand_before_one_unfolds_anything_and_the_rest_is_there(page: str) -> None:
    outline = Outline(page)
    assert len(outline.in_sight.split()) < 900
    for folded in (
        "known called unknown to find 95%",
        "differ in brightness or sharpness",
        "bundle digest",
        "Seconds of every",
    ):
        assert folded in outline.words
        assert folded not in outline.in_sight


def test_nothing_is_loaded_late_and_print_opens_what_is_folded(page: str) -> None:
    assert 'loading="lazy"' not in page
    assert "details::details-content { content-visibility:visible" in page.split("@media print")[1]


def test_every_picture_can_be_enlarged_and_says_its_file(page: str) -> None:
    assert STORY.manifest is not None
    assert page.count('<label class="zoom">') == page.count("<img ")
    row = choose_featured(TEST)[0].row
    assert f'data-file="{STORY.manifest.entries[row].path}"' in page


@pytest.mark.usefixtures("no_plots")
def test_every_class_known_and_unknown_is_named() -> None:
    words = words_of(STORY)
    assert STORY.manifest is not None
    for name in (*STORY.manifest.class_names, *STORY.manifest.unknown_class_names):
        assert words.count(name) >= 2


def test_the_reason_and_that_it_is_a_helper_are_told_in_the_report_the_terminal_and_the_listing() -> None:
    update = {"decides": False, "reason": "it clears the floors that were set, as a helper."}
    promotion = make_promotion().model_copy(update=update)
    headline = write_headline(replace(STORY, promotion=promotion))
    assert "a person decides" in headline.title
    assert "a person decides" in tell_verdict(STORY, promotion)
    row = RunRow.of("run", "training", "completed", "now", {"promote": promotion.model_dump()})
    assert row.verdict == "promoted: it clears the floors that were set, as a helper."


@pytest.mark.usefixtures("no_plots")
def test_a_refusal_names_the_check_that_failed() -> None:
    story = replace(STORY, promotion=make_promotion(Verdict.REFUSED))
    words = words_of(story)
    assert "Refused" in words
    assert "✗ failed" in words
    assert words.count("lower bound 0.912, floor 0.500") == 1
    assert "The gate was not passed: accuracy." in advice_about(story)


@pytest.mark.usefixtures("no_plots")
def test_a_failed_run_says_how_far_it_came_and_why_it_ended() -> None:
    story = RunStory(
        run_name="reef-1",
        config=make_config(),
        failure="Split 'test' shares 14 images with 'train'.",
        failed_step="validate",
        manifest=STORY.manifest,
    )
    words = words_of(story)
    assert "The run did not reach a verdict" in words
    assert "It came as far as: data read." in words
    assert "step validate: Split 'test' shares 14 images with 'train'." in words
    assert "What it knows" not in words
    assert STORY.manifest is not None
    ungrouped = tuple(entry.model_copy(update={"group": None}) for entry in STORY.manifest.entries)
    manifest = STORY.manifest.model_copy(update={"entries": ungrouped})
    told = advice_about(replace(story, manifest=manifest))
    assert "dataset.group_by" in told
    assert "too good" not in told


@pytest.mark.usefixtures("no_plots")
def test_a_run_that_read_nothing_still_has_a_report() -> None:
    words = words_of(RunStory(run_name="reef-1", config=make_config(), failure="no such folder"))
    assert "It ended before the data were read." in words
    assert "no such folder" in words


@pytest.mark.usefixtures("no_plots")
def test_a_run_without_unknown_images_says_that_this_is_not_known() -> None:
    story = with_test(STORY, unknown=(), roc=(), rates=TEST.rates[:1])
    assert "No unknown image was shown" in words_of(story)
    assert "No class was held out" in advice_about(story)


# --- promises and advice --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("called", "state"),
    [
        (around(0.03), "kept"),
        (around(0.05), "kept"),
        (around(0.07), "open"),
        (around(0.09), "broken"),
        (Interval(value=0.07, low=math.nan, high=math.nan), "open"),
    ],
)
def test_a_promise_is_broken_only_when_chance_cannot_explain_it(called: Interval, state: str) -> None:
    story = with_test(STORY, {"called_unknown": called})
    assert list_promises(story)[0].state == state


@pytest.mark.parametrize(
    ("wrong", "state"),
    [
        (Interval(value=0.01, low=0.0, high=0.03), "kept"),
        (Interval(value=0.05, low=0.015, high=0.09), "open"),
        (Interval(value=0.05, low=0.03, high=0.09), "broken"),
        (Interval(value=0.05, low=math.nan, high=math.nan), "open"),
    ],
)
def test_the_promise_about_accepted_answers_is_broken_only_beyond_chance_in_promise_and_advice(
    wrong: Interval, state: str
) -> None:
    # make_rule promises at most 2% wrong
    update = {"wrong_among_accepted": wrong.value, "wrong_among_accepted_interval": wrong}
    story = with_test(STORY, update)
    assert list_promises(story)[1].state == state
    assert ("what it decides alone is wrong" in advice_about(story)) == (state == "broken")


def test_the_promise_about_accepted_answers_is_open_where_no_interval_was_measured() -> None:
    update = {"wrong_among_accepted": 0.5, "wrong_among_accepted_interval": None}
    story = with_test(STORY, update)
    assert list_promises(story)[1].state == "open"
    assert "what it decides alone is wrong" not in advice_about(story)


def test_an_unattainable_promise_says_how_many_images_it_needs() -> None:
    story = replace(STORY, rule=make_rule(attainable=False))
    assert list_promises(story)[0].state == "none"
    # (1 - 0.05)^n <= 0.05 holds from n = 59 on
    assert "it needs 59 independent held-out images" in advice_about(story)


def test_an_unattainable_promise_needs_as_many_images_as_p_values_need_however_large_delta_is() -> None:
    rule = make_rule(attainable=False)
    lax = rule.model_copy(update={"unknown": rule.unknown.model_copy(update={"delta": 0.5})})
    # 0.95^n <= 0.5 holds from n = 14 on, but 0.05 (n + 1) >= 1 only from n = 19 on
    assert "it needs 19 independent" in advice_about(replace(STORY, rule=lax))


@pytest.mark.usefixtures("no_plots")
def test_the_report_never_shows_a_threshold_that_stands_for_none() -> None:
    rule = make_rule(attainable=False)
    review = rule.review.model_copy(update={"attainable": False, "value": UNATTAINABLE})
    words = words_of(replace(STORY, rule=rule.model_copy(update={"review": review})))
    assert "1.01" not in words
    assert "Every image goes to a person, whatever its unknown score and however sure" in words
    answer = "It decides nothing alone: every image goes to a person"
    assert words.index(answer) < words.index("What to do next")


# --- pictures -------------------------------------------------------------------------------------------


def test_a_thumbnail_keeps_colours_and_shrinks_large_images() -> None:
    image = np.full((300, 300, 3), (200, 30, 60), dtype=np.uint8)
    small = Image.open(io.BytesIO(base64.b64decode(embed_image(image).split(",", 1)[1])))
    assert small.size == (144, 144)
    assert np.abs(np.asarray(small, dtype=int) - (200, 30, 60)).max() <= 4


def test_far_answers_show_the_far_image_and_known_ones_the_data_set_row() -> None:
    known = TEST.examples[0]
    assert STORY.images is not None
    assert STORY.far_images is not None
    far = known.model_copy(update={"kind": "far", "true_class": "letters", "row": 1})
    assert embed_answer(STORY, known, 144) == embed_image(STORY.images[known.row])
    assert embed_answer(STORY, far, 144) == embed_image(STORY.far_images["letters"][1])
    assert embed_answer(STORY, far.model_copy(update={"row": 999})) is None
    assert embed_answer(replace(STORY, far_images=None), far) is None


def test_the_photograph_is_shown_in_its_own_shape_and_only_if_it_is_the_one_that_was_judged(
    tmp_path: Path,
) -> None:
    path = tmp_path / "fish.png"
    Image.new("RGB", (400, 200), (10, 120, 200)).save(path)
    content = path.read_bytes()
    entry = ImageEntry(
        path="fish.png",
        class_name="fish",
        digest=hashlib.sha256(content).hexdigest(),
        num_bytes=len(content),
        width=400,
        height=200,
    )
    manifest = Manifest(root=str(tmp_path), source_digest="d", class_names=("fish",), entries=(entry,))
    for side, shape in ((100, (50, 100, 3)), (900, (200, 400, 3))):
        photograph = read_photograph(manifest, entry, side)
        assert photograph is not None
        assert photograph.shape == shape
        assert np.abs(photograph.astype(int) - (10, 120, 200)).max() <= 2
    decoded = np.zeros((1, 32, 32, 3), np.uint8)
    story = replace(STORY, manifest=manifest, images=decoded)
    assert embed_row(story, 0, 100) != embed_image(decoded[0], 100)
    path.write_bytes(content + b"changed")
    assert read_photograph(manifest, entry, 100) is None
    assert embed_row(story, 0, 100) == embed_image(decoded[0], 100)


def test_samples_are_of_different_individuals_where_there_are_enough() -> None:
    assert STORY.splits is not None
    rows = sample_rows(STORY, KNOWN[0], 6)
    assert len({STORY.splits.groups[row] for row in rows}) == 6
    assert all(STORY.splits.image_classes[row] == KNOWN[0] for row in rows)
    assert len(sample_rows(STORY, KNOWN[0], 500)) == 60
    assert sample_rows(STORY, "no such class", 6) == []


@pytest.mark.usefixtures("no_plots")
def test_the_machine_of_the_figures_is_named_where_it_was_recorded() -> None:
    assert "Xeon (avx2), 2 threads, oneDNN on" in render_report(STORY)
    assert "oneDNN" not in render_report(replace(STORY, machine={"python": "3.11"}))
