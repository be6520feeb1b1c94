"""The contact sheet shows every answer, the doubtful first, and nothing of a file name is markup."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from orchestration.flows.answering import tell_caution
from report.pages import predictions as predictions_page
from report.pages.prediction_words import list_classes, name_answer, tell_counts, tell_row
from report.pages.predictions import PAGE_NAME, render_sheet, write_predictions
from tests.example_story import make_promotion
from tests.serving.toy import BLACK, BLUE, GREEN, GREY, RED, make_bundle, paint
from vision.decision.records import Decision, Prediction, WeakClass
from vision.gate.records import Verdict
from vision.prediction.batch import Batch, BatchModel
from vision.prediction.engines import Wanted
from vision.prediction.items import Item, Made
from vision.prediction.listing import open_items
from vision.prediction.part_file import PART_NAME
from vision.prediction.records import Answer, BatchSummary, Row

pytestmark = pytest.mark.slow


def _write(photos: Path, out: Path, caution: str = "") -> tuple[BatchSummary, str]:
    bundle = make_bundle()
    with open_items([photos]) as listing:
        batch = Batch(listing, BatchModel(bundle.root, bundle.digest, "toy", "3", caution=caution))
        summary, _ = write_predictions(batch, out, lambda _done, _total: None)
    return summary, (out / PAGE_NAME).read_text(encoding="utf-8")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for name, colour in {"red": RED, "green": GREEN, "grey": GREY, "black": BLACK}.items():
        for number in range(3):
            (folder / f"{name}{number}.png").write_bytes(paint(colour, sides=(40, 40)))
    (folder / "<script>alert(1)<.png").write_bytes(paint(GREY))
    (folder / "torn.png").write_bytes(paint(RED)[:50])
    return folder


def test_the_sheet_tells_the_doubtful_first_and_every_file(photos: Path, tmp_path: Path) -> None:
    summary, page = _write(photos, tmp_path / "out")
    assert "14 pictures: 6 decided alone, 4 for a person, 3 unknown, 1 not readable." in page
    assert (
        "14 pictures: 6 decided alone, 4 for a person, 3 unknown, 1 not readable." in tell_counts(summary)[0]
    )
    places = re.findall(r'<h2 class="\w+" id="(\w+)"', page)
    assert places == ["review", "look_alike", "unreadable", "accept"]
    assert re.findall(r"<h3>(\w+) \((\d)\)", page) == [("green", "3"), ("red", "3")]
    assert page.count("data:image/jpeg;base64,") == 13
    assert page.count(f'href="{photos.absolute().as_uri()}/') == 13
    assert '<th class="file">file</th>' in page  # wide enough for a name where the reason is long
    assert "<script>" not in page
    assert "http" not in page.replace("http-equiv", "")
    assert not (tmp_path / "out" / PART_NAME).exists()
    read = BatchSummary.model_validate_json((tmp_path / "out" / "summary.json").read_bytes())
    assert read == summary


def test_of_each_class_it_is_told_how_many_are_decided_and_suggested(photos: Path, tmp_path: Path) -> None:
    summary, page = _write(photos, tmp_path / "out")
    told = list_classes(summary)
    assert sum(alone for _, alone, _ in told) == summary.count(Answer.ACCEPT)
    assert sum(asked for _, _, asked in told) == summary.count(Answer.REVIEW) == 4
    lines = [each.split() for each in tell_counts(summary)]
    for name, alone, asked in told:
        assert f'<tr><td>{name}</td><td class="n">{alone}</td><td class="n">{asked}</td></tr>' in page
        assert [name, str(alone), str(asked)] in lines
    assert 'class="caution"' not in page


def test_that_a_model_was_refused_stands_on_top(photos: Path, tmp_path: Path) -> None:
    reason = "it names too few images right."
    promotion = make_promotion(Verdict.REFUSED).model_copy(update={"reason": reason})
    caution = tell_caution(promotion)
    _, page = _write(photos, tmp_path / "out", caution)
    assert f"did not pass the gate: {reason}" in caution
    assert page.index(f'<p class="caution">{caution}</p>') < page.index('class="counts"')
    assert tell_caution(make_promotion(Verdict.PROMOTED)) == ""
    assert "never judged" in tell_caution(None)


def test_a_long_name_keeps_its_end(photos: Path, tmp_path: Path) -> None:
    name = f"{'20150321_035505_64E6_00408CF4B573_' * 3}fish1_frame169.png"
    (photos / name).write_bytes(paint(GREY))
    _, page = _write(photos, tmp_path / "out")
    assert f'<span title="{name}">20150321_03550…1_frame169.png</span>' in page


def test_a_picture_is_named_by_its_path_below_the_folder(photos: Path, tmp_path: Path) -> None:
    (photos / "sub").mkdir()
    (photos / "sub" / "red9.png").write_bytes(paint(RED))
    _, page = _write(photos, tmp_path / "out")
    assert '<span title="sub/red9.png">sub/red9.png</span>' in page


def test_a_long_list_is_cut_and_says_how_many_are_left(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(predictions_page.MOST_TILES, Answer.REVIEW, 1)
    monkeypatch.setattr(predictions_page, "MOST_OF_CLASS", 2)
    _, page = _write(photos, tmp_path / "out")
    assert "and 3 more in" in page
    assert page.count("and 1 more in") == 2
    assert page.count('<li><a class="frame"') == 1 + 3 + 2 + 2


def test_one_answer_is_told_in_a_line(photos: Path, tmp_path: Path) -> None:
    bundle = make_bundle()
    with open_items([photos]) as listing:
        batch = Batch(listing, BatchModel(bundle.root, bundle.digest, "toy", "3"))
        _, rows = write_predictions(batch, tmp_path / "out", lambda _done, _total: None)
    told = {row.path: tell_row(row) for row in rows}
    assert told["red0.png"] == "red0.png: red over 99%"
    assert told["grey0.png"].startswith("grey0.png: a person decides: ")
    assert told["black0.png"].startswith("black0.png: unknown")
    assert told["torn.png"].startswith("torn.png: cannot be read, ")
    assert name_answer(Answer.ACCEPT, _predict("no_glasses", Decision.ACCEPT))[0] == "no_glasses 50%"


def test_a_class_that_was_mostly_missed_on_test_is_told_where_it_is_named(
    photos: Path, tmp_path: Path
) -> None:
    told = "Do not rely on blue (2 of 9 right on test)."
    summary, page = _write(photos, tmp_path / "without")
    assert "rely on blue" not in page + "".join(tell_counts(summary))
    (photos / "blue.png").write_bytes(paint(BLUE, sides=(40, 40)))
    summary, page = _write(photos, tmp_path / "with")
    assert told in page
    assert sum(told in line for line in tell_counts(summary)) == 1
    with (tmp_path / "with" / "predictions.csv").open(newline="") as file:
        rows = [(list(each)[-1], each["path"], each["caution"]) for each in csv.DictReader(file)]
    assert {each for each in rows if each[2]} == {("caution", "blue.png", told)}


def test_similar_images_stand_under_each_answer_and_the_very_picture_is_called_so(tmp_path: Path) -> None:
    bundle = make_bundle()
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "green.png").write_bytes(paint(GREEN, sides=(40, 40)))
    with open_items([tmp_path / "photos"]) as listing:
        batch = Batch(listing, BatchModel(bundle.root, bundle.digest, "toy", "3"), Wanted(similar=3))
        _, (row,) = write_predictions(batch, tmp_path / "out", lambda _done, _total: None)
    page = (tmp_path / "out" / PAGE_NAME).read_text(encoding="utf-8")
    assert [each.same for each in row.similar] == [True, False, False]
    shown = re.findall(r'<a class="(k\d+)( same)?" title="(.*?), cosine [\d.]+">(.*?)</a>', page)
    assert [(path, text) for _, _, path, text in shown] == [
        (each.path, "green, this very picture" if each.same else "green") for each in row.similar
    ]
    for name, _, _, _ in shown:
        assert f".{name} {{ --p:url(data:image/jpeg;base64," in page
    cells = (tmp_path / "out" / "predictions.csv").read_text(encoding="utf-8").splitlines()
    assert cells[0].endswith("similar_same_3,caution")
    assert cells[1].split(",").count("yes") == 1


def test_a_million_rows_of_a_thousand_classes_make_a_page_that_opens(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (240, 240, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, "PNG")  # hardly shrinks: the largest thumbnails that there are
    item = Item("noise.png", Made(buffer.getvalue))
    names = [f"class {number:04d}" for number in range(1_000)]
    of_class = {name: 1_000 - place for place, name in enumerate(names)}
    answers = [Decision.ACCEPT, Decision.REVIEW, Decision.UNKNOWN]
    rows = [
        Row(path=f"{name}/{decision}{number}.png", prediction=_predict(name, decision))
        for name in names
        for decision in answers
        for number in range(8 if decision is Decision.ACCEPT else 1)
    ]
    summary = _summarise(of_class).model_copy(
        update={
            "weak_classes": tuple(WeakClass(class_name=each, num_right=1, num_images=9) for each in names)
        }
    )
    page = render_sheet(summary, ((item, row) for row in rows))
    assert len(page) < 20_000_000
    assert "Of 1,000 classes the 100 with most pictures are shown; 405,450 pictures of the others:" in page
    assert page.count("<tr><td>class ") == 1_000
    assert "970 more classes with fewer pictures" in page
    assert "Do not rely on class 0000 (1 of 9 right on test), class 0001 (1 of 9)," in page
    assert "Nor on 988 more classes that are named here" in page
    assert 200 < page.count("data:image/jpeg;base64,") < 168 + 600


def _predict(name: str, decision: Decision) -> Prediction:
    return Prediction(
        decision=decision,
        class_name=name,
        confidence=0.5,
        top_k=((name, 0.5),),
        unknown_score=1.0,
        unknown_threshold=2.0,
        p_value=0.5,
        reasons=(),
    )


def _summarise(of_class: dict[str, int]) -> BatchSummary:
    return BatchSummary(
        name="photos",
        sources=("photos",),
        model_name="toy",
        model_version="3",
        model_digest="0" * 64,
        class_names=tuple(of_class),
        counts={Answer.ACCEPT: sum(of_class.values()), Answer.REVIEW: 1_000, Answer.LOOK_ALIKE: 1_000},
        accepted_classes=of_class,
        suggested_classes=dict.fromkeys(of_class, 1),
    )
