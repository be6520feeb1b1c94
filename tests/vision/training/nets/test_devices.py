"""Two devices that share a batch train what one trains; a GPU is used where there is one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import tensorflow as tf

from tests.processes import run_python
from tests.vision.training.nets.toy import KERAS_WARNINGS, make_images, tiny_settings
from vision.training.nets.devices import placed_on
from vision.training.nets.fitting.fit import train_candidate
from vision.training.nets.fitting.state import TrainingInputs

pytestmark = [pytest.mark.slow, KERAS_WARNINGS]

TWO = """
import json, sys
from pathlib import Path
import tensorflow as tf
half = tf.config.LogicalDeviceConfiguration()
tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], [half, half])
import numpy as np
from tests.vision.training.nets.toy import make_images, tiny_settings
from vision.training.nets.fitting.fit import train_candidate
from vision.training.nets.fitting.state import TrainingInputs
from vision.training.nets.inference import run_model
images, splits = make_images()
found = {}
for devices in ("one", "all"):
    settings = tiny_settings(backbone="cnn", dropout=0.0, devices=devices)
    inputs = TrainingInputs("tiny", settings, images, splits, 3)
    model, _, history = train_candidate(inputs, Path(sys.argv[1]) / devices)
    logits = run_model(model, images, np.arange(9)).logits
    found[devices] = (history.device, [row.validation_loss for row in history.epochs], logits.tolist())
print(json.dumps(found))
"""


@pytest.mark.long
def test_two_devices_train_what_one_trains_with_the_same_batch(tmp_path: Path) -> None:
    for name in ("one", "all"):
        (tmp_path / name).mkdir()
    done = run_python("-c", TWO, str(tmp_path))
    (alone, losses, logits), (both, shared_losses, shared_logits) = json.loads(
        done.stdout.splitlines()[-1]
    ).values()
    assert alone.startswith("CPU, ")
    assert both.startswith("2 CPUs, ")
    assert shared_losses == pytest.approx(losses, rel=1e-2)
    for one, other in zip(logits, shared_logits, strict=True):
        assert other == pytest.approx(one, abs=0.02)


RESUMED = """
import os, sys
from pathlib import Path
import tensorflow as tf
half = tf.config.LogicalDeviceConfiguration()
tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], [half, half])
from tests.vision.training.nets.fitting.test_resume import *
toy.shrink_mobilenet()
checkpoint.EVERY_SECONDS = 0
ROUNDED = {"loss", "accuracy", "validation_loss", "validation_accuracy"}
strategy, weights, work = sys.argv[1], sys.argv[2], Path(sys.argv[3])
settings = tiny_settings(backbone="mobilenet_v2", width=0.35, strategy=strategy, weights=weights, epochs=3)
unbroken, history = train(settings, work / "b")
with pytest.raises(Killed):
    train(settings, work / "a", work / "c", KillAt(7))
resumed, again = train(settings, work / "d", work / "c")
assert history.device.startswith("2 CPUs, "), history.device
assert resumed.files == unbroken.files, "other weights"
for row, other in zip(history.epochs, again.epochs, strict=True):
    # The devices' sums of a figure are added in another order: as many digits as float32 has.
    assert other.model_dump(exclude=ROUNDED) == row.model_dump(exclude=ROUNDED), (row, other)
    assert [getattr(other, name) for name in ROUNDED] == pytest.approx(
        [getattr(row, name) for name in ROUNDED], rel=1e-5
    )
"""


@pytest.mark.long
@pytest.mark.parametrize("strategy", ["two_phase", "progressive"])
def test_what_was_killed_on_two_devices_goes_on_to_the_same_network(
    tmp_path: Path, small_weights: Path, strategy: str
) -> None:
    run_python("-c", RESUMED, strategy, str(small_weights), str(tmp_path))


@pytest.mark.long
def test_xla_trains_the_same_network(tmp_path: Path) -> None:
    images, splits = make_images()
    losses = []
    for jit in (False, True):
        settings = tiny_settings(backbone="vgg_small", epochs=1, dropout=0.0, jit=jit)
        _, _, history = train_candidate(TrainingInputs("tiny", settings, images, splits, 3), tmp_path)
        losses.append(history.epochs[0].validation_loss)
    assert losses[1] == pytest.approx(losses[0], rel=1e-2)  # rounding of an epoch's steps


@pytest.mark.gpu
def test_a_gpu_trains_where_there_is_one(tmp_path: Path) -> None:
    if not tf.config.list_physical_devices("GPU"):
        pytest.skip("no GPU that TensorFlow can use")
    images, splits = make_images()
    settings = tiny_settings(mixed_precision=True, jit=True)
    _, _, history = train_candidate(TrainingInputs("tiny", settings, images, splits, 3), tmp_path)
    assert "GPU" in history.device
    assert history.epochs[-1].loss < history.epochs[0].loss


def test_one_device_needs_no_strategy() -> None:
    with placed_on("one") as device:
        assert not tf.distribute.has_strategy()
    assert "core" in device or "GPU" in device
