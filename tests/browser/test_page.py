"""What a person does on the page, click by click, and what stands on the screen and in the log afterwards."""

from __future__ import annotations

import csv
import re
from contextlib import closing

import pytest
from playwright.sync_api import Page, expect

from serving.log.corrections import list_corrected
from serving.log.verdicts import note_verdict
from serving.runtime.process import start_service, stop_service
from tests.browser.conftest import WAIT_MS, Shown, picture
from tests.serving.answers import START
from tests.serving.api.client import pack
from tests.serving.log.test_traffic import report
from tests.serving.toy import BLACK, GREY, RED, make_bundle, paint
from tests.vision.training.nets.toy import KERAS_WARNINGS
from vision.decision.records import Decision
from vision.drift.records import DriftCause, DriftStatus

pytestmark = [pytest.mark.slow, KERAS_WARNINGS]
expect.set_options(timeout=WAIT_MS)

DROP = '[data-testid="stFileUploaderDropzoneInput"]'


def test_a_picture_is_named_and_a_correction_of_it_is_in_the_log(page: Page, shown: Shown) -> None:
    page.set_input_files(DROP, [picture("found.png", RED)])
    expect(page.get_by_role("heading", name="red (very sure)")).to_be_visible()
    page.get_by_role("button", name="This is wrong, it is ...").click()
    page.get_by_role("combobox", name="It is").fill("green")
    page.get_by_role("option", name="green").click()
    page.get_by_role("button", name="Keep").click()
    expect(page.get_by_text("You say: green")).to_be_visible()
    with closing(shown.open_log()) as log:
        (corrected,) = list_corrected(log)
    assert (corrected.answer.file_name, corrected.answer.class_name) == ("found.png", "red")
    assert (corrected.correction.class_name, corrected.correction.client) == ("green", "local")


def test_of_several_the_doubtful_come_first_and_a_stranger_is_not_named(page: Page, shown: Shown) -> None:
    page.set_input_files(DROP, [picture("r.png", RED), picture("g.png", GREY), picture("cat.png", BLACK)])
    expect(page.get_by_text("3 pictures: 1 decided alone, 1 for you to look at, 1 unknown")).to_be_visible()
    expect(page.get_by_text("I do not know this").first).to_be_visible()
    alerts = page.get_by_role("alert").all_inner_texts()
    assert ["please look yourself" in each for each in alerts[:1]] == [True]
    with closing(shown.open_log()) as log:
        newest = log.read_newest(shown.bento.model.digest, 3)
    assert {each.file_name: each.decision for each in newest} == {
        "r.png": Decision.ACCEPT,
        "g.png": Decision.REVIEW,
        "cat.png": Decision.UNKNOWN,
    }
    assert len({each.group for each in newest}) == 1


def test_a_doubtful_answer_is_settled_by_one_key_and_taken_back_by_another(page: Page, shown: Shown) -> None:
    page.set_input_files(DROP, [picture("doubt.png", GREY)])
    expect(page.get_by_text("please look yourself").first).to_be_visible()
    page.get_by_role("link", name="Review").click()
    expect(page.get_by_text("doubt.png ·")).to_be_visible()
    expect(page.get_by_role("button", name="Skip")).to_be_visible()  # it is drawn after those of the classes
    page.keyboard.press("2")
    expect(page.get_by_text("1 settled now")).to_be_visible()
    with closing(shown.open_log()) as log:
        said = list_corrected(log)[-1]
    assert (said.answer.file_name, said.correction.class_name) == ("doubt.png", "green")
    expect(page.get_by_role("button", name="Undo the last")).to_be_visible()
    page.keyboard.press("u")
    expect(page.get_by_text("0 settled now")).to_be_visible()
    with closing(shown.open_log()) as log:
        assert "doubt.png" not in [each.answer.file_name for each in list_corrected(log)]


def test_each_file_of_a_zip_gets_its_row_and_they_are_taken_away_as_csv(page: Page) -> None:
    files = {"a/red.png": paint(RED), "black.png": paint(BLACK), "junk.jpg": b"no picture"}
    page.get_by_role("link", name="Batch").click()
    expect(page.get_by_text("A ZIP, or many pictures")).to_be_visible()
    page.set_input_files(DROP, {"name": "many.zip", "mimeType": "application/zip", "buffer": pack(files)})
    page.get_by_role("button", name="Answer 3 files").click()
    told = "3 pictures: 1 decided alone, 1 unknown, 1 without an answer"
    expect(page.get_by_text(told)).to_be_visible()
    with page.expect_download() as download:
        page.get_by_test_id("stDownloadButton").get_by_role("button").click()
    rows = list(csv.DictReader(download.value.path().read_text("utf-8-sig").splitlines()))
    assert {row["path"]: row["decision"] for row in rows} == {
        "a/red.png": "accept",
        "black.png": "unknown",
        "junk.jpg": "unreadable",
    }


def test_five_pictures_make_a_class_that_is_told_as_perhaps(page: Page) -> None:
    page.get_by_role("link", name="Enrol").click()
    expect(page.get_by_text("Pictures of it, 5 to 20")).to_be_visible()
    page.set_input_files(DROP, [picture(f"{number}.png", (240, 215 + 5 * number, 5)) for number in range(5)])
    expect(page.get_by_text("5 pictures.")).to_be_visible()
    page.get_by_label("Name of the new class").fill("sunfish")
    page.get_by_role("button", name="Make the class").click()
    expect(page.get_by_text("sunfish is answered from now on")).to_be_visible()
    page.get_by_role("link", name="Ask").click()
    expect(page.get_by_text("Drop pictures here")).to_be_visible()
    page.set_input_files(DROP, [picture("sun.png", (240, 228, 5))])
    expect(page.get_by_text("Perhaps sunfish")).to_be_visible()


def test_a_phone_shows_the_answer_without_scrolling_sideways(page: Page) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.set_input_files(DROP, [picture("phone.png", RED)])
    expect(page.get_by_role("heading", name="red (very sure)")).to_be_in_viewport()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_a_service_that_stops_is_told_with_what_to_type_and_the_page_goes_on_by_itself(
    page: Page, shown: Shown
) -> None:
    expect(page.locator(DROP)).to_be_attached()
    stop_service(shown.folder)
    expect(page.get_by_text("The service is down")).to_be_visible()
    expect(page.locator("code", has_text="make serve")).to_be_visible()
    start_service(shown.folder, shown.bento, shown.serve)
    expect(page.get_by_text("The service is down")).to_be_hidden()
    expect(page.locator(DROP)).to_be_attached()


def test_monitoring_tells_traffic_and_the_last_verdict_and_model_what_not_to_rely_on(
    page: Page, shown: Shown
) -> None:
    page.set_input_files(DROP, [picture("seen.png", BLACK)])
    expect(page.get_by_role("heading", name="I do not know this")).to_be_visible()
    page.get_by_role("link", name="Monitoring").click()
    told = re.compile(r"in the last 24 hours: \d+% decided alone, \d+% for a person, \d+% unknown\.")
    expect(page.get_by_role("heading", name=told)).to_be_visible()
    expect(page.get_by_text("Not looked at: nobody has checked")).to_be_visible()
    expect(page.locator("canvas, svg.marks").first).to_be_visible()
    with closing(shown.open_log()) as log:
        note_verdict(log, make_bundle().digest, report(DriftStatus.DRIFT, DriftCause.CAPTURE), START)
    page.get_by_text("7 days").click()
    expect(page.get_by_text("Look at the cameras first")).to_be_visible()
    page.get_by_role("link", name="Model").click()
    expect(page.get_by_role("heading", name="toy version 3 names 61% of new pictures right")).to_be_visible()
    expect(page.get_by_text("Do not rely on blue (2 of 9 right on test).")).to_be_visible()
