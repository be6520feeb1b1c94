"""What the columns of a table are is found, or both readings are told with what to type."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.orchestration.projects.photographs import save_noise
from tests.shared_data import shared_data
from vision.base.errors import SourceError
from vision.config.sources.tables import CsvSource
from vision.data.sources import read_source
from vision.data.sources.table.columns import list_possible_groups, list_unused, recognise_columns
from vision.data.sources.table.rows import Places

ROWS = [(f"{i:02}.png", "chub" if i % 2 else "perch", f"fish{i // 3}") for i in range(12)]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for number, (name, _, _) in enumerate(ROWS):
        save_noise(tmp_path / "photos" / name, number)
    return tmp_path / "photos"


def write(path: Path, head: str, *columns: list[str]) -> CsvSource:
    path.write_text("\n".join([head, *(",".join(cells) for cells in zip(*columns, strict=True))]) + "\n")
    return CsvSource(path=path)


def columns(prefix: str = "") -> tuple[list[str], list[str], list[str]]:
    paths, labels, groups = ([row[i] for row in ROWS] for i in range(3))
    return [prefix + path for path in paths], labels, groups


@pytest.mark.parametrize("place", ["labels.csv", "photos/labels.csv", "tables/labels.csv", "absolute.csv"])
def test_columns_and_folder_are_found_wherever_the_table_lies(
    tmp_path: Path, photos: Path, place: str
) -> None:
    (tmp_path / place).parent.mkdir(exist_ok=True)
    paths, labels, groups = columns(f"{photos}/" if place == "absolute.csv" else "")
    splits = ["test" if i > 8 else "train" for i in range(12)]
    sides = [["1"] * 12, ["2"] * 12, ["4"] * 12, ["5"] * 12]
    note = ["seen"] * 12
    head = "Bild,Species,individualID,split,x,y,width,height,note"
    found = recognise_columns(write(tmp_path / place, head, paths, labels, groups, splits, *sides, note))
    assert (found.path_column, found.label_column, found.group_column) == ("Bild", "Species", "individualID")
    assert (found.split_column, found.box_columns) == ("split", ("x", "y", "width", "height"))
    assert list_unused(found) == ["note"]
    assert len(read_source(found, tmp_path).entries) == 12


def test_two_readings_are_told_with_the_setting_of_each(tmp_path: Path, photos: Path) -> None:
    paths, labels, groups = columns()
    table = write(
        photos.parent / "t.csv", "file,species,class,site,video", paths, labels, labels, groups, groups
    )
    with pytest.raises(SourceError, match=r"--set dataset\.label_column=species +2 values: perch, chub"):
        recognise_columns(table)
    table = table.model_copy(update={"label_column": "species"})
    with pytest.raises(SourceError, match=r"dataset\.group_column=video(.|\n)*dataset\.group_column=null"):
        recognise_columns(table)
    none = CsvSource(path=table.path, label_column="species", group_column=None)
    assert recognise_columns(none).group_column is None


def test_a_split_that_is_none_and_files_that_are_nowhere_say_what_to_type(
    tmp_path: Path, photos: Path
) -> None:
    paths, labels, _ = columns()
    table = write(photos / "t.csv", "file,label,split", paths, labels, ["1", "2"] * 6)
    with pytest.raises(SourceError, match=r"dataset\.split_column=null"):
        recognise_columns(table)
    with pytest.raises(SourceError, match="only column is 'file'"):
        recognise_columns(write(photos / "t.csv", "file", paths))
    with pytest.raises(SourceError, match=r"gone/00\.png.*(.|\n)*dataset\.images=FOLDER"):
        recognise_columns(write(tmp_path / "t.csv", "file,label", columns("gone/")[0], labels))


def test_a_folder_beside_the_table_is_searched_below_and_offered_where_the_config_names_none(
    tmp_path: Path,
) -> None:
    for number, (name, _, _) in enumerate(ROWS):
        save_noise(tmp_path / "photos" / "2024" / name, number)
    (tmp_path / "tables").mkdir()
    paths, labels, _ = columns()
    table = write(tmp_path / "tables" / "t.csv", "file,label", paths, labels)
    assert recognise_columns(table).images == tmp_path / "photos"
    with pytest.raises(SourceError, match=rf"--set dataset\.images={tmp_path / 'photos'}"):
        read_source(table, tmp_path)


def test_columns_of_individuals_are_found_in_other_languages_or_told(tmp_path: Path, photos: Path) -> None:
    paths, labels, _ = columns()
    ring = [f"{label}{i // 4}" for i, label in enumerate(labels)]
    note = [f"{i % 3}" for i in range(12)]  # repeats across classes: no individual
    found = recognise_columns(write(tmp_path / "t.csv", "Datei,Art,Individuum", paths, labels, ring))
    assert (found.label_column, found.group_column) == ("Art", "Individuum")
    told = recognise_columns(write(tmp_path / "t.csv", "file,species,zz,note", paths, labels, ring, note))
    assert told.group_column is None
    assert list_possible_groups(told) == ["zz"]


def test_spellings_of_a_label_are_told_with_their_rows(tmp_path: Path, photos: Path) -> None:
    paths, labels, _ = columns()
    labels[3] = " Chub"
    table = write(photos / "t.csv", "file,species", paths, labels)
    with pytest.raises(SourceError, match=r"labels 'Chub' \(row 5\) and 'chub' \(row 3\) differ only"):
        read_source(table, tmp_path)


def test_names_tell_groups_where_no_column_does(tmp_path: Path) -> None:
    names = [f"fish{i // 4}_frame{i % 4}.png" for i in range(48)]
    for number, name in enumerate(names):
        save_noise(tmp_path / name, number)
    table = write(tmp_path / "t.csv", "file,label", names, ["chub" if i < 24 else "perch" for i in range(48)])
    settings = table.model_copy(update={"group_by": r"^(?P<group>.+)_frame"})
    assert len({entry.group for entry in read_source(settings, tmp_path).entries}) == 12


def test_the_table_of_real_fish_has_two_labels_and_videos() -> None:
    table = CsvSource(path=shared_data("fish_egu2017") / "test-sample.csv")
    with pytest.raises(SourceError, match="label_column=specie "):
        recognise_columns(table)
    found = recognise_columns(table.model_copy(update={"label_column": "specie"}))
    assert (found.path_column, found.group_column) == ("image", "video_name")


def test_a_column_called_tier_is_a_rank_in_english_and_groups_nothing_unasked(
    tmp_path: Path, photos: Path
) -> None:
    paths, labels, _ = columns()
    tiers = [("gold", "silver", "bronze")[i % 3] for i in range(12)]
    found = recognise_columns(write(photos.parent / "t.csv", "file,species,tier", paths, labels, tiers))
    assert (found.label_column, found.group_column) == ("species", None)


def test_pictures_that_two_folders_have_alike_are_refused_and_the_tables_own_folder_is_kept(
    tmp_path: Path, photos: Path
) -> None:
    paths, labels, _ = columns()
    for number, name in enumerate(paths):
        save_noise(tmp_path / "old" / name, 100 + number)
    (tmp_path / "tables").mkdir()
    table = write(tmp_path / "tables" / "t.csv", "file,species", paths, labels)
    with pytest.raises(SourceError) as refused:
        recognise_columns(table)
    assert str(tmp_path / "old") in str(refused.value)
    assert str(photos) in str(refused.value)
    assert "--set dataset.images=" in str(refused.value)
    chosen = recognise_columns(table.model_copy(update={"images": photos}))
    assert chosen.images == photos
    for name in paths[:11]:
        (tmp_path / "tables" / name).write_bytes((photos / name).read_bytes())
    (photos / paths[0]).unlink()
    (tmp_path / "old" / paths[0]).unlink()
    assert recognise_columns(table).images is None


def test_bare_names_that_two_folders_farther_down_have_are_told(tmp_path: Path) -> None:
    paths, labels, _ = columns()
    for number, name in enumerate(paths):
        save_noise(tmp_path / "own" / "photos" / "2023" / name, number)
        save_noise(tmp_path / "own" / "photos" / "2024" / name, 100 + number)
    table = write(tmp_path / "own" / "t.csv", "Bild,species", paths, labels)
    with pytest.raises(SourceError, match=r"called so are photos/2023/00\.png, photos/2024/00\.png"):
        recognise_columns(table)
    assert Places(tmp_path / "own").find("00.png") == "00.png"  # neither is taken


def test_a_person_or_an_animal_groups_where_the_values_tell_an_individual(
    tmp_path: Path, photos: Path
) -> None:
    paths, labels, mixed = columns()

    def group(name: str, values: list[str]) -> str | None:
        return recognise_columns(
            write(tmp_path / "t.csv", f"file,species,{name}", paths, labels, values)
        ).group_column

    assert group("animal", [f"{label}{i // 4}" for i, label in enumerate(labels)]) == "animal"
    some = ["" if i % 4 > 1 else f"{label}{i // 4}" for i, label in enumerate(labels)]
    assert group("animal", some) == "animal"  # what is not known of every picture
    assert group("animal", labels) is None
    assert group("person", ["ann" if i % 3 else "bob" for i in range(12)]) is None
    assert group("video", ["v1" if i % 3 else "v2" for i in range(12)]) == "video"
    with pytest.raises(SourceError, match=r"group_column=person(.|\n)*group_column=null"):
        group("person", mixed)
