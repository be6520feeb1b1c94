import logging

import pytest

from vision.base.progress import ProgressLog, TrainingLog, TrainingProgress, in_words


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_progress_speaks_every_few_seconds_and_at_the_end(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    progress = ProgressLog("decode", every=4.0, clock=clock)
    with caplog.at_level(logging.INFO, logger="vision.base.progress"):
        for second in range(1, 11):
            clock.now = float(second)
            progress(second * 10, 100)
        progress(100, 100)  # who counts at the end, too, repeats nothing
    assert caplog.messages == [
        "decode: 40 of 100, 10/s, about 6 s left",
        "decode: 80 of 100, 10/s, about 2 s left",
        "decode: 100 of 100, 10/s, about 0 s left",
    ]


def test_training_progress_names_candidate_epoch_rate_and_time_left(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = Clock()
    log = TrainingLog(every=4.0, clock=clock)
    with caplog.at_level(logging.INFO, logger="vision.base.progress"):
        log(TrainingProgress("cnn", 1, 20, 300.0, 55.0))
        clock.now = 5.0
        log(TrainingProgress("cnn", 2, 20, 310.0, 200.0, 0.5))
    assert caplog.messages == [
        "train cnn: epoch 2 of 20, 50% of validation right, 310 images/s, about 3 min left"
    ]


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.0, "0 s"), (89.0, "89 s"), (120.0, "2 min"), (7500.0, "2 h 5 min")]
)
def test_durations_in_words(seconds: float, words: str) -> None:
    assert in_words(seconds) == words
