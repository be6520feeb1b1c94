"""Enrolled classes of one worker: what others enrol or forget is noticed, what came before is kept."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from serving.api.answering.enrolled import LOOK_SECONDS, Embedded, EnrolledClasses, NewClass
from serving.api.problems import ProblemError
from serving.api.settings import ServiceSettings
from serving.log.enrolments import Enrolment, add_enrolment, forget_class
from serving.log.prediction_log import PredictionLog
from vision.bundle.neighbours import Neighbours

WIDTH = 8
NOW = datetime(2026, 11, 28, tzinfo=UTC)
RNG = np.random.default_rng(0)
KNOWN = Neighbours(
    embeddings=(np.eye(2, WIDTH).repeat(40, axis=0) + RNG.normal(0, 0.05, (80, WIDTH))).astype(np.float32),
    labels=np.repeat([0, 1], 40),
    groups=np.arange(80),
    paths=[""] * 80,
    pictures=[b""] * 80,
    class_names=("a", "b"),
)


@dataclass
class Clock:
    """Seconds that a test moves on."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now


STRANGE = 5


def embed(image: bytes) -> Embedded:
    """A picture lies along the axis of its first byte, its second tells it from others."""
    place, number = image
    return np.asarray(np.eye(WIDTH)[place] + 0.01 * number * np.eye(WIDTH)[7], np.float32), place == STRANGE


def pictures(axis: int, first: int = 0, number: int = 5) -> tuple[tuple[str, bytes], ...]:
    return tuple((f"{place}.png", bytes([axis, place])) for place in range(first, first + number))


@pytest.fixture
def log(tmp_path: Path) -> Iterator[PredictionLog]:
    with closing(PredictionLog(f"sqlite:///{tmp_path / 'log.sqlite'}")) as made:
        made.count()
        yield made


def name_of(classes: EnrolledClasses, axis: int) -> str:
    found = classes.find(embed(bytes([axis, 9]))[0])
    return found.class_name if found else ""


def test_what_another_worker_enrols_or_forgets_is_noticed_within_seconds(log: PredictionLog) -> None:
    clock = Clock()
    ours = EnrolledClasses("toy", KNOWN, embed, log, ServiceSettings(), clock)
    other = EnrolledClasses("toy", KNOWN, embed, log, ServiceSettings())
    ours.take(NewClass("perch", pictures(3), "team"), NOW)
    assert [name_of(ours, axis) for axis in (0, 1, 3)] == ["", "", "perch"]  # the first two are known
    other.take(NewClass("roach", pictures(4), "team"), NOW)
    assert name_of(ours, 4) != "roach"
    clock.now += LOOK_SECONDS
    assert (name_of(ours, 3), name_of(ours, 4)) == ("perch", "roach")
    forget_class(log, "toy", "perch")
    clock.now += LOOK_SECONDS
    assert name_of(ours, 3) != "perch"
    assert name_of(ours, 4) == "roach"


def test_further_pictures_join_those_that_were_sent_before_and_copies_count_once(log: PredictionLog) -> None:
    ours = EnrolledClasses("toy", KNOWN, embed, log, ServiceSettings())
    assert ours.take(NewClass("perch", pictures(3), "team"), NOW).num_images == 5
    assert ours.take(NewClass("perch", pictures(3, first=4, number=2), "other"), NOW).num_images == 6
    found = ours.find(embed(bytes([3, 9]))[0])
    assert found is not None
    assert found.num_images == 6
    assert found.threshold < found.similarity <= 1


def test_classes_of_another_model_are_not_answered(log: PredictionLog) -> None:
    add_enrolment(log, Enrolment("elsewhere", "perch", "team", NOW, pictures(3)))
    assert name_of(EnrolledClasses("toy", KNOWN, embed, log, ServiceSettings()), 3) == ""


def test_pictures_of_another_kind_than_all_that_was_taught_make_no_class(log: PredictionLog) -> None:
    ours = EnrolledClasses("toy", KNOWN, embed, log, ServiceSettings())
    half = (*pictures(3), *pictures(STRANGE))
    with pytest.raises(ProblemError, match="kind that was taught") as refused:
        ours.take(NewClass("cat", (*half, ("more.png", bytes([STRANGE, 8]))), "team"), NOW)
    assert refused.value.problem.type.endswith("not-told-apart")
    assert ours.list_classes() == ()
    assert ours.take(NewClass("perch", (*pictures(3, number=6), *half[5:]), "team"), NOW).num_images == 11
