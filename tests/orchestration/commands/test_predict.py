"""What `run.py predict` refuses before it loads anything."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import run
from orchestration.commands.parsing import parse
from orchestration.commands.predict import _answer, _read_settings, _split_words
from orchestration.flows.answering import AnsweringModel
from orchestration.session.paths import ProjectPaths
from tests.serving.toy import RED, make_bundle, paint
from vision.config.work import ExecutorSettings
from vision.prediction.batch import BatchModel


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
        ([".", "--group-by", "fish("], "group_by: 'fish(' is not a regular expression"),
        ([".", "--group-by", "fish"], "group_by: 'fish' has no part named (?P<group>"),
        ([".", "--executor", "tcp://host"], "executor.address: should name a scheduler's host and port"),
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


@pytest.mark.parametrize(
    ("words", "answers"),
    [
        (["my-fish", "photos"], ExecutorSettings(engine="dask", workers=3)),
        (["my-fish", "photos", "--run", "latest"], ExecutorSettings(engine="dask", workers=3)),
        (["my-fish", "photos", "--workers", "2"], ExecutorSettings(engine="dask", workers=2)),
        (["my-fish", "photos", "--executor", "process"], ExecutorSettings()),
        (["photos", "--workers", "2"], ExecutorSettings(workers=2)),
    ],
)
def test_who_answers_is_typed_or_as_the_config_says(
    words: list[str], answers: ExecutorSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    (tmp_path / "configs").mkdir()
    config = Path(shutil.copy(run.ROOT / "configs" / "smoke.yaml", tmp_path / "configs" / "my-fish.yaml"))
    config.write_text(f"{config.read_text()}\nexecutor: {{engine: dask, workers: 3}}\n")
    options = parse(["predict", *words])[1]
    named, asked = _split_words(options, ProjectPaths.of(tmp_path))
    assert asked == ["photos"]
    assert _read_settings(options, named).executor == answers


@pytest.mark.slow
def test_what_is_told_of_similar_images_is_what_the_page_shows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "red.png").write_bytes(paint(RED))
    out, bundle = tmp_path / "out", make_bundle()
    found = AnsweringModel(BatchModel(bundle.root, bundle.digest, "toy"), "toy", None, 40)
    options = parse(["predict", str(tmp_path / "red.png"), "--similar", "2", "--out", str(out)])[1]
    assert _answer(options, [tmp_path / "red.png"], found, ProjectPaths.of(tmp_path)) == 0
    assert "there under each answer but those of something else" in capsys.readouterr().err
