"""Answers as Camtrap DP and Darwin Core: valid by the published schemas, and nothing in them is invented."""

from __future__ import annotations

import csv
import io
import json
import re
import zipfile
from datetime import datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import jsonschema
import pytest
from PIL import Image

from tests.serving.toy import BLACK, GREEN, GREY, RED, make_bundle, paint
from tests.shared_data import shared_data
from vision.base.errors import ConfigError, SourceError, TaxonError
from vision.prediction.batch import Batch, BatchModel, run_batch
from vision.prediction.listing import open_items
from vision.prediction.publishing.publication import prepare_publication
from vision.prediction.publishing.survey import EXAMPLE, SURVEY_NAME

HEADER = "deployment,latitude,longitude,start,end,timeZone\n"
WEST = "west,51.5,4.7,2026-05-01,2026-07-01T00:00:00Z,Europe/Brussels\n"
EAST = "east,51.6,4.9,2026-05-01T00:00:00+02:00,2026-07-01T00:00:00+02:00,Europe/Brussels\n"


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Five pictures of two deployments, one of them torn, with their times in EXIF."""
    shots = {"west/red.jpg": RED, "west/green.jpg": GREEN, "east/grey.jpg": GREY, "east/black.jpg": BLACK}
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9003] = "2026:06:01 10:00:00"
    for name, colour in shots.items():
        file = tmp_path / "photos" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.open(io.BytesIO(paint(colour))).convert("RGB").save(file, exif=exif, quality=100)
    (tmp_path / "photos/west/torn.jpg").write_bytes(paint(RED, "JPEG")[:200])
    (tmp_path / "deployments.csv").write_text(HEADER + WEST + EAST)
    return tmp_path / "photos"


def _publish(source: Path, format_name: str, survey: str = EXAMPLE) -> Path:
    place, bundle = source.parent, make_bundle()
    (place / SURVEY_NAME).write_text(survey)
    with open_items([source]) as listing:
        batch = Batch(listing, BatchModel(bundle.root, bundle.digest, "toy", "3"))
        publisher = prepare_publication(format_name, place / "deployments.csv", batch)
        summary, rows = run_batch(batch, place / "out", lambda _done, _total: None)
        publisher.publish(place / "out", summary, rows)
    return place / "out"


def _read(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def _check_table(rows: list[dict[str, str]], schema: dict[str, Any]) -> None:
    """Columns, required cells, bounds, words, patterns and times, as the table schema has them."""
    for row in rows:
        assert list(row) == [field["name"] for field in schema["fields"]]
        for field in schema["fields"]:
            text, rule = row[field["name"]], field.get("constraints", {})
            assert text or not rule.get("required"), field["name"]
            if not text:
                continue
            assert text in rule.get("enum", [text])
            assert re.search(rule.get("pattern", ""), text)
            if field["type"] in ("number", "integer"):
                assert rule.get("minimum", -1e9) <= float(text) <= rule.get("maximum", 1e9)
            if field["type"] == "datetime":
                assert datetime.strptime(text, field["format"]).tzinfo
    keys = [row[schema["primaryKey"]] for row in rows]
    assert keys
    assert len({*keys}) == len(keys)


@pytest.mark.slow
def test_the_package_is_valid_and_says_what_was_decided(photos: Path) -> None:
    schemas = shared_data("field_formats/schemas")
    survey = f"{EXAMPLE}names: {{red: {{scientificName: Perca rubra, taxonRank: species}}}}\n"
    root = (
        _publish(photos, "camtrap-dp", survey + "licenses: {data: CC0-1.0, media: CC-BY-4.0}") / "camtrap-dp"
    )
    tables = {}
    for name in ("deployments", "media", "observations"):
        tables[name] = _read((root / f"{name}.csv").read_text())
        _check_table(tables[name], json.loads((schemas / f"{name}-table-schema.json").read_text()))
    package = json.loads((root / "datapackage.json").read_text())
    profile = json.loads((schemas / "camtrap-dp-profile.json").read_text())
    own = {key: value for key, value in profile["allOf"][1].items() if key != "$ref"}
    own["properties"].pop("spatial")  # its schema is on the network
    jsonschema.Draft4Validator({**own, "$defs": profile["$defs"]}).validate(package)
    assert {"scientificName": "Perca rubra", "taxonRank": "species"} in package["taxonomic"]
    seen = {each["mediaID"]: each for each in tables["observations"]}
    told = {each["filePath"]: seen[each["mediaID"]] for each in tables["media"]}
    assert set(told) == {"west/red.jpg", "west/green.jpg", "east/grey.jpg", "east/black.jpg"}
    red = told["west/red.jpg"]
    assert (red["observationType"], red["scientificName"], red["eventStart"]) == (
        "animal",
        "Perca rubra",
        "2026-06-01T10:00:00+02:00",
    )
    assert float(red["classificationProbability"]) > 0.5
    for path, kind, decision in (
        ("east/grey.jpg", "unclassified", "review"),
        ("east/black.jpg", "unknown", "unknown"),
    ):
        each = told[path]
        assert each["observationType"] == kind
        assert f"decision:{decision} | nearest:" in each["observationTags"]
        assert each["scientificName"] == each["classificationProbability"] == ""


@pytest.mark.slow
def test_a_picture_that_became_readable_meanwhile_is_refused(photos: Path) -> None:
    """What was prepared has no time and place of it."""
    bundle, out = make_bundle(), photos.parent / "out"
    (photos.parent / SURVEY_NAME).write_text(EXAMPLE)
    with open_items([photos]) as listing:
        batch = Batch(listing, BatchModel(bundle.root, bundle.digest, "toy", "3"))
        publisher = prepare_publication("camtrap-dp", photos.parent / "deployments.csv", batch)
        (photos / "west/torn.jpg").write_bytes(paint(RED, "JPEG"))
        summary, rows = run_batch(batch, out, lambda _done, _total: None)
        with pytest.raises(SourceError, match=r"torn\.jpg: has changed while it was answered"):
            publisher.publish(out, summary, rows)


@pytest.mark.slow
def test_the_archive_has_the_accepted_animals_with_their_place(photos: Path) -> None:
    url = "mediaUrl: https://example.org/\nobservationTypes: {green: blank}\n"
    out = _publish(photos, "darwin-core", f"title: a & b\npublisher: c\n{url}")
    with zipfile.ZipFile(out / "darwin-core.zip") as archive:
        rows = _read(archive.read("occurrence.csv").decode())
        meta, eml = (ElementTree.fromstring(archive.read(name)) for name in ("meta.xml", "eml.xml"))
    terms = [str(each.get("term")).rpartition("/")[2] for each in meta.iter() if each.tag.endswith("}field")]
    assert terms == list(rows[0])
    assert eml.findtext("dataset/title") == "a & b"
    red = next(each for each in rows if each["associatedMedia"] == "https://example.org/west/red.jpg")
    assert (red["basisOfRecord"], red["scientificName"], red["decimalLatitude"], red["eventDate"]) == (
        "MachineObservation",
        "red",
        "51.5",
        "2026-06-01T10:00:00+02:00",
    )
    assert "green" not in {each["scientificName"] for each in rows}
    assert red["kingdom"] == red["samplingProtocol"] == ""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("table", "survey", "error", "told"),
    [
        ("deployment,latitude\nwest,1\n", EXAMPLE, SourceError, "longitude, deploymentStart, deploymentEnd"),
        (HEADER, EXAMPLE, SourceError, "no row"),
        (
            HEADER + WEST.replace("51.5", "95"),
            EXAMPLE,
            SourceError,
            "latitude is 95, expected a number up to 90",
        ),
        (HEADER + WEST.replace("51.5", ""), EXAMPLE, SourceError, "latitude is empty"),
        (HEADER + WEST.replace("Europe/Brussels", ""), EXAMPLE, SourceError, "no time zone"),
        (HEADER + WEST.replace("Europe", "Erope"), EXAMPLE, SourceError, "Erope/Brussels"),
        (HEADER + WEST + WEST, EXAMPLE, SourceError, "twice"),
        (HEADER + WEST.replace("west", "north") + EAST, EXAMPLE, SourceError, "3 pictures"),
        (HEADER + WEST.replace("05-01", "06-02") + EAST, EXAMPLE, SourceError, "out of its deployment west"),
        (HEADER + WEST + EAST, "title: a\npublisher: b\n", ConfigError, "samplingDesign, captureMethod"),
        (HEADER + WEST + EAST, f"{EXAMPLE}sampel: 1\n", ConfigError, "sampel"),
        (HEADER + WEST + EAST, f"{EXAMPLE}names: {{rde: Perca}}\n", ConfigError, "rde"),
    ],
)
def test_what_photographs_do_not_say_is_refused_before_any_is_answered(
    photos: Path, table: str, survey: str, error: type[TaxonError], told: str
) -> None:
    (photos.parent / "deployments.csv").write_text(table)
    with pytest.raises(error, match=re.escape(told)):
        _publish(photos, "camtrap-dp", survey)
    assert not (photos.parent / "out").exists()


@pytest.mark.slow
def test_all_that_is_missing_is_told_at_once(photos: Path) -> None:
    broken = HEADER + WEST.replace("51.5", "").replace("Europe", "Erope")
    broken += EAST.replace("Europe/Brussels", "Erope/Brussels")
    (photos.parent / "deployments.csv").write_text(broken)
    with pytest.raises(SourceError) as caught:
        _publish(photos, "darwin-core", "title: a\n")
    told = str(caught.value)
    assert "row 2: latitude is empty; 'No time zone found with key Erope/Brussels'" in told
    assert "row 3:" in told
    assert "publisher: Field required" in told
    assert "samplingDesign" not in told  # of Camtrap DP alone


@pytest.mark.slow
def test_a_table_of_pictures_says_where_and_when(photos: Path) -> None:
    plain = photos / "plain.png"
    plain.write_bytes(paint(RED))
    table = photos.parent / "list.csv"
    table.write_text("path,deployment,timestamp\nphotos/plain.png,east,2026-06-02 03:00:00\n")
    root = _publish(table, "camtrap-dp") / "camtrap-dp"
    (media,) = _read((root / "media.csv").read_text())
    assert (media["deploymentID"], media["timestamp"]) == ("east", "2026-06-02T03:00:00+02:00")
    for path, told in (("photos/plain.png", "EXIF has no time"), (str(plain), "below one folder")):
        table.write_text(f"path,deployment\n{path},east\n")
        with pytest.raises(SourceError, match=told):
            _publish(table, "camtrap-dp")
