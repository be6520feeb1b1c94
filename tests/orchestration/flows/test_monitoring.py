"""Verdicts come in the order of the log; page and summary tell each verdict, and ask for what it asks for."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from orchestration.flows.monitoring import find_following, summarise_monitoring
from orchestration.store.rows import tell_drift
from orchestration.store.windows import order_verdicts
from report.pages.drift import MonitoringStory, advise, render_drift_page
from tests.example_data import make_config
from tests.vision.drift.test_monitoring import make_span
from tests.vision.drift.test_verdict import PLAIN, REFERENCE, SETTINGS, Sample, make_window, take
from vision.drift.monitoring import judge_window
from vision.drift.records import (
    DriftCause,
    DriftReport,
    DriftStatus,
    LoggedSpan,
    LogTrimming,
    MonitoredWindow,
)
from vision.drift.window import Window
from vision.retraining.decide import decide_retraining

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
DIGEST = "d" * 64


def make_monitored(first: int, start: float, end: float, **fields: Any) -> MonitoredWindow:
    """A window of 100 answers; `start` and `end` in minutes after noon."""
    plain: dict[str, Any] = {
        "model_name": "reef",
        "model_digest": DIGEST,
        "num_answers": 100,
        "first_number": first,
        "last_number": first + 99,
        "start": NOON + timedelta(minutes=start),
        "end": NOON + timedelta(minutes=end),
        "status": DriftStatus.DRIFT,
        "cause": DriftCause.CAPTURE,
        "verified": True,
    }
    return MonitoredWindow(**(plain | fields))


# --- the last verdicts ----------------------------------------------------------------------------------


def test_verdicts_keep_their_order_times_and_words() -> None:
    newer = make_monitored(101, 60, 90)
    older = make_monitored(1, 0, 30, status="quiet", cause=None, verified=False)
    latest, previous = order_verdicts((newer, older))
    assert (latest.status, latest.cause, latest.verified) == ("drift", "capture", True)
    assert (previous.status, previous.cause, previous.verified) == ("quiet", None, False)
    assert (latest.start, latest.end) == (newer.start, newer.end)
    assert (previous.start, previous.end) == (older.start, older.end)


@pytest.mark.parametrize("minutes", [29.999, 10.0, -200.0], ids=["at once", "set back", "far back"])
def test_windows_that_follow_each_other_in_the_log_never_overlap_in_time(minutes: float) -> None:
    windows = make_monitored(201, minutes + 1, minutes + 31), make_monitored(101, minutes, minutes + 30)
    verdicts = order_verdicts((*windows, make_monitored(1, 0, 30)))
    assert len(verdicts) == 3
    for later, earlier in pairwise(verdicts):
        assert earlier.start < earlier.end <= later.start < later.end


def test_windows_of_two_champions_keep_their_own_times() -> None:
    other = make_monitored(101, 10, 40, model_digest="e" * 64)
    latest, _ = order_verdicts((other, make_monitored(1, 0, 30)))
    assert latest.start == other.start


def test_two_agreeing_windows_of_which_a_clock_set_the_second_back_count_for_retraining() -> None:
    from vision.config.retraining import RetrainingSettings
    from vision.retraining.records import ChampionState, NewImages, RetrainingEvidence

    verdicts = order_verdicts((make_monitored(101, -60, -30), make_monitored(1, 0, 30)))
    champion = ChampionState(digest=DIGEST, since=NOON)
    evidence = RetrainingEvidence(now=NOON + timedelta(days=1), champion=champion, verdicts=verdicts)
    new_images = NewImages(num_images=200, num_groups=50)
    decision = decide_retraining(RetrainingSettings(), evidence, new_images, "source", "gate")
    assert (decision.retrain, decision.trigger) == (True, "drift")


# --- page and summary -----------------------------------------------------------------------------------


def judge(window: Window, **span: object) -> tuple[DriftReport, LoggedSpan]:
    place = make_span(len(window.times), **span)
    return judge_window(REFERENCE, window, place, SETTINGS, 5)[0], place


def make_story(report: DriftReport, span: LoggedSpan, evidently: Path | None = None) -> MonitoringStory:
    return MonitoringStory(
        run_name="reef-monitoring-1",
        config=make_config(),
        span=span,
        report=report,
        evidently=evidently,
        trimming=LogTrimming(num_too_old=3, num_beyond=0, num_left=12, keep_days=90, keep_answers=1000),
        step_seconds={"monitor": 1.25},
        versions={"zenml": "1"},
    )


QUIET = judge(PLAIN)
CAPTURE = judge(make_window(Sample(1, 40, 3, brightness=1.5)))
WAITING = judge(take(PLAIN, PLAIN.times.argsort()[:60]), judged_before=300)
EMPTY = judge(take(PLAIN, PLAIN.times.argsort()[:0]), note="there is no log yet")


TERMS = {
    DriftCause.CAPTURE: "acquisition shift",
    DriftCause.NOVELTY: "novelty",
    DriftCause.COVARIATE: "covariate shift",
    DriftCause.LABEL_MIX: "label shift, or prior shift",
}


@pytest.mark.parametrize(
    ("judged", "tone", "title", "words"),
    [
        (QUIET, "promoted", "Quiet: 120 answers are like the reference", "Nothing has to be done."),
        (CAPTURE, "refused", "Drift of capture: brightness moved", "Look at the camera"),
        (
            WAITING,
            "kept",
            "Too little to judge: 60 images in 20 groups",
            "At least 40 more images are needed",
        ),
        (EMPTY, "kept", "Too little to judge: 0 images in 0 groups", "There is no log yet."),
    ],
    ids=["quiet", "capture", "waiting", "empty"],
)
def test_the_page_says_the_verdict_first_then_what_to_do_and_loads_nothing(
    judged: tuple[DriftReport, LoggedSpan], tone: str, title: str, words: str
) -> None:
    page = render_drift_page(make_story(*judged))
    assert f'<div class="verdict {tone}">\n<h1>{title}</h1>' in page
    assert words in page
    assert "3 answers older than 90 days" in page
    assert not re.search(r"""(?:src|href)=["']https?:""", page)
    assert ("data:image/png" in page) == bool(judged[0].columns)


def test_what_was_not_looked_at_is_the_first_line_and_unknown_is_counted_over_all() -> None:
    page = render_drift_page(make_story(*judge(PLAIN, num_skipped=80, num_unknown=50)))
    first = page.split("</h1>")[1].split("</p>")[0]
    assert "80 of 200 answers were not looked at." in first
    assert "<b>25<i> of 100</i></b><span>called unknown</span>" in page
    assert "not looked at" not in render_drift_page(make_story(*QUIET)).split("</h1>")[1]


@pytest.mark.parametrize(("judged", "moved"), [(QUIET, 0), (CAPTURE, 1)], ids=["quiet", "capture"])
def test_each_question_is_answered_in_a_sentence(judged: tuple[DriftReport, LoggedSpan], moved: int) -> None:
    page = render_drift_page(make_story(*judged))
    assert (page.count('<li class="same">') + page.count('<li class="moved">')) == len(judged[0].tests)
    assert (page.count('<li class="moved">') > 0) == bool(moved)


def test_evidentlys_page_is_linked_only_where_there_is_one() -> None:
    assert 'href="evidently.html"' in render_drift_page(make_story(*QUIET, evidently=Path("evidently.html")))
    assert "evidently.html" not in render_drift_page(make_story(*WAITING))


def test_a_run_that_failed_says_in_which_step_and_why() -> None:
    story = MonitoringStory(
        run_name="reef-monitoring-1",
        config=make_config(),
        failure="LogError: the log is <locked>",
        failed_step="read_window",
    )
    page = render_drift_page(story)
    assert "The run did not reach a verdict" in page
    assert "step read_window: LogError: the log is &lt;locked&gt;" in page
    summary = summarise_monitoring(story, {})
    assert (summary["failed_step"], summary["verdict"], summary["window"]) == ("read_window", None, None)


def test_a_clock_that_was_doubted_is_told_on_the_page_and_in_the_summary() -> None:
    story = make_story(*QUIET)
    assert "The clock has jumped" not in render_drift_page(story)
    assert story.trimming is not None
    doubt = {"believed": datetime(2026, 1, 1, tzinfo=UTC), "doubted_since": datetime(2027, 1, 1, tzinfo=UTC)}
    story = replace(story, trimming=story.trimming.model_copy(update=doubt))
    assert "The clock has jumped" in render_drift_page(story)
    assert summarise_monitoring(story, {})["log"]["doubted_since"] == "2027-01-01T00:00:00Z"


def test_every_cause_has_its_advice_and_unverified_drift_starts_nothing() -> None:
    report = CAPTURE[0]
    findings = [
        advise(report.model_copy(update={"cause": cause, "verified": verified}))
        for cause in DriftCause
        for verified in (True, False)
    ]
    assert len({told[0].finding for told in findings}) == len(DriftCause)
    assert all("starts no retraining" in told[-1].action for told in findings[1::2])
    assert all("shares no answer" in told[-1].action for told in findings[::2])


@pytest.mark.parametrize("cause", list(DriftCause))
def test_advice_names_the_pipeline_that_reads_the_key_that_it_names_and_the_fields_own_term(
    cause: DriftCause,
) -> None:
    told = advise(CAPTURE[0].model_copy(update={"cause": cause, "verified": True}))
    assert "in retraining.new_images and run the retraining pipeline" in told[0].action  # no other reads it
    assert "training pipeline" not in told[0].action.replace("retraining pipeline", "")
    assert TERMS[cause] in told[0].finding
    assert "Enough new labelled images, or the champion's age, start one without any drift" in told[-1].action


def make_report(cause: DriftCause, fired: set[str], asked: bool = False) -> DriftReport:
    """A drift of which these tests fired; `asked`: at the window's shares too."""
    tests = [test.model_copy(update={"fired": test.name in fired}) for test in CAPTURE[0].tests]
    if asked:
        at_shares = {"name": "embedding_at_shares", "fired": "embedding_at_shares" in fired}
        tests.append(tests[0].model_copy(update=at_shares))
    return CAPTURE[0].model_copy(update={"cause": cause, "tests": tuple(tests)})


def test_where_the_mix_explains_the_embedding_images_of_each_class_are_to_be_looked_at_all_the_same() -> None:
    told, *_ = advise(make_report(DriftCause.LABEL_MIX, {"embedding", "label_mix"}, asked=True))
    assert "label shift, or prior shift" in told.finding
    assert "as far as that can be tested" in told.finding
    assert "a small change may hide behind that of the shares" in told.action
    assert "in retraining.new_images and run the retraining pipeline" in told.action
    plain, *_ = advise(make_report(DriftCause.LABEL_MIX, {"label_mix"}))
    assert "hide" not in plain.action


def test_where_the_mix_does_not_explain_the_embedding_the_advice_is_that_of_covariate_drift() -> None:
    both = {"embedding", "label_mix", "embedding_at_shares"}
    report = make_report(DriftCause.COVARIATE, both, asked=True)
    assert advise(report) == advise(make_report(DriftCause.COVARIATE, {"embedding"}))
    page = render_drift_page(make_story(report, CAPTURE[1]))
    assert "each class weighed as it is frequent now" in page


def test_where_the_mix_may_be_all_that_moved_the_advice_is_to_look_at_it_first() -> None:
    report = make_report(DriftCause.COVARIATE, {"embedding", "label_mix"})
    told, *_ = advise(report)
    assert "covariate shift" in told.finding
    assert "classes come in other shares too" in told.finding
    assert told.action.startswith("Look first whether the mix explains it")
    assert "in retraining.new_images and run the retraining pipeline" in told.action
    assert advise(report.model_copy(update={"cause": DriftCause.CAPTURE}))[0].action.startswith(
        "Look at the cam"
    )


def test_quiet_answers_without_groups_ask_for_groups() -> None:
    report = QUIET[0].model_copy(update={"num_ungrouped": 5, "verified": False})
    assert "Send the field group" in advise(report)[-1].action


def test_the_command_that_follows_is_the_one_that_the_verdict_asks_for() -> None:
    waiting = WAITING[0].model_copy(update={"missing_images": 1, "missing_groups": 4, "num_ungrouped": 5})
    assert find_following(CAPTURE[0], SETTINGS)[0] == "python run.py retrain NAME"
    assert find_following(QUIET[0], SETTINGS) == (
        "python run.py monitor NAME",
        "again after the next answers",
    )
    told = "again after 1 more picture in 4 more groups, `group` with every picture"
    assert find_following(waiting, SETTINGS)[1] == told
    few = waiting.model_copy(update={"num_reference_groups": 1})
    assert find_following(few, SETTINGS)[0] == "python run.py train NAME"


def test_a_reference_of_too_few_groups_asks_nobody_to_wait() -> None:
    report = WAITING[0].model_copy(update={"missing_images": 0, "missing_groups": 0})
    assert advise(report)[0].finding == "Waiting does not help."


def test_the_summary_has_every_figure_and_is_plain_json() -> None:
    summary = summarise_monitoring(make_story(*CAPTURE), {"seconds": 2.5, "peak_memory_mb": 300.0})
    assert json.loads(json.dumps(summary, allow_nan=False)) == summary
    assert (summary["pipeline"], summary["verdict"]["status"]) == ("monitoring", "drift")
    assert summary["verdict"]["cause"] == "capture"
    assert [c["column"] for c in summary["verdict"]["columns"] if c["moved"]] == ["brightness"]
    assert "window_quantiles" not in summary["verdict"]["columns"][0]
    assert summary["window"]["last_number"] == 120
    assert summary["log"]["num_too_old"] == 3
    assert summary["seconds"] == {"total": 2.5, "steps": {"monitor": 1.25}}


@pytest.mark.parametrize(
    ("metadata", "words"),
    [
        ({"status": "quiet", "verified": True}, "quiet"),
        ({"status": "drift", "cause": "capture", "verified": True}, "drift: capture"),
        ({"status": "drift", "cause": "novelty", "verified": False}, "drift: novelty (unverified)"),
        ({"status": "insufficient", "verified": False}, "insufficient"),
    ],
)
def test_the_list_of_runs_names_the_verdict_in_short(metadata: dict[str, Any], words: str) -> None:
    assert tell_drift(metadata) == words
