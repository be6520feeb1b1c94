"""`run.py harvest`: what a person types and sees."""

from __future__ import annotations

from pathlib import Path

import pytest

import run
from tests.vision.data.sources.fathomnet.stand_in import StandIn, serving


def write_config(folder: Path, dataset: str) -> str:
    path = folder / "sea.yaml"
    path.write_text(
        f"name: sea\ndataset: {{{dataset}}}\ntraining: {{candidates: {{cnn: {{backbone: cnn}}}}}}\n"
    )
    return str(path)


def test_concepts_are_listed_fetched_and_what_failed_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sea = StandIn()
    for number in range(3):
        sea.add("Melanocetus", number)
        sea.add("Vampyroteuthis", number)
    sea.pictures.pop("/files/dive/Melanocetus-0.jpg")
    with serving(sea):
        config = write_config(
            tmp_path,
            f"source: fathomnet, folder: {tmp_path}/sea, api: {sea.url}/api, min_images: 2, num_classes: 2",
        )
        assert run.main(["harvest", "--config", config, "--scan"]) == 0
        assert "2 have 2 boxes or more" in capsys.readouterr().out
        assert not (tmp_path / "sea").exists()
        assert run.main(["harvest", "--config", config]) == 0
    told = capsys.readouterr().out
    assert "5 photographs" in told
    assert f"1 photograph could not be fetched (first: HTTP 404); see {tmp_path}/sea/failures.csv" in told
    assert f"python run.py train --config {config}" in told


def test_another_source_is_not_fetched(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run.main(["harvest", "--config", write_config(tmp_path, "source: reef")]) == 2
    assert "source is reef" in capsys.readouterr().err
