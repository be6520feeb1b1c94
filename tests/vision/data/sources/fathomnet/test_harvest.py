"""A harvest from a stand-in of FathomNet: what is chosen, how it is asked for, what faults leave."""

from __future__ import annotations

import csv
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.vision.data.sources.fathomnet.stand_in import StandIn, picture, real_answer, serving, sha256
from vision.base.errors import SourceError
from vision.config.sources.labelled import FathomnetSource
from vision.data.sources import check_source, read_source
from vision.data.sources.fathomnet.client import Client
from vision.data.sources.fathomnet.harvest import Harvest, harvest
from vision.data.sources.fathomnet.selection import scan_concepts

COUNTS, QUERY = "/api/boundingboxes/list/counts", "/api/images/query"


@pytest.fixture
def sea() -> Iterator[StandIn]:
    """Six anglerfish of three dives, four squid, one worm."""
    stand_in = StandIn()
    for number in range(6):
        stand_in.add("Melanocetus", number, dive=f"dive{number // 2}")
    for number in range(4):
        stand_in.add("Vampyroteuthis", number)
    stand_in.add("Tomopteris", 0)
    with serving(stand_in):
        yield stand_in


def ask(sea: StandIn, folder: Path, **settings: Any) -> FathomnetSource:
    values = {"min_images": 2, "max_images": 4, "num_classes": 2, "api": f"{sea.url}/api"}
    return FathomnetSource(folder=folder / "sea", **values | settings)


def fetch(settings: FathomnetSource) -> Harvest:
    return harvest(settings, first_wait=0.01)


def files(folder: Path) -> dict[str, int]:
    """Path -> time of its last change."""
    return {path.name: path.stat().st_mtime_ns for path in (folder / "sea" / "images").iterdir()}


def test_a_harvest_is_a_source_of_boxes(sea: StandIn, tmp_path: Path) -> None:
    settings = ask(sea, tmp_path)
    with pytest.raises(SourceError, match=r"run\.py harvest"):
        check_source(settings)
    found = fetch(settings)
    assert (dict(found.concepts), found.num_there) == ({"Melanocetus": 4, "Vampyroteuthis": 4}, 8)
    manifest = read_source(settings, tmp_path / "data")
    assert manifest.class_names == ("Melanocetus", "Vampyroteuthis")
    assert {(entry.width, entry.height) for entry in manifest.entries} == {(21, 29)}  # a tenth of 24 around
    with (tmp_path / "sea" / "metadata.csv").open(newline="") as table:
        rows = list(csv.DictReader(table))
    assert {(row["concepts"], row["width"]) for row in rows} == {
        ("Melanocetus", "64"),
        ("Vampyroteuthis", "64"),
    }


def test_pictures_are_taken_from_every_dive_in_turn(sea: StandIn, tmp_path: Path) -> None:
    fetch(ask(sea, tmp_path, max_images=3))
    names = {name for name in files(tmp_path) if name.startswith("M")}
    assert names == {"Melanocetus-0.jpg", "Melanocetus-2.jpg", "Melanocetus-4.jpg"}


def test_what_goes_wrong_once_is_asked_for_again(sea: StandIn, tmp_path: Path) -> None:
    sea.faults[COUNTS], sea.faults[QUERY] = [500, "cut"], ["half", 503]
    paths = sorted(path for path in sea.pictures if "Vampyroteuthis" in path)
    for path, fault in zip(paths, ("cut", "half", 500, (429, 0)), strict=True):
        sea.faults[path] = [fault, fault]
    found = fetch(ask(sea, tmp_path))
    assert not found.failures
    assert all(sea.asked[path] == 3 for path in paths)
    for path in paths:
        assert (tmp_path / "sea" / "images" / path.rpartition("/")[2]).read_bytes() == sea.pictures[path]


def test_a_crowded_server_is_left_alone_by_all(sea: StandIn, tmp_path: Path) -> None:
    path = "/files/dive0/Melanocetus-0.jpg"
    sea.faults[path] = [(429, 1)]
    fetch(ask(sea, tmp_path, workers=2))
    times = [time for asked, time in sea.times if asked.startswith("/files")]
    pauses = [after - before for before, after in itertools.pairwise(times)]
    assert max(pauses) > 0.9
    assert sea.most_at_once <= 2


def test_what_stays_wrong_is_reported_and_tried_the_next_time(sea: StandIn, tmp_path: Path) -> None:
    gone, broken = "/files/dive/Vampyroteuthis-0.jpg", "/files/dive/Vampyroteuthis-1.jpg"
    whole = sea.pictures[broken]
    lost = sea.pictures.pop(gone)
    sea.pictures[broken] = whole[: len(whole) // 2]
    settings = ask(sea, tmp_path)
    found = fetch(settings)
    assert (found.num_there, set(found.failures)) == (6, {"Vampyroteuthis-0", "Vampyroteuthis-1"})
    assert (sea.asked[gone], sea.asked[broken]) == (1, 6)  # a page that is not there is not asked for again
    with (tmp_path / "sea" / "failures.csv").open(newline="") as table:
        reasons = {row["uuid"]: row["reason"] for row in csv.DictReader(table)}
    assert reasons["Vampyroteuthis-0"] == "HTTP 404"
    assert "no whole picture" in reasons["Vampyroteuthis-1"]
    before = files(tmp_path)
    sea.pictures |= {gone: lost, broken: whole}
    again = fetch(settings)
    assert (again.num_there, again.num_fetched, dict(again.failures)) == (8, 2, {})
    assert before.items() <= files(tmp_path).items()
    assert not (tmp_path / "sea" / "failures.csv").exists()
    assert sea.asked[QUERY] == 2  # the selection was kept


def test_a_harvest_that_was_stopped_goes_on(sea: StandIn, tmp_path: Path) -> None:
    settings = ask(sea, tmp_path, workers=1)

    def stop(done: int, _total: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        harvest(settings, stop, first_wait=0.01)
    with pytest.raises(SourceError, match="came to its end"):
        check_source(settings)
    before = files(tmp_path)
    assert 3 <= len(before) < 8
    assert fetch(settings).num_there == 8
    assert before.items() <= files(tmp_path).items()
    assert all(count == 1 for path, count in sea.asked.items() if path.startswith("/files"))


def test_other_settings_select_anew_and_fetch_only_what_is_missing(sea: StandIn, tmp_path: Path) -> None:
    fetch(ask(sea, tmp_path))
    found = fetch(ask(sea, tmp_path, concepts=("vampyroteuthis", "Tomopteris"), min_images=1))
    assert (dict(found.concepts), found.num_fetched) == ({"Tomopteris": 1, "Vampyroteuthis": 4}, 1)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"concepts": ("Vampyroteuthos", "Tomopteris")}, "did you mean Vampyroteuthis"),
        ({"concepts": ("Vampyroteuthis", "Tomopteris")}, "1 usable photographs of 'Tomopteris'"),
        ({"min_images": 4, "num_classes": 5, "max_images": 5}, None),
        ({"min_images": 6, "max_images": 6}, "1 concepts .* at least 6"),
    ],
)
def test_too_little_is_told(
    sea: StandIn, tmp_path: Path, settings: dict[str, Any], words: str | None
) -> None:
    if words is None:
        assert len(fetch(ask(sea, tmp_path, **settings)).concepts) == 2
        return
    with pytest.raises(SourceError, match=words):
        fetch(ask(sea, tmp_path, **settings))


@pytest.mark.parametrize(
    ("fault", "words"), [(500, "HTTP 500"), (403, "HTTP 403"), ("cut", "no whole answer")]
)
def test_an_api_that_does_not_answer_is_told(sea: StandIn, tmp_path: Path, fault: Any, words: str) -> None:
    sea.faults[COUNTS] = [fault] * 9
    with pytest.raises(SourceError, match=words):
        fetch(ask(sea, tmp_path))
    assert sea.asked[COUNTS] == (1 if fault == 403 else 6)


def test_nobody_there_and_another_answer_are_told(sea: StandIn, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="ConnectError"):
        fetch(ask(sea, tmp_path, api="http://127.0.0.1:9/api"))
    sea.photographs[0]["uuid"] = "../../escape"
    with pytest.raises(SourceError, match=r"another answer.*uuid"):
        fetch(ask(sea, tmp_path))


def test_rejected_boxes_invalid_pictures_and_boxes_of_many_are_no_examples(
    sea: StandIn, tmp_path: Path
) -> None:
    sea.photographs[0]["valid"] = False
    sea.photographs[1]["boundingBoxes"][0]["reviewState"] = "REJECTED"
    sea.photographs[2]["boundingBoxes"][0]["groupOf"] = True
    settings = ask(sea, tmp_path, max_images=9)
    assert fetch(settings).concepts["Melanocetus"] == 4
    manifest = read_source(settings, tmp_path / "data")
    assert sum(entry.class_name == "Melanocetus" for entry in manifest.entries) == 3


def test_a_digest_vouches_for_bytes_that_no_reader_knows(sea: StandIn, tmp_path: Path) -> None:
    sea.pictures["/files/dive/Vampyroteuthis-0.jpg"] = b"a format of tomorrow"
    sea.photographs[6]["sha256"] = sha256(b"a format of tomorrow").upper()
    assert not fetch(ask(sea, tmp_path)).failures


def test_real_answers_are_read(tmp_path: Path) -> None:
    stand_in = StandIn(photographs=real_answer())
    for each in stand_in.photographs:
        path = f"/{each['uuid']}.jpg"
        each["url"], each["sha256"] = f"{{server}}{path}", None
        stand_in.pictures[path] = picture(len(stand_in.pictures))
    with serving(stand_in):
        settings = ask(stand_in, tmp_path, min_images=1, num_classes=3)
        with Client() as client:
            counts = {each.concept: each.count for each in scan_concepts(client, settings.api)}
        found = fetch(settings)
    assert counts["feather star"] == counts["Mycteroperca interstitialis"] == 2
    assert dict(found.concepts) == {
        "Cephalopholis cruentata": 1,
        "Mycteroperca interstitialis": 2,
        "feather star": 2,
    }
    written = json.loads((tmp_path / "sea" / "annotations.json").read_text())
    assert [3075, 1043, 164, 189] in [each["bbox"] for each in written["annotations"]]
