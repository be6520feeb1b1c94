"""The queue of doubtful answers, a word taken back, and the pictures on which reviewers agree."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest
from pydantic import SecretStr
from starlette.testclient import TestClient

import run
from serving.log.corrections import Correction, add_correction
from serving.log.prediction_log import PredictionLog
from serving.log.review import find_agreed, list_doubts, take_back
from tests.serving.answers import START, make_entry
from tests.serving.api.client import serve
from tests.serving.toy import BLACK, GREY, KEY, OTHER_KEY, RED, make_answerer, paint
from tests.vision.training.nets.toy import KERAS_WARNINGS
from vision.config.serve import PredictionLogSettings, ServeSettings
from vision.decision.records import Decision

pytestmark = [pytest.mark.slow, KERAS_WARNINGS]


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    given = {"log_url": SecretStr(f"sqlite:///{tmp_path}/log.sqlite"), "keep_images": True}
    with serve(
        load=lambda settings, metrics: make_answerer(settings.model_copy(update=given), metrics)
    ) as made:
        yield made


def wait(client: TestClient, key: str) -> list[dict[str, object]]:
    answer = client.get("/review", headers={"X-API-Key": key})
    assert answer.status_code == 200, answer.text
    waiting: list[dict[str, object]] = answer.json()["waiting"]
    return waiting


def test_doubtful_and_unknown_answers_wait_until_this_key_speaks_and_again_after_undo(
    client: TestClient,
) -> None:
    told = [
        client.post("/predict", headers={"X-API-Key": KEY}, files={"image": paint(colour)}).json()
        for colour in (RED, GREY, BLACK)
    ]
    doubtful = [each["prediction_id"] for each in told if each["decision"] != "accept"]
    assert [each["prediction_id"] for each in wait(client, KEY)] == doubtful[::-1]
    assert all(each["picture_jpeg"] for each in wait(client, KEY))
    said = {"prediction_id": doubtful[0], "class_name": "green"}
    sent = client.post(
        "/corrections", headers={"X-API-Key": KEY}, files={k: (None, v) for k, v in said.items()}
    )
    assert sent.status_code == 200
    assert [each["prediction_id"] for each in wait(client, KEY)] == doubtful[:0:-1]
    others = {each["prediction_id"]: each["num_said"] for each in wait(client, OTHER_KEY)}
    assert others == {doubtful[0]: 1, doubtful[1]: 0}
    undone = {"prediction_id": (None, doubtful[0])}
    for taken_back in (True, False):
        answer = client.post("/corrections/undo", headers={"X-API-Key": KEY}, files=undone)
        assert answer.json()["taken_back"] is taken_back
    assert [each["prediction_id"] for each in wait(client, KEY)] == doubtful[::-1]


def test_pictures_on_which_all_agree_are_written_as_class_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TAXON_STATE", str(tmp_path))
    (tmp_path / "state").mkdir()
    words = [("chub", "chub"), ("chub", "nase"), ("nase",), ("nase",), ("nase",), ("../far", "../far")]
    sent = ["fish1_frame2.jpg", "a.png", "C:\\x\\fish 2.JPG", "one.PNG", "two/one.png", "b.png"]
    with closing(PredictionLog(f"sqlite:///{tmp_path}/state/predictions.sqlite", keep_images=True)) as log:
        for serial, said in enumerate(words):
            name = sent[serial]
            image = paint(RED, "JPEG" if serial == 2 else "PNG", sides=(40 + serial, 40))
            log.append(make_entry(serial, decision=Decision.REVIEW, image=image, file_name=name))
            for client, name in zip(("ann", "bob"), said, strict=False):
                add_correction(log, Correction(f"id-{serial}", name, client, START))
        assert list_doubts(log, "reef", "cat", 10)[0][1] == {"ann": "../far", "bob": "../far"}
    alone = ["nase/fish 2.JPG", "nase/one-id-3.PNG", "nase/one-id-4.png"]
    agreed = ["chub/fish1_frame2.png"]
    for options, expected in (([], [*agreed, *alone]), (["--agreed"], agreed)):
        out = tmp_path / f"out{len(options)}"
        assert run.main(["corrections", "--out", str(out), *options]) == 0
        written = sorted(each.relative_to(out).as_posix() for each in out.rglob("*") if each.is_file())
        assert written == expected
        (out / agreed[0]).write_bytes(b"another picture")
        assert run.main(["corrections", "--out", str(out), *options]) == 0
        assert (out / agreed[0]).read_bytes() == b"another picture"
        assert (out / "chub" / "fish1_frame2-id-0.png").is_file()
    assert find_agreed([]) == {}
    with closing(PredictionLog(f"sqlite:///{tmp_path}/state/predictions.sqlite")) as log:
        assert take_back(log, "id-0", "bob")
        for serial in (2, 3, 4):  # all of nase
            add_correction(log, Correction(f"id-{serial}", "roach", "ann", START))
    kept = tmp_path / "out0" / "roach" / "of the user.png"
    kept.parent.mkdir()
    kept.write_bytes(b"another picture")
    capsys.readouterr()
    assert run.main(["corrections", "--out", str(tmp_path / "out0")]) == 0
    assert "nase/one-id-3.PNG is now roach/one-id-3.PNG" in capsys.readouterr().out
    assert not (tmp_path / "out0" / "nase").exists()
    assert (tmp_path / "out0" / "roach" / "one-id-3.PNG").read_bytes() == paint(RED, sides=(43, 40))
    assert kept.is_file()
    assert run.main(["corrections", "--out", str(tmp_path / "none"), "--agreed"]) == 2
    assert "a key of his own" in capsys.readouterr().out


def test_without_pictures_it_is_said_how_they_are_kept_or_that_they_are_from_now_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TAXON_STATE", str(tmp_path))
    (tmp_path / "state").mkdir()
    with closing(PredictionLog(f"sqlite:///{tmp_path}/state/predictions.sqlite")) as log:
        log.append(make_entry(1))
        add_correction(log, Correction("id-1", "chub", "ann", START))
    assert run.main(["corrections", "--out", str(tmp_path / "out")]) == 2
    assert "keep_images: true" in capsys.readouterr().out
    deployed = SimpleNamespace(serve=ServeSettings(log=PredictionLogSettings(keep_images=True)))
    monkeypatch.setattr("serving.runtime.running.read_deployed", lambda _: deployed)
    assert run.main(["corrections", "--out", str(tmp_path / "out")]) == 2
    told = capsys.readouterr().out
    assert "given before the log kept pictures" in told
    assert "keep_images" not in told


def test_every_picture_has_a_file_of_its_own_inside_the_folder_under_the_name_that_tells_its_group(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TAXON_STATE", str(tmp_path))
    (tmp_path / "state").mkdir()
    url = f"sqlite:///{tmp_path}/state/predictions.sqlite"
    long = "river_station_7_upper_pool_camera_b_2026_fish1_frame01.png"
    sent = ["a.png", "A.png", "A-id-0.png", long, "ä" * 200 + "_frame02.png", "../../x\n/..\\..png", ".."]
    for kept, names in ((True, sent), (False, ["early.png"])):
        with closing(PredictionLog(url, keep_images=kept)) as log:
            for serial, name in enumerate(names, 0 if kept else 90):
                log.append(make_entry(serial, image=paint(RED, sides=(40 + serial, 40)), file_name=name))
                add_correction(log, Correction(f"id-{serial}", "chub", "ann", START))
    out = tmp_path / "deep" / "er" / "out"
    for _ in range(2):  # the second time over what the first wrote
        assert run.main(["corrections", "--out", str(out)]) == 0
        told = capsys.readouterr().out
        assert f"{len(sent)} pictures of {len(sent) + 1} agreed answers" in told
        assert "Of 1 agreed answer the log has no picture" in told
        assert "keep_images" not in told
        files = [each for each in (tmp_path / "deep").rglob("*") if each.is_file()]
        assert {each.read_bytes() for each in files} == {
            paint(RED, sides=(40 + serial, 40)) for serial in range(len(sent))
        }
        assert len(files) == len(sent)
        assert {each.parent for each in files} == {out / "chub"}
        assert len({each.name.casefold() for each in files}) == len(sent)
    written = {each.name for each in files}
    assert long in written
    assert "a.png" not in {name.casefold() for name in written}  # two are called so: each has its id
    assert max(len(name.encode()) for name in written) <= 154
    assert any(name.startswith("ää") and name.endswith("ä_frame02.png") for name in written)
