"""A batch answers as the service does, tells every file, and goes on where it was stopped."""

from __future__ import annotations

import csv
import hashlib
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from report.pages.prediction_words import tell_counts, tell_seen
from report.pages.predictions import write_predictions
from serving.api.answering.answers import Question
from tests.example_data import make_manifest, make_splits
from tests.serving.toy import BLACK, GREEN, GREY, RED, make_answerer, make_bundle, paint
from vision.base.columns.column import Column
from vision.base.errors import SourceError, StorageError
from vision.base.outputs import Forward
from vision.base.record import ImageArray
from vision.base.softmax import softmax
from vision.bundle.assembly import load_bundle
from vision.data.records import Split
from vision.decision.records import Decision
from vision.prediction.batch import AnsweredRows, Batch, BatchModel, finish_batch, run_batch
from vision.prediction.engines import Answered, Wanted
from vision.prediction.listing import Listing, open_items, require_sources
from vision.prediction.part_file import PART_NAME
from vision.prediction.records import Answer, BatchSummary
from vision.prediction.views import average_views, tell_by_views

pytestmark = pytest.mark.slow

COLOURS = {"red": RED, "green": GREEN, "grey": GREY, "black": BLACK, "mixed": (200, 90, 30)}


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for name, colour in COLOURS.items():
        for number in range(8):
            shade = tuple(max(0, each - number) for each in colour)
            (folder / f"{name}{number}.jpg").write_bytes(paint(shade, "JPEG", (60 + number, 40)))  # type: ignore[arg-type]
    (folder / "torn.jpg").write_bytes(paint(RED, "JPEG")[:200])
    (folder / "notes.txt").write_text("x")
    return folder


def _run(
    source: Path, out: Path, wanted: Wanted | None = None, listen: object = None
) -> tuple[BatchSummary, AnsweredRows]:
    bundle = make_bundle()
    with open_items([source]) as listing:
        batch = Batch(listing, BatchModel(bundle.root, bundle.digest, "toy", "3"), wanted or Wanted())
        hear = listen if callable(listen) else (lambda _: None)
        return run_batch(batch, out, lambda _done, _total: None, hear)


def test_a_batch_answers_as_the_service_does(photos: Path, tmp_path: Path) -> None:
    answerer = make_answerer()
    _, rows = _run(photos, tmp_path / "out", Wanted(top_k=5))
    asked = 0
    for row in rows:
        if row.prediction is None:
            continue
        raw = (photos / row.path).read_bytes()
        answer = answerer.answer(Question(raw, row.path, "team", None, False, time.perf_counter()))
        given = row.prediction
        assert (given.decision, given.class_name, given.reasons) == (
            answer.decision,
            answer.class_name,
            answer.reasons,
        )
        assert (given.confidence, given.unknown_score) == (answer.confidence, answer.unknown.score)
        assert given.unknown_kind == answer.unknown_kind
        asked += 1
    assert asked == 40


def test_every_file_is_a_row_of_both_tables_or_counted(photos: Path, tmp_path: Path) -> None:
    summary, rows = _run(photos, tmp_path / "out")
    with (tmp_path / "out" / "predictions.csv").open(newline="") as file:
        told = list(csv.DictReader(file))
    assert [each["path"] for each in told] == sorted(each.name for each in photos.glob("*.jpg"))
    torn = told[-1] if told[-1]["path"] == "torn.jpg" else next(t for t in told if t["path"] == "torn.jpg")
    assert torn["decision"] == "unreadable"
    assert "damaged" in torn["reason"] or "cut" in torn["reason"]
    decided = {each["path"]: (each["decision"], each["class"]) for each in told}
    assert decided["red0.jpg"] == ("accept", "red")
    assert decided["black0.jpg"] == ("unknown", "")
    assert next(each["nearest"] for each in told if each["path"] == "black0.jpg")
    assert decided["grey0.jpg"][0] == "review"
    parquet = pq.read_table(tmp_path / "out" / "predictions.parquet").to_pylist()
    assert [each["path"] for each in parquet] == [each["path"] for each in told]
    assert list(parquet[0]) == list(told[0])
    for csv_row, row in zip(told, parquet, strict=True):
        sure = float(csv_row["confidence"]) if csv_row["confidence"] else None
        assert row["confidence"] == (sure and pytest.approx(sure, rel=1e-5))
    assert summary.counts[Answer.UNREADABLE] == 1
    assert (summary.num_files, len(rows), summary.others) == (41, 41, {".txt": 1})
    assert sum(summary.accepted_classes.values()) == summary.counts[Answer.ACCEPT]


def test_names_that_a_spreadsheet_or_a_browser_would_run_are_text(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    names = ["+1.jpg", "<img src=x onerror=alert(1)>.jpg", "=cmd|x.jpg", "\U00020000" * 62 + ".jpg"]
    for name in names:
        (folder / name).write_bytes(paint(RED, "JPEG"))
    bundle = make_bundle()
    with open_items([folder]) as listing:
        batch = Batch(listing, BatchModel(bundle.root, bundle.digest, "toy", "3"), Wanted(heat_maps=True))
        _, rows = write_predictions(batch, tmp_path / "out", lambda _done, _total: None)
    with (tmp_path / "out" / "predictions.csv").open(newline="", encoding="utf-8") as file:
        paths = [row["path"] for row in csv.DictReader(file)]
    assert sorted(paths) == sorted(["./+1.jpg", names[1], "./=cmd|x.jpg", names[3]])
    assert all((folder / path).is_file() for path in paths)
    assert all((tmp_path / "out" / row.heat_map).is_file() for row in rows)
    page = (tmp_path / "out" / "predictions.html").read_text(encoding="utf-8")
    assert "&lt;img src=x onerror" in page
    assert "<img src=x onerror" not in page


def test_a_stopped_batch_goes_on_and_repeats_nothing(photos: Path, tmp_path: Path) -> None:
    class StoppedError(Exception):
        pass

    heard: list[str] = []

    def stop_after_one(chunk: Sequence[Answered]) -> None:
        if heard:
            raise StoppedError
        heard.extend(each.row.path for each in chunk)

    out = tmp_path / "out"
    with pytest.raises(StoppedError):
        _run(photos, out, listen=stop_after_one)
    with (out / PART_NAME).open("ab") as file:
        file.write(b'{"stamp": "torn line')
    (photos / "red9.jpg").write_bytes(paint(RED, "JPEG"))
    first = sorted(heard)
    changed = photos / first[0]
    changed.write_bytes(paint(GREEN, "JPEG", (50, 50)))
    again: list[str] = []
    summary, rows = _run(photos, out, listen=lambda chunk: again.extend(each.row.path for each in chunk))
    assert sorted([*again, *first[1:]]) == sorted(each.path for each in rows)
    assert summary.num_reused == len(first) - 1
    assert next(row for row in rows if row.path == first[0]).prediction.class_name == "green"  # type: ignore[union-attr]
    finish_batch(out)
    assert not (out / PART_NAME).exists()


@pytest.mark.parametrize("is_table", [False, True])
def test_a_folder_that_vanishes_stops_the_batch_which_goes_on_when_it_is_back(
    is_table: bool, tmp_path: Path
) -> None:
    photos, gone = tmp_path / "photos", tmp_path / "gone"
    photos.mkdir()
    for number in range(300):
        (photos / f"{number:03d}.png").write_bytes(paint(RED if number % 2 else GREEN))
    asked = tmp_path / "photos.csv" if is_table else photos
    if is_table:
        asked.write_text("\n".join(["path", *(f"photos/{number:03d}.png" for number in range(300))]))

    def unplug(_chunk: Sequence[Answered]) -> None:
        if photos.exists():
            photos.rename(gone)

    with pytest.raises(SourceError, match="photos: is not there any more"):
        _run(asked, tmp_path / "out", listen=unplug)
    photos.mkdir()
    with pytest.raises(SourceError, match="is not there any more"):  # where a disk was unplugged
        require_sources(Listing("photos", (str(photos),)))
    photos.rmdir()
    gone.rename(photos)
    summary, _ = _run(asked, tmp_path / "out")
    assert 0 < summary.num_reused < 300
    assert summary.count(Answer.UNREADABLE) <= 16  # of the chunk in which it went


def test_another_model_question_or_place_makes_another_batch(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "red.png").write_bytes(paint(RED))
    with open_items([tmp_path]) as listing, open_items([tmp_path / "other"]) as other:
        plain = Batch(listing, BatchModel(tmp_path, "0" * 64, "toy"))
        keys = {
            plain.key,
            replace(plain, model=replace(plain.model, digest="1" * 64)).key,
            replace(plain, wanted=Wanted(views=2)).key,
            replace(plain, listing=other).key,
        }
    assert len(keys) == 4
    assert replace(plain, model=replace(plain.model, version="4")).key in keys  # the same files


def test_a_batch_in_a_project_that_is_moved_is_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def tell_key(home: Path, source: Path) -> str:
        monkeypatch.setenv("TAXON_STATE", str(home))
        return Batch(Listing("photos", (str(source),)), BatchModel(home, "0" * 64, "toy")).key

    before, after = tmp_path / "before", tmp_path / "after"
    assert tell_key(before, before / "photos") == tell_key(after, after / "photos")
    assert tell_key(before, before / "photos") != tell_key(before, after / "photos")


def test_another_batch_does_not_go_on_with_these_answers(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"

    def stop(_: Sequence[Answered]) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _run(photos, out, listen=stop)
    with pytest.raises(StorageError, match="something else"):
        _run(photos / "red0.jpg", out)


def test_heat_maps_are_files_that_the_rows_name(photos: Path, tmp_path: Path) -> None:
    _, rows = _run(photos, tmp_path / "out", Wanted(heat_maps=True))
    for row in rows:
        if row.prediction is None:
            assert row.heat_map == ""
        else:
            with Image.open(tmp_path / "out" / row.heat_map) as shown:
                assert shown.size == (32, 32)
    assert len({row.heat_map for row in rows}) == 41


def test_what_monitoring_needs_is_handed_on_where_it_is_wanted(photos: Path, tmp_path: Path) -> None:
    heard: list[Answered] = []
    _run(photos / "red0.jpg", tmp_path / "out", Wanted(quality=True), heard.extend)
    (answered,) = heard
    assert answered.quality is not None
    assert answered.quality.any()
    assert answered.logits is not None
    assert answered.logits.shape == (3,)


def test_a_file_that_the_model_was_made_from_is_told_by_its_bytes(photos: Path, tmp_path: Path) -> None:
    bundle = make_bundle()
    digests = {each.name: hashlib.sha256(each.read_bytes()).hexdigest() for each in photos.glob("*.jpg")}
    uses = {digests["red0.jpg"]: "train", digests["torn.jpg"]: "train", digests["grey1.jpg"]: "test"}
    (photos / "copy of red.jpg").write_bytes((photos / "red0.jpg").read_bytes())
    with open_items([photos]) as listing:
        batch = Batch(listing, BatchModel(bundle.root, bundle.digest, "toy", uses=uses))
        summary, _ = run_batch(batch, tmp_path / "out", lambda _done, _total: None)
    with (tmp_path / "out" / "predictions.csv").open(newline="") as file:
        seen = {each["path"]: each["seen"] for each in csv.DictReader(file) if each["seen"]}
    assert seen == {"red0.jpg": "train", "copy of red.jpg": "train", "grey1.jpg": "test"}
    assert summary.seen == {"train": 2, "test": 1}
    assert "2 of these 42 pictures were in its training" in tell_seen(summary)
    assert "1 of these 42 pictures was set aside to measure it" in tell_seen(summary)
    assert tell_seen(summary) in tell_counts(summary)


def test_a_picture_of_a_group_that_was_taught_is_told_where_its_bytes_are_new(
    photos: Path, tmp_path: Path
) -> None:
    bundle, splits = make_bundle(), make_splits(make_manifest())
    assert splits.splits[0] is Split.TRAIN
    groups = splits.taught_groups()
    assert groups == {
        group
        for group, split, name in zip(splits.groups, splits.splits, splits.image_classes, strict=True)
        if split is not Split.TEST and name in splits.class_names
    }
    declared = Column.of(str | None, ["First"] + [None] * (len(splits.groups) - 1))
    assert splits.taught_groups(declared) == groups | {"first"}
    digest = hashlib.sha256((photos / "red0.jpg").read_bytes()).hexdigest()
    taught = BatchModel(bundle.root, bundle.digest, "toy", uses={digest: "train"}, groups=frozenset({"red"}))
    with open_items([photos], r"^(?P<group>[A-Za-z]+)\d") as listing:
        summary, rows = run_batch(Batch(listing, taught), tmp_path / "out", lambda _done, _total: None)
    assert {row.path: row.seen for row in rows if row.seen} == {
        "red0.jpg": "train",
        **{f"red{number}.jpg": "group" for number in range(1, 8)},
    }
    assert summary.seen == {"train": 1, "group": 7}
    assert "as 7 of these 41 pictures were in its training, by their names" in tell_seen(summary)


def test_views_leave_accepted_and_unknown_pictures_alone_and_tell_those_for_review(
    photos: Path, tmp_path: Path
) -> None:
    _, plain = _run(photos, tmp_path / "plain", Wanted(top_k=2))
    _, viewed = _run(photos, tmp_path / "viewed", Wanted(top_k=2, views=4))
    seen = set()
    for before, after in zip(plain, viewed, strict=True):
        one, several = before.prediction, after.prediction
        if one is None or several is None:
            assert one is several
            continue
        seen.add(one.decision)
        if one.decision is Decision.REVIEW:
            assert several.decision is Decision.REVIEW
            assert "mean of 4 views" in several.reasons[-1]
            assert all("as it is" in each for each in several.reasons[:-1])  # they tell another confidence
        elif one.decision is Decision.ACCEPT:  # flat pictures look alike whatever the view
            assert "4 views name it too" in several.reasons[-1]
            assert several.model_copy(update={"reasons": one.reasons}) == one
        else:
            assert several == one
    assert len(seen) > 1


def test_an_accepted_picture_whose_views_name_another_class_goes_to_review(
    photos: Path, tmp_path: Path
) -> None:
    bundle = make_bundle()
    rule = load_bundle(bundle.root, bundle.digest).contract.rule
    _, rows = _run(photos, tmp_path / "out", Wanted(top_k=2))
    accepted = next(
        each.prediction for each in rows if each.prediction and each.prediction.decision is Decision.ACCEPT
    )
    others = np.array([0.1 if name == accepted.class_name else 1.0 for name in rule.class_names])
    probs = others / others.sum()
    accepted = accepted.model_copy(update={"possible": (accepted.class_name,)})
    (told,) = tell_by_views(rule, [accepted], probs[None], 3, top_k=2)
    assert told.decision is Decision.REVIEW
    assert told.class_name != accepted.class_name
    assert told.possible is None  # the set was of the plain picture
    assert told.confidence == pytest.approx(probs.max())
    assert (told.unknown_score, told.p_value) == (accepted.unknown_score, accepted.p_value)


def test_the_mean_of_views_counts_the_picture_as_it_is_once_and_each_other_view_once() -> None:
    images = np.zeros((1, 8, 8, 3), np.uint8)
    images[0, :, :2] = 255  # on the left: its mirror image has it on the right

    def forward(view: ImageArray) -> Forward:
        left = np.float32(view[0, 0, 0, 0] == 255)
        return Forward(np.array([[left, 0.0]], np.float32), np.zeros((1, 2), np.float32))

    first = softmax(forward(images).logits, 2.0)
    mirrored = softmax(np.zeros((1, 2)), 2.0)
    assert average_views(images, first, forward, 2, 2.0) == pytest.approx((first + mirrored) / 2)
