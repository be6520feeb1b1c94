"""Which rooms a step's cache key reaches: rewording a sentence elsewhere runs nothing again."""

from __future__ import annotations

from pathlib import PurePath

import pytest

from pipelines.caching import step_closure
from vision.base.closure import ROOT

DATA, DECISION, EVALUATION, BUNDLE, GATE = "data", "decision", "evaluation", "bundle", "gate"
DRIFT, TRAINING, BACKBONES, RETRAINING, SERVING = "drift", "training", "backbones", "retraining", "serving"
LOOP = {DATA, DECISION, EVALUATION, DRIFT, GATE, RETRAINING}

ROOMS: dict[str, set[str]] = {
    "data/ingest": {DATA},
    "data/split": {DATA},
    "data/validate": {DATA},
    "data/explore": {DATA, DECISION, EVALUATION, GATE},
    "training/train": {DATA, TRAINING, BACKBONES},
    "training/infer": {DATA, TRAINING, BACKBONES},
    "training/infer_teacher": {DATA, DECISION, DRIFT, BUNDLE},
    "training/tune": {DATA, TRAINING, BACKBONES},
    "decision/calibrate": {DATA, DECISION},
    "decision/fit_unknowns": {DATA, DECISION},
    "decision/set_thresholds": {DATA, DECISION},
    "evaluation/evaluate": {DATA, DECISION, EVALUATION},
    "evaluation/compare": {DATA, DECISION, EVALUATION},
    "evaluation/measure_gains": {DATA, DECISION, EVALUATION, BUNDLE, TRAINING, BACKBONES},
    "evaluation/pick_winner": {DATA, DECISION, EVALUATION},
    "evaluation/fit_baselines": {DATA, EVALUATION},
    "evaluation/infer_test": {DATA, DECISION, EVALUATION, BUNDLE},
    "export/export": {DATA, DECISION, TRAINING, BACKBONES, BUNDLE},
    "export/check_precisions": {DATA, DECISION, EVALUATION, BUNDLE},
    "export/infer_precisions": {DATA, DECISION, EVALUATION, BUNDLE},
    "export/require_precision": {DATA, DECISION, EVALUATION, BUNDLE},
    "export/infer_exported": {DATA, DECISION, BUNDLE},
    "export/assemble": {DATA, DECISION, EVALUATION, DRIFT, BUNDLE},
    "gate/promote": {DATA, DECISION, EVALUATION, BUNDLE, BACKBONES, DRIFT, GATE},
    "gate/register": LOOP | {BUNDLE},
    "loop/deploy": {DATA, DECISION, DRIFT, BUNDLE, SERVING},
    "loop/read_window": {DATA, DECISION, DRIFT, SERVING},
    "loop/trim_log": {DATA, DECISION, DRIFT, SERVING},
    "loop/monitor": {DATA, DECISION, DRIFT, BUNDLE, SERVING},
    "loop/answer_batch": {DATA, DECISION, DRIFT, BUNDLE, SERVING, "prediction"},
    "loop/count_new_images": LOOP,
    "loop/decide_retraining": LOOP,
}
"""Every step, and the rooms that it reaches beside its own file, base, settings and materializers."""

SETTINGS: dict[str, set[str]] = {
    "data/ingest": {"data", "labelled", "registry", "tables", "yaml_text"},
    "data/split": {"data"},
    "data/validate": {"data"},
    "data/explore": {"data", "decision", "evaluation", "gate"},
    "training/train": {"augment", "data", "training"},
    "training/infer": {"augment", "data", "training"},
    "decision/calibrate": {"evaluation"},
    "decision/fit_unknowns": set(),
    "decision/set_thresholds": {"decision", "evaluation"},
    "evaluation/evaluate": {"decision", "evaluation"},
    "evaluation/compare": {"evaluation"},
    "evaluation/fit_baselines": {"data"},
}
"""The settings modules that the cached steps of a training reach."""

TRAIN = """
materializers/__init__.py materializers/arrays.py materializers/files.py materializers/folders.py
materializers/plain.py materializers/records.py
steps/__init__.py steps/training/__init__.py steps/training/train.py
vision/__init__.py
vision/backbones/__init__.py vision/backbones/applications.py vision/backbones/blocks.py
vision/backbones/cnn.py vision/backbones/cnn_residual.py vision/backbones/convnext.py
vision/backbones/declaration.py vision/backbones/efficientnet.py vision/backbones/efficientnet_lite.py
vision/backbones/mobilenet.py vision/backbones/resnet.py
vision/backbones/torch_file.py vision/backbones/vgg.py vision/backbones/vit.py
vision/base/__init__.py vision/base/closure.py vision/base/columns/__init__.py vision/base/columns/column.py
vision/base/columns/kinds.py vision/base/columns/parquet.py vision/base/columns/rows.py
vision/base/errors.py vision/base/files.py
vision/base/home.py vision/base/names.py vision/base/native.py vision/base/outputs.py
vision/base/record.py vision/base/softmax.py
vision/config/__init__.py vision/config/augment.py vision/config/base.py vision/config/data.py
vision/config/training.py
vision/data/decoding/__init__.py vision/data/decoding/capture_time.py vision/data/decoding/colour.py
vision/data/decoding/depth.py vision/data/decoding/formats.py vision/data/decoding/jpeg.py
vision/data/decoding/loading.py vision/data/decoding/opening.py vision/data/decoding/remarks.py
vision/data/__init__.py vision/data/images.py vision/data/quality.py vision/data/records.py
vision/data/store.py
vision/training/__init__.py vision/training/nets/__init__.py vision/training/nets/batch_norm.py
vision/training/nets/devices.py
vision/training/nets/fitting/__init__.py vision/training/nets/fitting/augmentation.py
vision/training/nets/fitting/batches.py vision/training/nets/fitting/checkpoint.py
vision/training/nets/fitting/cluster.py
vision/training/nets/fitting/cuts.py vision/training/nets/fitting/distillation.py
vision/training/nets/fitting/fit.py vision/training/nets/fitting/phases.py
vision/training/nets/fitting/recipe.py vision/training/nets/fitting/state.py
vision/training/nets/fitting/strategies.py vision/training/nets/fitting/watch.py
vision/training/nets/fitting/worker.py vision/training/machines.py
vision/training/nets/heads.py vision/training/nets/inference.py vision/training/nets/model_file.py
vision/training/nets/models.py vision/training/nets/seeding.py vision/training/recipe_words.py
vision/training/records.py
"""


def reach(step: str) -> tuple[str, ...]:
    return step_closure(f"steps.{step.replace('/', '.')}")


def test_every_step_is_in_the_table() -> None:
    steps = {f"{path.parent.name}/{path.stem}" for path in (ROOT / "steps").glob("*/[a-z]*.py")}
    assert steps == set(ROOMS)


@pytest.mark.parametrize("step", ROOMS)
def test_a_step_reaches_its_own_file_and_its_rooms_alone(step: str) -> None:
    group, name = step.split("/")
    own = {"steps/__init__.py", f"steps/{group}/__init__.py", f"steps/{group}/{name}.py"}
    rooms = set()
    for file in reach(step):
        top, *rest = PurePath(file).parts
        if top == "vision" and len(rest) > 1:
            rooms.add(rest[0])
        elif top == "steps":
            assert file in own
        elif top != "materializers" and file != "vision/__init__.py":
            rooms.add(top)
    assert rooms - {"base", "config"} == ROOMS[step]


@pytest.mark.parametrize("step", SETTINGS)
def test_a_step_reaches_its_own_settings_alone(step: str) -> None:
    modules = {PurePath(file).stem for file in reach(step) if file.startswith("vision/config/")}
    assert modules - {"__init__", "base"} == SETTINGS[step]


def test_train_reaches_these_files() -> None:
    assert sorted(reach("training/train")) == sorted(TRAIN.split())


@pytest.mark.parametrize("step", ["training/train", "training/infer"])
def test_no_change_of_a_decision_an_evaluation_or_monitoring_trains_again(step: str) -> None:
    """The predictor's sentences, the monitoring settings; a line of the training loop does."""
    left_alone = ("vision/decision/", "vision/evaluation/", "vision/drift/", "vision/config/monitoring.py")
    assert not [file for file in reach(step) if file.startswith(left_alone)]
    assert ("vision/training/nets/fitting/fit.py" in reach(step)) == (step == "training/train")


def test_exporting_and_its_inference_reach_no_rule() -> None:
    for step in ("export/export", "export/infer_exported", "evaluation/infer_test"):
        decision = {file for file in reach(step) if file.startswith("vision/decision/")}
        records = ("__init__", "passport", "records")
        assert decision <= {f"vision/decision/{name}.py" for name in records}
