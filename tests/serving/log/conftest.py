"""A log in a folder of its own."""

from pathlib import Path

import pytest

from serving.log.prediction_log import PredictionLog
from tests.postgres import postgres

__all__ = ["log", "path", "postgres"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "predictions.sqlite"


@pytest.fixture
def log(path: Path) -> PredictionLog:
    return PredictionLog(f"sqlite:///{path}", wait_s=0.2)
