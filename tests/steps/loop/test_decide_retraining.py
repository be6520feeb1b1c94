"""The steps of a decision on retraining hand on what they are given, and nothing else decides."""

from datetime import UTC, datetime, timedelta

from steps.loop.count_new_images import count_new_images
from steps.loop.decide_retraining import decide_retraining
from tests.vision.toy import make_splits
from vision.config.gate import GateSettings
from vision.config.retraining import RetrainingSettings
from vision.data.records import Split
from vision.drift.records import WindowVerdict
from vision.gate.records import Verdict
from vision.retraining.decide import digest_gate
from vision.retraining.records import Attempt, ChampionState, NewImages, RetrainingEvidence, Trigger

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
CHAMPION = ChampionState(digest="champion", since=NOW - 10 * DAY)
GATE = GateSettings()
ENOUGH = NewImages(num_images=120, num_groups=40)


def drifted(days_ago: float) -> WindowVerdict:
    end = NOW - days_ago * DAY
    return WindowVerdict(
        model_digest="champion", status="drift", cause="capture", verified=True, start=end - DAY, end=end
    )


def attempt(days_ago: float, source_digest: str = "other") -> Attempt:
    return Attempt(
        time=NOW - days_ago * DAY,
        automatic=True,
        champion_digest="champion",
        source_digest=source_digest,
        gate_digest=digest_gate(GATE),
        verdict=Verdict.KEPT,
    )


def test_the_step_decides_by_settings_evidence_and_images() -> None:
    evidence = RetrainingEvidence(now=NOW, champion=CHAMPION, verdicts=(drifted(1), drifted(3)))
    decision = decide_retraining.entrypoint(RetrainingSettings(), GATE, evidence, ENOUGH, "source")
    assert decision.retrain
    assert decision.trigger is Trigger.DRIFT
    assert decision.new_images == ENOUGH
    assert decision.champion_digest == "champion"


def test_the_step_knows_the_attempts_and_the_source_that_they_learned_from() -> None:
    evidence = RetrainingEvidence(now=NOW, champion=CHAMPION, attempts=(attempt(0.5), attempt(3, "source")))
    fresh = decide_retraining.entrypoint(RetrainingSettings(), GATE, evidence, ENOUGH, "another source")
    assert fresh.trigger is Trigger.NEW_IMAGES
    assert not fresh.retrain  # the pause after the attempt of half a day ago
    tried = decide_retraining.entrypoint(RetrainingSettings(), GATE, evidence, ENOUGH, "source")
    assert tried.trigger is Trigger.NONE
    lenient = GateSettings(max_contradicted=1)
    again = decide_retraining.entrypoint(RetrainingSettings(), lenient, evidence, ENOUGH, "source")
    assert again.trigger is Trigger.NEW_IMAGES


def test_evidence_survives_its_way_through_json_as_a_pipelines_parameter() -> None:
    evidence = RetrainingEvidence(now=NOW, champion=CHAMPION, verdicts=(drifted(1),), attempts=(attempt(1),))
    assert RetrainingEvidence.model_validate(evidence.model_dump(mode="json")) == evidence


def test_without_a_champion_no_image_counts_as_new() -> None:
    current = make_splits([("cod", "g0", Split.TRAIN), ("eel", "g1", Split.TEST)], ("cod", "eel"))
    assert count_new_images.entrypoint(current, None) == NewImages()
    assert count_new_images.entrypoint(current, current) == NewImages()
