"""The whole loop by the command line: train, serve, predict, drift, retrain, redeploy, roll back.

The tests share one project and one service, and stand in the order of the project's life. The water gets dim;
the champion fails on what it sees now, monitoring says so twice, labelled dim images are learned from. Each
command is a process of its own, forked from one that has imported; every answer comes over HTTP.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import closing

import pytest

from serving.client import ask_service
from serving.log.prediction_log import PredictionLog
from serving.log.url import resolve_log_url
from tests.end_to_end.answers import FRAMES, draw_batch
from tests.end_to_end.loop import Loop, run_loop
from vision.config.reading.loading import load_config

pytestmark = [pytest.mark.end_to_end, pytest.mark.slow, pytest.mark.long]

NUM_ASKED = 40
"""Individuals in a window of answers: more than enough to be judged."""

PLAIN, DIM, DIM_AGAIN, DIM_AFTERWARDS = (range(NUM_ASKED * i, NUM_ASKED * (i + 1)) for i in range(4))
SWAPPED = {"amber": "cobalt", "cobalt": "amber"}


@pytest.fixture(scope="module")
def loop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loop]:
    with run_loop(tmp_path_factory.mktemp("project")) as made:
        yield made


@pytest.fixture(scope="module")
def first(loop: Loop) -> str:
    """Digest of the first champion."""
    digest: str = loop.project.summary()["gate"]["bundle_digest"]
    return digest


def test_a_training_that_promotes_deploys_when_told_to(loop: Loop, first: str) -> None:
    assert loop.trained.code == 0, loop.trained.output[-4000:]
    assert "promoted: " in loop.trained.output
    told = " ".join(loop.trained.output.split())
    assert "of 16 test images over HTTP 16 got the pipeline's own decision" in told
    assert loop.served() == first


def test_known_and_unknown_images_are_answered_and_logged_and_the_deployments_own_are_not(
    loop: Loop, first: str
) -> None:
    service, key = loop.running(), loop.folder.key.read_text().strip()
    photos = loop.project.photos
    known, unknown = (
        ask_service(
            service.url, key, sorted((photos / name).iterdir())[0].read_bytes(), f"{name}.png", group=name
        )
        for name in ("moss", "slate")
    )
    assert known.class_name == "moss"
    assert known.unknown.score < unknown.unknown.score
    settings = load_config(loop.project.config).serve.log
    with closing(PredictionLog(resolve_log_url(settings.url, loop.project.state), create=False)) as log:
        logged = log.read_newest(first, 100)
    assert [each.prediction_id for each in logged] == [known.prediction_id, unknown.prediction_id]
    assert [(each.file_name, each.group) for each in logged] == [("moss.png", "moss"), ("slate.png", "slate")]
    assert {each.client for each in logged} == {"local"}


# --- drift ---


def test_answers_like_the_calibration_are_quiet(loop: Loop) -> None:
    answers = loop.ask(PLAIN, dimmed=False)
    assert answers.num_right == len(answers.given)
    summary = loop.monitor()
    assert (summary["verdict"]["status"], summary["verdict"]["verified"]) == ("quiet", True)
    assert (summary["window"]["first_number"], summary["window"]["last_number"]) == (1, 122)
    files = {"drift.html", "evidently.html", "summary.json"}
    assert {each.name for each in loop.newest("monitoring").iterdir()} == files


def test_dim_images_are_answered_badly_and_drift_of_capture(loop: Loop) -> None:
    answers = loop.ask(DIM, dimmed=True)
    assert answers.num_right < 0.5 * len(answers.given)
    assert answers.num_unknown > 0.8 * len(answers.given)
    summary = loop.monitor("serve.log.keep_answers=200")
    verdict = summary["verdict"]
    assert (verdict["status"], verdict["cause"], verdict["verified"]) == ("drift", "capture", True)
    assert (summary["window"]["first_number"], summary["window"]["last_number"]) == (123, 242)
    assert (summary["log"]["num_beyond"], summary["log"]["num_left"]) == (42, 200)


def test_a_verdict_outlives_the_cleaning_of_old_runs_and_its_answers_are_not_judged_again(loop: Loop) -> None:
    trained = (loop.project.state / "runs" / "latest").resolve()
    loop.ask(DIM_AGAIN[:3], dimmed=True)
    assert loop.project.run("clean", "--keep", "0").code == 0
    summary = loop.monitor()
    assert summary["verdict"]["status"] == "insufficient"
    assert summary["verdict"]["missing_images"] == 100 - 3 * FRAMES
    assert (summary["window"]["judged_before"], summary["window"]["num_answers"]) == (242, 3 * FRAMES)
    assert not (loop.newest("monitoring") / "evidently.html").exists()
    assert (loop.project.state / "runs" / "latest").resolve() == trained


# --- retraining ---


def test_one_verdict_and_nothing_new_to_learn_from_start_no_retraining(loop: Loop) -> None:
    summary = loop.retrain()
    assert (summary["training"], summary["decision"]["trigger"]) == (None, "none")
    assert "No retraining" in summary["output"]
    assert re.search(
        r"drifted \(capture\); the one before \(.+\) is quiet: two have to agree", summary["output"]
    )
    assert "0 labelled images in 0 groups" in summary["output"]
    listed = loop.project.run("runs").output
    for words in ("drift: capture", "insufficient", "no retraining"):
        assert words in listed


def test_a_second_window_agrees_but_a_batch_of_two_swapped_classes_is_not_promoted(
    loop: Loop, first: str
) -> None:
    loop.ask(DIM_AGAIN[3:], dimmed=True)
    watched = loop.monitor()
    verdict, window = watched["verdict"], watched["window"]
    assert (verdict["status"], verdict["cause"], verdict["verified"]) == ("drift", "capture", True)
    assert (window["first_number"], window["last_number"]) == (243, 362)
    loop.name_folder(draw_batch(loop.project.folder / "poisoned", 24, labels=SWAPPED))
    before = loop.running()
    summary = loop.retrain(code=3)
    assert summary["decision"]["trigger"] == "drift"
    assert summary["training"]["verdict"] == "refused"
    gate = loop.project.summary()["gate"]
    assert (gate["champion_digest"], gate["version"]) == (first, None)
    assert "labels of new images" in {check["name"] for check in gate["checks"] if not check["passed"]}
    assert loop.running() == before


def test_labelled_dim_images_are_learned_from_promoted_and_served(loop: Loop, first: str) -> None:
    loop.name_folder(draw_batch(loop.project.folder / "labelled", 20, dimmed=True))
    summary = loop.retrain()
    assert (summary["decision"]["trigger"], summary["training"]["verdict"]) == ("drift", "promoted")
    assert summary["decision"]["new_images"]["num_images"] == 4 * 40
    assert len(summary["evidence"]["attempts"]) == 1  # the refused one
    gate = loop.project.summary()["gate"]
    assert (gate["verdict"], gate["champion_digest"]) == ("promoted", first)
    assert loop.served() == gate["bundle_digest"] != first
    answers = loop.ask(DIM_AFTERWARDS, dimmed=True)
    assert answers.num_right > 0.9 * len(answers.given)
    assert answers.num_unknown < 0.5 * len(answers.given)


def test_a_later_training_of_the_same_configuration_has_what_the_champion_learned_from(
    loop: Loop, first: str
) -> None:
    finished = loop.project.train()
    assert finished.code == 0, finished.output[-4000:]
    summary = loop.project.summary()
    assert summary["dataset"]["num_images"] == 5 * 44 + 4 * 40
    assert (summary["gate"]["verdict"], summary["gate"]["champion_digest"]) == ("kept", loop.served())
    loop.name_folder()
    finished = loop.project.train()
    assert finished.code == 2, finished.output[-4000:]
    assert "labelled (it lay in" in finished.output


# --- going back ---


def test_a_rollback_puts_the_first_champion_back_into_production_and_service(loop: Loop, first: str) -> None:
    finished = loop.command("rollback")
    assert finished.code == 0, finished.output[-4000:]
    told = " ".join(finished.output.split())
    assert "toy version 1 is in production again, version 2 is archived" in told
    assert "deployed: toy version 1 answers on" in told
    assert loop.served() == first
    answers = loop.ask(DIM_AFTERWARDS[:8], dimmed=True)
    assert answers.num_right < 0.5 * len(answers.given)


def test_what_was_rolled_back_is_not_promoted_again_by_the_next_retraining(loop: Loop, first: str) -> None:
    loop.name_folder(loop.project.folder / "labelled")
    summary = loop.retrain()
    assert (summary["training"], summary["decision"]["champion_digest"]) == (None, first)
    assert "These very images were tried against this champion" in summary["output"]
    assert "which ended promoted" in summary["output"]


# --- the service by hand ---


@pytest.mark.skipif(shutil.which("curl") is None or shutil.which("sh") is None, reason="needs curl and sh")
def test_status_tells_what_runs_and_a_line_that_works_as_printed(loop: Loop) -> None:
    told = loop.project.run("service", "status")
    assert told.code == 0
    for words in (loop.served(), str(loop.folder.key), "(writable)"):
        assert words in told.output
    (line,) = re.findall(r"^ask it  (curl .*)$", told.output, re.MULTILINE)
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=True, timeout=60)
    assert json.loads(done.stdout)["model"]["digest"] == loop.served()
    assert loop.folder.key.read_text().strip() not in told.output


def test_a_stopped_service_is_started_again_without_training_or_config(loop: Loop) -> None:
    before = loop.running()
    assert "Stopped: " in loop.project.run("service", "stop").output
    told = loop.project.run("service", "status")
    assert (told.code, "No service is running" in told.output) == (1, True)
    started = loop.project.run("service", "start")
    assert started.code == 0, started.output
    after = loop.running()
    assert (after.bento, after.serve) == (before.bento, before.serve)
    assert after.pid != before.pid
    assert "Application startup complete" in loop.project.run("service", "logs", "--tail", "30").output
