"""The page as a person uses it, against the toy's real service: up, down, known, unknown, refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import psutil
import pytest
from streamlit.testing.v1 import AppTest
from streamlit.testing.v1.element_tree import Image

import serving.app
from serving.api.schemas import PredictionAnswer
from serving.client import ask_service
from serving.runtime.running import RunningService, ServiceFolder, write_record
from tests.serving.live import serving_toy
from tests.serving.toy import BLACK, GREY, KEY, RED, paint
from tests.vision.training.nets.toy import KERAS_WARNINGS

SCRIPT = Path(serving.app.__file__).parent / "page.py"

pytestmark = [pytest.mark.slow, KERAS_WARNINGS]


@pytest.fixture(scope="module")
def service() -> Iterator[RunningService]:
    with serving_toy() as running:
        yield running


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ServiceFolder:
    monkeypatch.setenv(serving.app.HOME_VARIABLE, str(tmp_path))
    monkeypatch.setattr("serving.runtime.process.find_process", find_by_id)
    folder = ServiceFolder(tmp_path)
    folder.root.mkdir(parents=True)
    return folder


def find_by_id(_folder: ServiceFolder, service: RunningService) -> psutil.Process | None:
    """The process of a record, also where it is this one."""
    return psutil.Process(service.pid) if psutil.pid_exists(service.pid) else None


@pytest.fixture
def up(folder: ServiceFolder, service: RunningService) -> ServiceFolder:
    """The service runs, with its key in a file."""
    folder.key.write_text(KEY)
    write_record(folder.record, service.model_copy(update={"keys_from_environment": False}))
    return folder


def open_page() -> AppTest:
    page = AppTest.from_file(str(SCRIPT), default_timeout=60).run()
    assert not page.exception
    return page


def drop(page: AppTest, content: bytes, name: str = "a.png") -> AppTest:
    page.file_uploader[0].upload(name, content, "image/png")
    page.run()
    assert not page.exception
    return page


def texts(page: AppTest) -> str:
    """All that is written on the page."""
    kinds = page.markdown, page.caption, page.success, page.info, page.warning, page.error, page.code
    return "\n".join(each.value for kind in kinds for each in kind).replace("\\", "")


def test_a_known_picture_is_named_with_its_heat_map(up: ServiceFolder) -> None:
    page = drop(open_page(), paint(RED))
    assert page.success[0].value.startswith("#### Red\n")
    assert not page.info
    assert not page.warning
    captions = [text for each in page.get("image") for text in cast(Image, each).captions]
    assert captions == [r"a\.png", "Warm: what spoke most for red. A hint, no outline."]
    assert "It knows 3 classes: red, green, blue" in texts(page)


def test_an_unknown_picture_and_a_doubtful_one_are_told_apart(up: ServiceFolder) -> None:
    page = drop(open_page(), paint(BLACK))
    assert "I do not know this" in page.info[0].value
    page = drop(page, paint(GREY))
    assert "please look yourself" in page.warning[0].value
    assert not page.info


def test_each_picture_is_asked_once_in_a_group_of_its_own_however_often_the_page_is_drawn(
    up: ServiceFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    groups = []

    def ask(*arguments: Any, group: str, **named: Any) -> PredictionAnswer:
        groups.append(group)
        return ask_service(*arguments, group=group, **named)

    monkeypatch.setattr("serving.client.ask_service", ask)
    page = drop(open_page(), paint(RED))
    page.run()
    page.text_input[0].set_value("camera-7").run()
    assert groups == [page.session_state["visit"]]
    drop(page, paint(BLACK), "b.png")
    assert groups[1:] == ["camera-7"]


def test_names_of_files_are_text_and_nothing_else(up: ServiceFolder) -> None:
    page = drop(open_page(), paint(RED), "![x](http:&sol;&sol;far.example&sol;leak.png) $a$ :red[b].png")
    (name, _) = [text for each in page.get("image") for text in cast(Image, each).captions]
    assert name.startswith(r"\!\[x\]\(http\:\&sol\;\&sol\;far\.example")
    assert r"\$a\$ \:red\[b\]" in name


def test_a_key_file_that_is_gone_is_told_of(up: ServiceFolder) -> None:
    up.key.unlink()
    assert "api_key" in open_page().error[0].value.replace("\\", "")


def test_a_refusal_is_told_with_the_services_own_words(up: ServiceFolder) -> None:
    page = drop(open_page(), b"GIF89a no picture", "a.png")
    assert "No answer to a.png" in page.error[0].value.replace("\\", "")
    assert "415" in texts(page)
    assert not page.success


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
    assert "401" in page.error[0].value
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
    assert page.success[0].value.startswith("#### Red\n")


def leave_example(folder: ServiceFolder, example: Path) -> None:
    from serving.runtime.running import DeployedService, read_record

    running = read_record(RunningService, folder.record)
    assert running is not None
    (folder.bentoml / "bentos" / running.bento.tag.replace(":", "/")).mkdir(parents=True)
    deployed = DeployedService(bento=running.bento, serve=running.serve, example=example)
    write_record(folder.deployed, deployed)
