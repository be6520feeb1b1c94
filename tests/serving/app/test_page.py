"""The page as a person uses it, against the toy's real service: up, down, known, unknown, refused."""

from __future__ import annotations

import csv
import io
import sqlite3
import zipfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, cast

import psutil
import pytest
from streamlit.testing.v1 import AppTest
from streamlit.testing.v1.element_tree import Image
from streamlit.util import calc_hash

import serving.app
from serving.api.schemas import BatchRow, PredictionAnswer
from serving.app.pictures import lay_heat
from serving.client import answer_archive, ask_service
from serving.log.corrections import list_corrected
from serving.log.prediction_log import PredictionLog
from serving.runtime.running import RunningService, ServiceFolder, read_record, write_record
from tests.serving.live import serving_toy
from tests.serving.toy import BLACK, BLUE, GREY, KEY, RED, paint
from tests.vision.training.nets.toy import KERAS_WARNINGS
from vision.base.errors import ServiceError
from vision.prediction.tables import list_columns

SCRIPT = Path(serving.app.__file__).parent / "page.py"

pytestmark = [pytest.mark.slow, KERAS_WARNINGS]


@pytest.fixture(scope="module")
def service() -> Iterator[RunningService]:
    with serving_toy() as running:
        yield running


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ServiceFolder:
    monkeypatch.setenv(serving.app.HOME_VARIABLE, str(tmp_path))
    monkeypatch.setattr("serving.runtime.running.list_services", list_recorded)
    folder = ServiceFolder(tmp_path)
    folder.root.mkdir(parents=True)
    return folder


def list_recorded(folder: ServiceFolder) -> dict[str, int]:
    """The process on record if it lives, also where it is this one."""
    service = read_record(RunningService, folder.record)
    return {service.instance: service.pid} if service and psutil.pid_exists(service.pid) else {}


@pytest.fixture
def up(folder: ServiceFolder, service: RunningService) -> ServiceFolder:
    """The service runs, with its key in a file."""
    folder.key.write_text(KEY)
    write_record(folder.record, service.model_copy(update={"keys_from_environment": False}))
    return folder


@pytest.fixture
def logged(folder: ServiceFolder) -> Iterator[ServiceFolder]:
    """The service runs with a log in the project's folder."""
    with serving_toy(folder.home / "log.sqlite") as running:
        folder.key.write_text(KEY)
        write_record(folder.record, running.model_copy(update={"keys_from_environment": False}))
        yield folder


def open_page() -> AppTest:
    page = AppTest.from_file(str(SCRIPT), default_timeout=60).run()
    assert not page.exception
    return page


def go(page: AppTest, path: str) -> AppTest:
    """The page after a click in its navigation."""
    page._page_hash = calc_hash(path)
    page.run()
    assert not page.exception
    return page


def drop(page: AppTest, *files: tuple[str, bytes]) -> AppTest:
    page.file_uploader[0].set_value([(name, content, "image/png") for name, content in files])
    page.run()
    assert not page.exception
    return page


def texts(page: AppTest) -> str:
    """All that is written on the page."""
    kinds = page.markdown, page.caption, page.success, page.info, page.warning, page.error, page.code
    return "\n".join(each.value for kind in kinds for each in kind).replace("\\", "")


def captions(page: AppTest) -> list[str]:
    return [text for each in page.get("image") for text in cast(Image, each).captions]


def test_a_known_picture_is_named_with_its_heat_map(up: ServiceFolder) -> None:
    page = drop(open_page(), ("a.png", paint(RED)))
    assert page.success[0].value.startswith(r"#### red \(very sure\)")
    assert not page.info
    assert not page.warning
    warm = "Warm: what spoke most for red. A hint, no outline."
    assert captions(page)[:2] == [warm, r"a\.png"]
    assert captions(page)[2:4] == ["red (this very picture)", "red"]  # the known images that it is most like
    assert "knows 3 classes" in texts(page)


def test_several_pictures_are_answered_at_once_the_doubtful_first(up: ServiceFolder) -> None:
    files = ("red.png", paint(RED)), ("grey.png", paint(GREY)), ("black.png", paint(BLACK))
    page = drop(open_page(), *files, ("junk.jpg", b"no picture"))
    assert "4 pictures: 1 decided alone, 1 for you to look at, 1 unknown, 1 without an answer" in texts(page)
    assert page.error[0].value.startswith(r"junk\.jpg is not a picture\. Send a JPEG")
    shown = [caption for caption in captions(page) if "png" in caption]
    assert shown == [r"grey\.png", r"black\.png", r"red\.png"]
    assert "Of what I decide alone at most" in texts(page)
    assert "please look yourself" in page.warning[0].value
    assert "I do not know this" in page.info[0].value
    assert page.dataframe[0].value["picture"].tolist() == ["junk.jpg", "black.png", "grey.png", "red.png"]


def test_several_pictures_stand_beside_pictures_of_their_classes(
    up: ServiceFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "taught.png").write_bytes(paint(RED))
    shown = {name: [tmp_path / "taught.png"] for name in ("red", "green", "blue")}
    monkeypatch.setattr("serving.app.screens.ask.find_class_pictures", lambda *_: shown)
    page = drop(open_page(), ("a.png", paint(RED)), ("b.png", paint(GREY)))
    folded = [each.value for expander in page.expander for each in expander.caption]
    compare = [each.value for each in page.caption if each.value.startswith("Compare")]
    assert len(compare) == 2
    assert "Compare: red as it was taught" in compare
    assert not set(compare) & set(folded)


def test_each_picture_is_asked_once_in_a_group_of_its_own_however_often_the_page_is_drawn(
    up: ServiceFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    groups = []

    def ask(*arguments: Any, group: str, **named: Any) -> PredictionAnswer:
        groups.append(group)
        return ask_service(*arguments, group=group, **named)

    monkeypatch.setattr("serving.app.visit.ask_service", ask)
    page = drop(open_page(), ("a.png", paint(RED)))
    page.run()
    page.text_input[0].set_value("camera-7").run()
    assert groups == [page.session_state["visit"]]
    drop(go(go(page, "review"), "ask"), ("b.png", paint(BLACK)))
    drop(page, ("c.png", paint(BLACK)))
    assert groups[1:] == ["camera-7", "camera-7"]


def test_names_of_files_are_text_and_nothing_else(up: ServiceFolder) -> None:
    name = "![x](http:&sol;&sol;far.example&sol;leak.png) $a$ :red[b].png"
    shown = captions(drop(open_page(), (name, paint(RED))))[1]
    assert shown.startswith(r"\!\[x\]\(http\:\&sol\;\&sol\;far\.example")
    assert r"\$a\$ \:red\[b\]" in shown


def test_a_correction_reaches_the_log_with_who_said_so(logged: ServiceFolder) -> None:
    page = drop(open_page(), ("a.png", paint(BLACK)))
    page.selectbox[0].set_value("green").run()
    next(each for each in page.button if each.label == "Keep").click().run()
    assert not page.exception
    assert "You say: **green**" in texts(page)
    assert "The picture is not kept" in texts(page)
    with closing(PredictionLog(f"sqlite:///{logged.home}/log.sqlite", create=False)) as log:
        (kept,) = (each.correction for each in list_corrected(log))
    assert (kept.class_name, kept.client) == ("green", "team")


def test_a_correction_that_cannot_be_kept_is_told_of(up: ServiceFolder) -> None:
    page = drop(open_page(), ("a.png", paint(BLACK)))
    page.selectbox[0].set_value("green").run()
    next(each for each in page.button if each.label == "Keep").click().run()
    assert "could not be written down" in page.error[0].value
    assert "You say" not in texts(page)


def test_doubtful_answers_are_settled_by_a_button_each_and_taken_back(logged: ServiceFolder) -> None:
    drop(open_page(), ("grey.png", paint(GREY)), ("black.png", paint(BLACK)))
    page = open_page()
    go(page, "review")
    assert "2 doubtful or unknown answers to look at; 0 settled now" in texts(page)
    assert "I thought: **unknown, most like red (33.3%)**" in texts(page)
    with closing(sqlite3.connect(logged.home / "log.sqlite")) as stored, stored:
        stored.execute("UPDATE predictions SET unknown_kind = 'stranger' WHERE file_name = 'black.png'")
    page.run()
    assert "I thought: **unknown, something else**" in texts(page)
    assert "find this one by its name" in texts(page)
    assert "run.py corrections" not in texts(page)
    keys = {each.label: each.proto.shortcut for each in page.button}
    assert keys == {"red": "", "green": "", "blue": "", "Skip": "s"}  # no key answers for what is not shown
    press(page, "green")
    assert "1 doubtful or unknown answer to look at; 1 settled now" in texts(page)
    with closing(PredictionLog(f"sqlite:///{logged.home / 'log.sqlite'}")) as log:
        (said,) = list_corrected(log)
        assert (said.correction.class_name, said.correction.client) == ("green", "team")
        press(page, "Undo the last")
        assert list_corrected(log) == []
    press(page, "Skip")
    assert "1 doubtful or unknown answer to look at; 0 settled now, 1 skipped" in texts(page)
    press(page, "Skip")
    assert "Only what you skipped is left" in texts(page)


def test_that_only_skipped_ones_are_left_is_said_where_it_is_known(
    logged: ServiceFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serving.app.screens.review._AT_ONCE", 1)
    monkeypatch.setattr("serving.app.screens.review._MOST", 2)
    page = drop(open_page(), *[(f"{number}.png", paint(BLACK)) for number in range(3)])
    press(press(go(page, "review"), "Skip"), "Skip")
    assert "You skipped 2. Others may wait behind them" in texts(page)
    assert "Only what you skipped" not in texts(page)


def test_what_was_chosen_under_more_is_asked_and_the_heat_map_is_drawn_as_strong_as_wanted(
    up: ServiceFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, strengths = [], []

    def ask(*arguments: Any, **named: Any) -> PredictionAnswer:
        asked.append((named["query"].tta, named["query"].reencode, named["query"].similar))
        return ask_service(*arguments, **named)

    def lay(shown: bytes, drawn: bytes, resize: str, strength: float) -> Any:
        strengths.append(strength)
        return lay_heat(shown, drawn, resize, strength)

    monkeypatch.setattr("serving.app.visit.ask_service", ask)
    monkeypatch.setattr("serving.app.cards.lay_heat", lay)
    page = open_page()
    next(each for each in page.slider if each.key == "tta").set_value(4)
    page.toggle(key="reencode").set_value(True)
    page.toggle(key="similar").set_value(False)
    drop(page, ("a.png", paint(RED)))
    assert asked == [(4, True, 0)]
    assert "Most like these" not in texts(page)
    page.slider(key="heat-0").set_value(0.0).run()
    assert (strengths[0], strengths[-1]) == (1.0, 0.0)
    assert asked == [(4, True, 0)]


def press(page: AppTest, label: str) -> AppTest:
    next(each for each in page.button if each.label == label).click().run()
    assert not page.exception
    return page


def test_a_key_file_that_is_gone_is_told_of(up: ServiceFolder) -> None:
    up.key.unlink()
    assert "api_key" in open_page().error[0].value.replace("\\", "")


def test_without_a_service_the_page_says_so_and_how_to_start_one(folder: ServiceFolder) -> None:
    page = open_page()
    assert "The service is down" in page.error[0].value
    assert "No service is running" in texts(page)
    assert page.code[0].value == "make serve"
    assert not page.get("file_uploader")


def test_a_service_that_died_is_told_of(up: ServiceFolder, service: RunningService) -> None:
    write_record(up.record, service.model_copy(update={"pid": 2**22 + 1}))
    page = open_page()
    assert "The service is down" in page.error[0].value
    assert "ended by itself" in texts(page)


def test_a_service_with_keys_of_its_own_asks_for_one(folder: ServiceFolder, service: RunningService) -> None:
    write_record(folder.record, service)
    page = open_page()
    assert "TAXON_API_KEYS" in texts(page)
    assert not page.get("file_uploader")
    page.text_input[0].set_value("wrong-wrong-wrong-wrong").run()
    assert "That key is none of this service" in page.error[0].value
    assert not page.get("file_uploader")
    page.text_input[0].set_value(KEY).run()
    assert page.get("file_uploader")


def test_the_example_of_the_last_deployment_is_at_hand(up: ServiceFolder, tmp_path: Path) -> None:
    assert not open_page().button
    example = tmp_path / "example.png"
    example.write_bytes(paint(RED))
    leave_example(up, example)
    page = open_page()
    page.button[0].click().run()
    assert "red" in page.success[0].value
    assert not [each for each in page.button if "test images" in each.label]


def leave_example(folder: ServiceFolder, example: Path) -> None:
    from serving.runtime.running import DeployedService

    running = read_record(RunningService, folder.record)
    assert running is not None
    (folder.bentoml / "bentos" / running.bento.tag.replace(":", "/")).mkdir(parents=True)
    deployed = DeployedService(bento=running.bento, serve=running.serve, example=example)
    write_record(folder.deployed, deployed)


def test_a_batch_is_counted_sent_after_a_click_and_answered_file_by_file(logged: ServiceFolder) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a/red.png", paint(RED))
        archive.writestr("a/black.png", paint(BLACK))
        archive.writestr("notes.txt", b"no picture")
        archive.writestr("../out.png", paint(RED))
    page = drop(go(open_page(), "batch"), ("grey.png", paint(GREY)), ("photos.zip", buffer.getvalue()))
    assert "5 files" in texts(page)
    with closing(PredictionLog(f"sqlite:///{logged.home / 'log.sqlite'}", create=True)) as log:
        before = log.count()
        press(page, "Answer 5 files")
        assert log.count() - before == 3
    assert "5 pictures: 1 decided alone, 1 for you to look at, 1 unknown, 2 without an answer" in texts(page)
    assert "notes.txt is not a picture" in texts(page)
    assert "out.png: its name in the archive leads out of it" in texts(page)
    told = [caption.split("**")[1].replace("\\", "") for caption in captions(page)]
    assert told == ["red? 33.3%", "unknown", "red over 99.9%"]
    assert page.dataframe[0].value.to_dict("records") == [
        {"class": "red", "decided alone": 1, "suggested": 1},
    ]
    rows = list(csv.DictReader(io.StringIO("".join(page.session_state["batch"].rows))))
    assert [row["decision"] for row in rows] == ["review", "accept", "unknown", "unreadable", "unreadable"]
    assert list(rows[0]) == list_columns(5, more=["prediction_id"])
    go(go(page, "ask"), "batch")
    assert "5 pictures" in texts(page)


def test_a_batch_that_was_cut_goes_on_where_it_was(
    up: ServiceFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def answer(*arguments: Any, **named: Any) -> Iterator[BatchRow]:
        calls.append(1)
        rows = answer_archive(*arguments, **named)
        yield next(rows)
        if len(calls) == 1:
            raise ServiceError("it went away")
        yield from rows

    monkeypatch.setattr("serving.app.batch.answer_archive", answer)
    files = [(f"{number}.png", paint(RED)) for number in range(3)]
    files.append(("B8_river_station_fish1_frame17.png", paint(BLUE)))
    page = press(drop(go(open_page(), "batch"), *files), "Answer 4 files")
    assert "The rest got no answer" in page.error[0].value.replace("\\", "")
    assert "1 picture: 1 decided alone" in texts(page)
    press(page, "Go on")
    assert "4 pictures: 4 decided alone" in texts(page)
    assert "Do not rely on blue (2 of 9 right on test)." in page.warning[0].value.replace("\\", "")
    assert any("B8_river_st…_frame17.png" in each.replace("\\", "") for each in captions(page))
    assert [each.name for each in page.session_state["batch"].asked] == [name for name, _ in files]


def test_a_new_class_is_made_of_five_pictures_listed_and_told_as_perhaps(logged: ServiceFolder) -> None:
    page = go(open_page(), "enrol")
    page.text_input[0].set_value("yellow")
    pictures = [(f"{number}.png", paint((240, 220 + 6 * number, 5))) for number in range(5)]
    drop(page, *pictures[:4], ("junk.png", b"junk"))
    assert "junk.png is not a picture" in texts(page)
    assert next(each for each in page.button if each.label == "Make the class").disabled
    press(drop(page, *pictures), "Make the class")
    assert "**yellow** is answered from now on" in texts(page)
    assert page.dataframe[0].value.to_dict("records") == [{"class": "yellow", "pictures": 5}]
    drop(go(page, "ask"), ("a.png", paint((240, 235, 5))))
    assert "Perhaps yellow" in texts(page)


def test_a_new_class_that_cannot_be_made_is_refused_with_the_reason(logged: ServiceFolder) -> None:
    page = go(open_page(), "enrol")
    page.text_input[0].set_value("scarlet")
    pictures = [(f"{number}.png", paint((255 - number, 0, 0))) for number in range(5)]
    press(drop(page, *pictures), "Make the class")
    assert "4 pictures came; expected 5" in page.error[0].value.replace("\\", "")  # two of them are equal
    assert not page.dataframe
