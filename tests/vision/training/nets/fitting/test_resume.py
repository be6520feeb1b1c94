"""A training that is killed goes on to the same network, bit for bit; out of memory, with half the batch."""

from __future__ import annotations

import logging
import os
import signal
from pathlib import Path

import pytest
import tensorflow as tf

from tests.processes import run_python
from tests.vision.training.nets import toy
from tests.vision.training.nets.toy import KERAS_WARNINGS, make_images
from vision.base.columns.column import Columnar
from vision.base.errors import TrainingError
from vision.base.outputs import ModelFile
from vision.base.progress import TrainingProgress
from vision.config.training import CandidateSettings
from vision.data.records import Splits
from vision.training.nets.fitting import checkpoint
from vision.training.nets.fitting.fit import train_candidate
from vision.training.nets.fitting.phases import Epochs
from vision.training.nets.fitting.state import TrainingInputs
from vision.training.records import TrainingHistory

pytestmark = [pytest.mark.slow, KERAS_WARNINGS]

LOGGER = "vision.training.nets"
Trained = tuple[ModelFile, TrainingHistory]
RICH = {"dropout": 0.3, "weight_averaging": 0.9, "clip_norm": 1.0, "schedule": "plateau"}


def tiny_settings(**changes: object) -> CandidateSettings:
    """Four convolutions, unless it says otherwise."""
    return toy.tiny_settings(**{"backbone": "cnn", **changes})


class Killed(BaseException):
    """In place of a signal, where a process of its own would add nothing."""


class KillAt:
    """Ends the training after some steps."""

    def __init__(self, steps: int, *, process: bool = False) -> None:
        self.left = steps
        self.process = process

    def __call__(self, progress: TrainingProgress) -> None:  # noqa: ARG002
        self.left -= 1
        if self.left:
            return
        if self.process:
            os.kill(os.getpid(), signal.SIGKILL)
        raise Killed


def train(
    settings: CandidateSettings, work: Path, checkpoints: Path | None = None, kill: KillAt | None = None
) -> Trained:
    images, splits = make_images()
    model, _, history = train_candidate(
        TrainingInputs("tiny", settings, images, splits, 3), work, kill, checkpoints
    )
    return model, history


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "EVERY_SECONDS", 0.0)


def test_what_a_checkpoint_is_of_changes_with_every_column_and_makes_no_object_an_image(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    images, splits = make_images()
    others = [splits, Splits.model_validate_json(splits.model_dump_json())]  # as another machine is told them
    for name in ("digests", "groups", "image_classes", "splits"):
        others.append(splits.model_copy(update={name: getattr(splits, name)[::-1]}))
    others.append(splits.model_copy(update={"class_names": splits.class_names[::-1]}))
    monkeypatch.setattr(Columnar, "__iter__", None)
    told = [TrainingInputs("tiny", tiny_settings(), images, each, 3).digest() for each in others]
    assert told[0] == told[1]
    assert len(set(told)) == 6


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL")
def test_a_process_killed_inside_an_epoch_goes_on_to_the_same_bytes(tmp_path: Path) -> None:
    call = (
        "from pathlib import Path; from tests.vision.training.nets.fitting.test_resume import *; "
        "checkpoint.EVERY_SECONDS = 0; "
        f"train(tiny_settings(dropout=0.3), Path({str(tmp_path / 'a')!r}), Path({str(tmp_path / 'c')!r}), "
        "KillAt(8, process=True))"
    )
    run_python("-c", call, code=-signal.SIGKILL)
    assert [each.name for each in (tmp_path / "c").iterdir() if each.suffix == ".npz"]
    unbroken, history = train(tiny_settings(dropout=0.3), tmp_path / "b")
    resumed, again = train(tiny_settings(dropout=0.3), tmp_path / "d", tmp_path / "c")
    assert resumed.files == unbroken.files
    assert again.epochs == history.epochs
    assert not (tmp_path / "c").exists()


@pytest.fixture(scope="module")
def unbroken_rich(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return train(tiny_settings(**RICH), tmp_path_factory.mktemp("rich"))


@pytest.mark.long
@pytest.mark.parametrize("at", [3, 6])  # inside the first epoch, first step of the second
def test_running_mean_dropout_clipping_and_plateau_are_taken_up_too(
    tmp_path: Path, at: int, caplog: pytest.LogCaptureFixture, unbroken_rich: Trained
) -> None:
    settings, (unbroken, history) = tiny_settings(**RICH), unbroken_rich
    with pytest.raises(Killed):
        train(settings, tmp_path / "a", tmp_path / "c", KillAt(at))
    with caplog.at_level(logging.INFO, LOGGER):
        resumed, again = train(settings, tmp_path / "d", tmp_path / "c")
    assert "taken up again" in caplog.text
    assert (resumed.files, again.epochs) == (unbroken.files, history.epochs)


@pytest.mark.long
@pytest.mark.parametrize("strategy", ["two_phase", "partial", "progressive"])
def test_phases_that_are_finished_are_not_done_again(
    tmp_path: Path, small_weights: Path, strategy: str
) -> None:
    settings = tiny_settings(
        backbone="mobilenet_v2", width=0.35, strategy=strategy, weights=str(small_weights)
    )
    unbroken, history = train(settings, tmp_path / "b")
    with pytest.raises(Killed):
        train(settings, tmp_path / "a", tmp_path / "c", KillAt(7))
    resumed, again = train(settings, tmp_path / "d", tmp_path / "c")
    assert (resumed.files, again.epochs) == (unbroken.files, history.epochs)


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return train(tiny_settings(epochs=1), tmp_path_factory.mktemp("plain"))


@pytest.mark.long
@pytest.mark.parametrize("spoilt", ["other settings", "broken"])
def test_a_checkpoint_of_other_settings_or_a_broken_one_is_left_aside_and_told(
    tmp_path: Path, spoilt: str, caplog: pytest.LogCaptureFixture, unbroken: Trained
) -> None:
    settings = tiny_settings(epochs=1)
    with pytest.raises(Killed):
        train(tiny_settings(epochs=1, dropout=0.5), tmp_path / "a", tmp_path / "c", KillAt(2))
    if spoilt == "broken":
        (tmp_path / "c" / "checkpoint.npz").write_bytes(b"PK\x03\x04 cut")
    resumed, _ = train(settings, tmp_path / "d", tmp_path / "c")
    assert "starts anew" in caplog.text
    assert resumed.files == unbroken[0].files


def test_out_of_memory_halves_the_batch_says_so_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    plain = Epochs._train_from

    def run_out(self: Epochs, step: int) -> int:
        if self.phase.batch_size > 4:
            raise tf.errors.ResourceExhaustedError(None, None, "OOM")
        return plain(self, step)

    monkeypatch.setattr(Epochs, "_train_from", run_out)
    _, history = train(tiny_settings(batch_size=16), tmp_path)
    assert "with batches of 16; on with 8" in caplog.text
    assert "with batches of 8; on with 4" in caplog.text
    assert len(history.epochs) == 2
    assert "batches of 4: memory ran out at 16" in history.recipe


def test_out_of_memory_with_two_images_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run_out(self: Epochs, step: int) -> int:
        raise MemoryError

    monkeypatch.setattr(Epochs, "_train_from", run_out)
    with pytest.raises(TrainingError, match=r"Lower images.size"):
        train(tiny_settings(batch_size=8), tmp_path)
