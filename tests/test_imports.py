"""What each part may import: no library that trains to answer or to read, none that was not asked for."""

from __future__ import annotations

import pytest

from tests.processes import run_python

TRAINING = {"tensorflow", "keras", "sklearn", "zenml", "pandas", "matplotlib"}


@pytest.mark.parametrize(
    ("modules", "forbidden"),
    [
        ("vision.bundle.assembly, vision.bundle.engine, vision.training.weights", TRAINING),
        ("vision.decision.predictor", TRAINING | {"scipy"}),
        ("vision.drift.window, vision.drift.verdict", {"ai_edge_litert"}),
        ("vision.backbones", {"tensorflow", "keras"}),
        ("serving.log.prediction_log", TRAINING | {"sqlalchemy.orm", "alembic"}),
        ("orchestration.flows.training", {"mlflow", "sklearn", "pandas", "scipy.stats"}),
        ("orchestration.projects.start, orchestration.projects.exploration", TRAINING - {"matplotlib"}),
    ],
)
def test_a_part_imports_no_library_that_it_does_not_need(modules: str, forbidden: set[str]) -> None:
    script = f"import sys, {modules}; print(sorted({forbidden!r} & set(sys.modules)))"
    assert run_python("-c", script).stdout.splitlines()[-1] == "[]"
