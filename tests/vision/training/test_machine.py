"""Mixed precision stands in the settings before a run starts."""

from pathlib import Path

import pytest

from vision.config.training import CandidateSettings, Strategy
from vision.training.machine import gpu_present, settle_precision


@pytest.mark.parametrize("trace", ["proc/driver/nvidia/version", "dev/nvidia0"])
def test_a_trace_of_a_gpu_counts_where_tensorflow_can_use_it(tmp_path: Path, trace: str) -> None:
    assert not gpu_present(tmp_path, "numpy")
    path = tmp_path / trace
    path.parent.mkdir(parents=True)
    path.touch()
    assert gpu_present(tmp_path, "numpy")  # any distribution that is installed
    assert not gpu_present(tmp_path, "no-such-distribution")


def candidate(**settings: object) -> CandidateSettings:
    backbone = {"backbone": "mobilenet_v2", "weights": "auto"}
    return CandidateSettings.model_validate({**backbone, **settings})


@pytest.mark.parametrize(
    ("own", "gpu", "expected"),
    [
        (candidate(), True, True),
        (candidate(strategy="two_phase"), True, True),
        (candidate(strategy="frozen"), True, False),
        (candidate(strategy="partial"), True, False),
        (candidate(mixed_precision=False), True, False),
        (candidate(), False, False),
        (candidate(mixed_precision=True), False, True),
    ],
)
def test_mixed_precision_is_filled_in_where_it_is_read_and_nobody_has_said(
    own: CandidateSettings, gpu: bool, expected: bool
) -> None:
    settled = settle_precision(own, gpu=gpu)
    assert settled.mixed_precision is expected
    assert CandidateSettings.model_validate_json(settled.model_dump_json()) == settled


def test_a_strategy_that_ignores_mixed_precision_keeps_its_settings() -> None:
    own = candidate(strategy=Strategy.FROZEN)
    assert settle_precision(own, gpu=True) is own
