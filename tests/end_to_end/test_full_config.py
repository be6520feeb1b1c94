"""full.yaml is meant for a GPU; shortened and with random weights from files, every backbone runs here."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.end_to_end.project import Project

pytestmark = [pytest.mark.end_to_end, pytest.mark.slow]

SHORT = (
    "dataset.images_per_class=16",
    "dataset.unknown_images_per_class=8",
    "images.size=32",
    "bootstrap.resamples=100",
    "unknowns.num_far=20",
    "gate.min_accuracy=0",
    "gate.max_known_called_unknown=1",
    "export.tolerance.decision_disagreement=1",
    "export.tolerance.max_probability_difference=1",
    "export.tolerance.mean_probability_difference=1",
    "export.tolerance.ece_difference=1",
    "export.tolerance.unknown_auroc_difference=1",
)

TUNED = "mobilenet_v3_large"
"""Its smallest pretrained network; all are tuned alike, and of the others the head alone is trained here."""


@pytest.mark.long
def test_full_config_runs_with_weights_from_files(tmp_path: Path) -> None:
    import keras

    keras.utils.set_random_seed(0)
    sizes = {"include_top": False, "weights": None, "input_shape": (32, 32, 3)}
    weights = {
        "mobilenet_v3_large": keras.applications.MobileNetV3Large(**sizes),
        "efficientnet_v2_b0": keras.applications.EfficientNetV2B0(**sizes),
        "resnet50": keras.applications.ResNet50(**sizes),
    }
    overrides = [*SHORT]
    for name, network in weights.items():
        path = tmp_path / f"{name}.weights.h5"
        network.save_weights(path)
        if name == TUNED:
            overrides.append(f"training.candidates.{name}.weights={path}")
        else:
            head = f"{{backbone: {name}, weights: {path}, strategy: frozen}}"
            overrides.append(f"training.candidates.{name}={head}")
    for name in ("cnn_residual", TUNED):
        overrides.append(f"training.candidates.{name}.epochs=1")
        overrides.append(f"training.candidates.{name}.batch_size=32")
    overrides.append("training.candidates.cnn_residual.width=0.125")
    project = Project(tmp_path)
    settings = [part for override in overrides for part in ("--set", override)]
    finished = project.run("--pipeline", "training", "--config", "full.yaml", *settings)
    # Networks of one epoch on eight images a class may well be refused by the gate, which is an answer.
    assert finished.code in {0, 3}, finished.output[-4000:]
    summary = project.summary()
    assert set(summary["candidates"]) == {"cnn_residual", *weights}
    assert summary["left_out"] == []
    assert summary["failure"] is None
    assert summary["gate"]["verdict"] in {"promoted", "refused"}
