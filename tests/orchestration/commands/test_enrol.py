"""`run.py enrol`: what is enrolled is listed, written down as class folders and forgotten."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest

import run
from serving.api.schemas import EnrolledAnswer
from serving.log.enrolments import Enrolment, add_enrolment
from serving.log.prediction_log import PredictionLog
from serving.runtime.process import ServiceStatus
from tests.serving.answers import START
from tests.serving.toy import RED, paint

NAMED = ["enrol", "fast", "--set", "name=toy"]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TAXON_STATE", str(tmp_path))
    return tmp_path


def test_enrolled_classes_are_listed_written_and_forgotten(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (home / "state").mkdir()
    images = [(f"{number}.png", b"picture %d" % number) for number in range(5)]
    with closing(PredictionLog(f"sqlite:///{home}/state/predictions.sqlite")) as log:
        add_enrolment(log, Enrolment("toy", "burbot", "lab", START, images))
        add_enrolment(log, Enrolment("other", "pike", "lab", START, images))
    assert run.main([*NAMED, "--out", str(home / "enrolled")]) == 0
    told = capsys.readouterr().out
    assert "burbot: 5 pictures" in told
    assert "pike" not in told
    written = sorted((home / "enrolled").rglob("*.jpg"))
    assert [each.read_bytes() for each in written] == [image for _, image in images]
    assert {each.parent.name for each in written} == {"burbot"}
    assert run.main([*NAMED, "--forget", "burbot"]) == 0
    assert run.main([*NAMED, "--forget", "burbot"]) == 2
    assert run.main(NAMED) == 0
    assert "No class is enrolled" in capsys.readouterr().out


def test_a_picture_that_cannot_be_used_is_left_out_by_name(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    running = SimpleNamespace(
        bento=SimpleNamespace(model=SimpleNamespace(name="toy")), url="", keys_from_environment=True
    )
    sent: list[list[str]] = []

    def enrol(_url: str, _key: str, name: str, images: list[tuple[str, bytes]]) -> EnrolledAnswer:
        sent.append([each for each, _ in images])
        return EnrolledAnswer(class_name=name, num_images=1, num_recognised=1, threshold=0.5, alpha=0.05)

    monkeypatch.setenv("TAXON_API_KEYS", "lab:key")
    monkeypatch.setattr(
        "serving.runtime.process.service_status",
        lambda _: ServiceStatus(running, True, ""),  # type: ignore[arg-type]
    )
    monkeypatch.setattr("serving.client.enrol_class", enrol)
    photos = home / "photos"
    photos.mkdir()
    (photos / "cut.png").write_bytes(paint(RED)[:60])
    assert run.main([*NAMED, "burbot", str(photos)]) == 2
    assert "no picture that can be used" in capsys.readouterr().err
    (photos / "whole.png").write_bytes(paint(RED))
    assert run.main([*NAMED, "burbot", str(photos)]) == 0
    assert "Left out" in (told := capsys.readouterr().out)
    assert "cut.png" in told
    assert sent == [["whole.png"]]


def test_without_a_service_or_with_half_of_the_words_it_says_what_to_type(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (home / "photos").mkdir()
    assert run.main([*NAMED, "burbot", str(home / "photos")]) == 2
    told = capsys.readouterr().err
    assert "run.py serve" in told
    assert "first python run.py train" in told
    assert run.main([*NAMED, "burbot", str(home / "nowhere")]) == 2
    assert "no such folder" in capsys.readouterr().err
    assert run.main([*NAMED, "burbot"]) == 2
    assert "CLASS FOLDER" in capsys.readouterr().err
