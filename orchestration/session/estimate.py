"""How long a run will still take, from earlier runs or from what steps usually take."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from orchestration.session.steps import describe_step
from vision.base.progress import in_words

ENOUGH_SECONDS = 10.0
"""Finished work that tells how fast this machine is."""
USUAL_IMAGES = 1000
READING = "ingest"
"""Its time depends on the source, so it says nothing of the later steps'."""


@dataclass(frozen=True)
class TimeLeft:
    """Seconds until the end of a run; `at_least` where the time of a step to come is not known."""

    seconds: float
    at_least: bool = False

    def __str__(self) -> str:
        return f"{'over' if self.at_least else 'about'} {in_words(self.seconds)} left"


class Estimate:
    """The time left of a run.

    Args:
        known: step -> its seconds in an earlier run of the same data set.
        unknown: steps whose time only an earlier run can tell: trainings by epochs.
    """

    def __init__(self, known: Mapping[str, float], unknown: Collection[str] = ()) -> None:
        self._known, self._unknown = known, frozenset(unknown)
        self._images = USUAL_IMAGES
        self._expected, self._taken = 0.0, 0.0

    def count_images(self, images: int) -> None:
        """Note how many images the data set has."""
        self._images = images

    def finish(self, step: str, seconds: float) -> None:
        """Note how long a step took."""
        expected = self._seconds_of(step)
        if expected is not None and (step != READING or step in self._known):
            self._expected += expected
            self._taken += seconds

    def left(self, going: str, passed: float, told: float | None, waiting: Sequence[str]) -> TimeLeft:
        """The time left.

        Args:
            going: the step that runs.
            passed: seconds for which it has run.
            told: seconds that it says it still needs, if it says so.
            waiting: the steps after it.
        """
        pace = self._taken / self._expected if self._expected >= ENOUGH_SECONDS else 1.0
        expected = self._seconds_of(going)
        rest = 0.0 if expected is None else max(expected * pace - passed, 0.0)
        ahead = [self._seconds_of(each) for each in waiting]
        seconds = (rest if told is None else told) + pace * sum(each for each in ahead if each is not None)
        return TimeLeft(seconds, (expected is None and told is None) or None in ahead)

    def _seconds_of(self, step: str) -> float | None:
        if step in self._known:
            return self._known[step]
        if step in self._unknown:
            return None
        return describe_step(step).seconds(self._images)
