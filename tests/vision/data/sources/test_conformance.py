"""What every source promises, asked of each kind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import pytest

from tests.end_to_end.project import draw_image
from tests.vision.data.sources.coco import drawing
from tests.vision.data.sources.tfds.tiny import write_tiles
from vision.base.errors import SourceError
from vision.config.data import FolderSource, GrowingSource, ReefSource
from vision.config.sources.labelled import CocoSource, FathomnetSource, TfdsSource
from vision.config.sources.registry import SourceSettings
from vision.config.sources.tables import CatalogSource, CsvSource
from vision.data.sources import SOURCES, check_source, digest_source, read_source
from vision.data.sources.table.catalog import fill_catalog, locate_catalog

COLOURS = {"amber": (230, 170, 40), "cobalt": (40, 70, 200), "slate": (110, 120, 130)}


@dataclass(frozen=True)
class Case:
    """What makes a small source of one kind, of so many images or more, and one that cannot be read.

    `may_be_stored`: what is missing may have been stored before, so that only reading tells. `has_groups`:
    it says what belongs together.
    """

    make: Callable[[Path, int], SourceSettings]
    few: int
    more: int
    wrong: Callable[[Path], SourceSettings] | None
    may_be_stored: bool = False
    has_groups: bool = True


def draw(folder: Path, num_images: int = 2) -> FolderSource:
    for number, (name, colour) in enumerate(COLOURS.items()):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for frame in range(num_images):
            draw_image(folder / name / f"i{number}_frame{frame}.png", colour, (number, frame))
    return FolderSource(path=folder, group_by="^(?P<group>.+)_frame", unknown_classes=("slate",))


def reef(_: Path, seed: int) -> ReefSource:
    return ReefSource(seed=seed, images_per_class=2, unknown_images_per_class=2)


def coco(folder: Path, num_images: int) -> CocoSource:
    images = [drawing.image(f"i{i}", location=f"p{i}") for i in range(num_images)]
    marks = [drawing.mark(f"i{i}", i % 3, (8, 12, 16, 24)) for i in range(num_images)]
    return drawing.write(folder, images, marks, unknown_classes=("chub",), use="boxes")


def harvested(folder: Path, num_images: int) -> FathomnetSource:
    written = coco(folder, num_images)
    written.annotations.rename(folder / "annotations.json")
    return FathomnetSource(folder=folder, unknown_classes=("chub",))


def named(folder: Path, num_tiles: int) -> TfdsSource:
    write_tiles(folder / "files", num_tiles)
    return TfdsSource(
        name="tiny_tiles", data_dir=folder / "tfds", files=folder / "files", unknown_classes=("bag",)
    )


def listed(folder: Path, num_images: int) -> CsvSource:
    draw(folder, num_images)
    paths = sorted(path.relative_to(folder) for path in folder.rglob("*.png"))
    rows = [f"{path},{path.parts[0]},{path.name.split('_')[0]}" for path in paths]
    (folder / "labels.csv").write_text("\n".join(["path,label,fish", *rows]), encoding="utf-8")
    return CsvSource(path=folder / "labels.csv", group_column="fish", unknown_classes=("slate",))


def catalogued(folder: Path, num_images: int) -> CatalogSource:
    manifest = read_source(draw(folder, num_images), folder)
    fill_catalog(locate_catalog(None, folder), manifest)
    return CatalogSource(url=f"sqlite:///{folder / 'catalog.db'}")


CASES: dict[type[GrowingSource], Case] = {
    FolderSource: Case(draw, 2, 3, lambda folder: FolderSource(path=folder / "absent")),
    CocoSource: Case(coco, 6, 9, lambda folder: CocoSource(annotations=folder / "absent.json")),
    TfdsSource: Case(
        named,
        12,
        15,
        lambda folder: TfdsSource(name="tiny_tiles", data_dir=folder / "absent"),
        may_be_stored=True,
        has_groups=False,
    ),
    FathomnetSource: Case(harvested, 6, 9, lambda folder: FathomnetSource(folder=folder / "absent")),
    CsvSource: Case(listed, 2, 3, lambda folder: CsvSource(path=folder / "absent.csv")),
    CatalogSource: Case(
        catalogued, 2, 3, lambda folder: CatalogSource(url=f"sqlite:///{folder / 'absent.db'}")
    ),
    ReefSource: Case(reef, 1, 2, None),
}
EACH = pytest.mark.parametrize("kind", SOURCES, ids=lambda kind: kind.__name__)


def test_every_kind_that_can_be_configured_is_registered_and_tested() -> None:
    union, _ = get_args(SourceSettings)
    assert set(get_args(union)) == set(SOURCES) == set(CASES)


@EACH
@pytest.mark.slow
def test_a_source_lists_classes_groups_and_digests_alike_each_time(
    kind: type[GrowingSource], tmp_path: Path
) -> None:
    case, data = CASES[kind], tmp_path / "data"
    settings = case.make(tmp_path / "a", case.few)
    check_source(settings)
    manifest = read_source(settings, data)
    assert manifest == read_source(settings, data)
    assert manifest.source_digest == digest_source(settings, data)
    assert list(manifest.class_names) == sorted(manifest.class_names)
    assert not set(manifest.class_names) & set(manifest.unknown_class_names)
    assert {entry.class_name for entry in manifest.entries} == {
        *manifest.class_names,
        *manifest.unknown_class_names,
    }
    assert [entry.path for entry in manifest.entries] == sorted(entry.path for entry in manifest.entries)
    assert all(manifest.locate(entry).is_file() for entry in manifest.entries)
    assert all(bool(entry.group) == case.has_groups for entry in manifest.entries)
    assert all(
        entry.is_unknown == (entry.class_name in manifest.unknown_class_names) for entry in manifest.entries
    )


@EACH
@pytest.mark.slow
def test_other_images_have_another_digest(kind: type[GrowingSource], tmp_path: Path) -> None:
    case, data = CASES[kind], tmp_path / "data"
    first, second = (
        digest_source(case.make(tmp_path / name, num), data)
        for name, num in (("a", case.few), ("b", case.more))
    )
    assert first != second


@EACH
def test_what_cannot_be_read_is_told(kind: type[GrowingSource], tmp_path: Path) -> None:
    wrong = CASES[kind].wrong
    if wrong is None:
        pytest.skip("it is painted: nothing can be missing")
    checks = () if CASES[kind].may_be_stored else (check_source,)
    for ask in (*checks, lambda settings: digest_source(settings, tmp_path)):
        with pytest.raises(SourceError, match="absent"):
            ask(wrong(tmp_path))
