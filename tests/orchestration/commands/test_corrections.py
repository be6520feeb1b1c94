"""What people said of answers is listed, and written down as a table."""

from __future__ import annotations

import csv
from contextlib import closing
from pathlib import Path

import pytest

import run
from orchestration.commands.corrections import name_picture
from serving.log.corrections import Correction, add_correction
from serving.log.prediction_log import PredictionLog
from tests.serving.answers import START, make_entry
from tests.serving.toy import RED, paint
from vision.decision.records import Decision


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TAXON_STATE", str(tmp_path))
    return tmp_path


def test_without_a_log_none_are_told(capsys: pytest.CaptureFixture[str], home: Path) -> None:
    assert run.main(["corrections"]) == 0
    assert "No answer was corrected" in capsys.readouterr().out
    assert not (home / "state").exists()


def test_corrections_of_one_model_are_listed_and_written(
    capsys: pytest.CaptureFixture[str], home: Path
) -> None:
    (home / "state").mkdir()
    models = (("reef_fast", Decision.UNKNOWN), ("other", Decision.ACCEPT))
    with closing(PredictionLog(f"sqlite:///{home}/state/predictions.sqlite")) as log:
        for serial, (model, decision) in enumerate(models, 1):
            log.append(make_entry(serial, model_name=model, file_name=f"{model}.jpg", decision=decision))
            add_correction(log, Correction(f"id-{serial}", "Äsche, jung", "lab", START))
    assert run.main(["corrections", "--csv", str(home / "said.csv")]) == 0
    with (home / "said.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["answered"] for row in rows] == ["unknown (nearest: royal_gramma)", "royal_gramma"]
    assert [(row["file"], row["corrected"], row["by"]) for row in rows] == [
        ("reef_fast.jpg", "Äsche, jung", "lab"),
        ("other.jpg", "Äsche, jung", "lab"),
    ]
    with closing(PredictionLog(f"sqlite:///{home}/state/predictions.sqlite")) as log:
        add_correction(log, Correction("id-1", '=HYPERLINK("http://x")', "lab", START))
    assert run.main(["corrections", "--csv", str(home / "said.csv")]) == 0
    assert "'=HYPERLINK" in (home / "said.csv").read_text(encoding="utf-8")
    capsys.readouterr()
    assert run.main(["corrections", "fast", "--set", "name=other"]) == 0
    told = capsys.readouterr().out
    assert "other.jpg" in told
    assert "reef_fast.jpg" not in told
    assert "1 correction of other" in told


@pytest.mark.parametrize(
    ("sent", "written"),
    [
        ("../../x/fish.png", "fish.png"),
        ("C:\\x\\..\\fish.jpg", "fish.png"),
        ("fi\nsh\x00.png", "fish.png"),
        ("/", "picture.png"),
        ("..", "picture.png"),
        (".bashrc", "bashrc.png"),
    ],
)
def test_a_picture_is_named_by_the_last_part_of_what_was_sent(sent: str, written: str) -> None:
    assert name_picture(sent, paint(RED)) == written
