"""A catalogue holds what a folder was found to be, in SQLite and in PostgreSQL."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import create_engine, insert, update

from tests.vision.data.sources.test_conformance import draw
from vision.base.errors import SourceError
from vision.config.sources.tables import CatalogSource
from vision.data.sources import check_source, digest_source, read_source
from vision.data.sources.table.catalog import IMAGES, fill_catalog, locate_catalog, read_catalog


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'catalog.db'}"
    return str(request.getfixturevalue("postgres"))


def test_what_was_listed_is_read_again(tmp_path: Path, url: str) -> None:
    place = locate_catalog(url, tmp_path)
    source = draw(tmp_path / "100%", 3)
    assert fill_catalog(place, read_source(source, tmp_path)) == 0
    (source.path / "amber/i0_frame2.png").unlink()
    assert fill_catalog(place, read_source(source, tmp_path)) == 0
    manifest = read_source(draw(tmp_path / "other", 2), tmp_path)
    assert fill_catalog(place, manifest) == 8
    (source.path / "amber/i0_frame1.png").unlink()
    settings = CatalogSource(url=url)
    check_source(settings)
    found = read_source(settings, tmp_path)
    assert found.source_digest == digest_source(settings, tmp_path)
    assert [item.path for item in found.quarantined] == ["100%/amber/i0_frame1.png"]
    assert (found.class_names, found.unknown_class_names) == (("amber", "cobalt"), ("slate",))
    by_path = {entry.path: entry for entry in found.entries}
    for entry in manifest.entries:
        same = by_path[f"other/{entry.path}"]
        assert same == entry.model_copy(update={"path": same.path})
    assert {row["type"] for row in read_catalog(place)} == {"PNG"}
    engine = create_engine(place)
    with engine.begin() as connection:  # rows of another program
        connection.execute(update(IMAGES).values(label=None))
        connection.execute(insert(IMAGES), {"path": "/gone.png", "filename": "gone.png", "label": "a"})
    engine.dispose()
    with pytest.raises(SourceError, match="rows without a label"):
        digest_source(settings, tmp_path)


def test_a_folder_whose_name_differs_in_case_is_another(tmp_path: Path, url: str) -> None:
    place = locate_catalog(url, tmp_path)
    others = fill_catalog(place, read_source(draw(tmp_path / "photos", 2), tmp_path))
    assert fill_catalog(place, read_source(draw(tmp_path / "Photos", 2), tmp_path)) == others + 6


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("postgresql://me:hidden@localhost/x", "PGPASSWORD"),
        ("postgresql://me@127.0.0.1:1/x", "cannot be used: .*refused"),
        ("mysql://me@localhost/x", "kind mysql"),
        ("catalog.db", "sqlite:///catalog.db"),
        ("sqlite:////absent/catalog.db", "run.py catalog FOLDER"),
    ],
)
def test_a_database_that_cannot_be_read_is_told_without_its_password(url: str, words: str) -> None:
    with pytest.raises(SourceError, match=words) as caught:
        check_source(CatalogSource(url=url))
    assert "hidden" not in str(caught.value)


def test_a_password_that_is_wrong_or_a_table_that_is_absent_is_told(postgres: str, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="does not exist"):
        check_source(CatalogSource(url=f"{postgres}x"))
    with pytest.raises(SourceError, match="holds no table"):
        check_source(CatalogSource(url=postgres.replace("/postgres", "/template1")))
