"""What `run.py predict` refuses before it loads anything."""

from __future__ import annotations

from pathlib import Path

import pytest

import run


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["nowhere"], "there is no such file or folder"),
        ([".", "--run", "a", "--model", "b"], "Two models were named, b and a"),
        ([".", "--config", "nowhere"], "nowhere"),
        (["fsat", "more photos"], "python run.py predict fast 'more photos'"),
        (["fast"], "no pictures are named"),
        ([".", "--format", "camtrap-dp"], "Add --deployments"),
        ([".", "--deployments", "a.csv"], "Add --format camtrap-dp"),
        (["fast", "nowhere"], "nowhere: there is no such file"),
        ([".", "--executor", "ray"], "executor.engine: Input should be 'process' or 'dask'; got 'ray'"),
        ([".", "--workers", "0"], "executor.workers: Input should be greater than or equal to 1; got 0"),
        ([".", "--executor", "tcp://host:8786", "--workers", "2"], "has workers of its own"),
    ],
)
def test_a_wrong_question_is_told(
    arguments: list[str],
    told: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("TAXON_STATE", str(tmp_path))
    assert run.main(["predict", *arguments]) == 2
    assert told in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
