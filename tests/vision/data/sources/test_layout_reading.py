"""Splits, places and groups are never taken for classes; two readings are told, and none is taken."""

import re

import pytest

from vision.data.records import Split
from vision.data.sources.layout import Hints, Layout, LayoutError
from vision.data.sources.layout_reading import find_layout

TRAIN, VALIDATION, TEST = Split.TRAIN, Split.VALIDATION, Split.TEST


def files(*folders: str, each: int = 12) -> list[str]:
    """So many images in each folder."""
    return [f"{folder}/{index}.jpg" for folder in folders for index in range(each)]


def under(trees: tuple[str, ...], classes: tuple[str, ...] = ("bream", "chub")) -> list[str]:
    """Images of classes in each tree."""
    return files(*(f"{tree}/{name}" for tree in trees for name in classes))


def read(paths: list[str], wanted: str = "auto", **hints: object) -> Layout:
    return find_layout(paths, wanted, Hints(**hints))  # type: ignore[arg-type]


def fault(paths: list[str], wanted: str = "auto", **hints: object) -> str:
    with pytest.raises(LayoutError) as caught:
        read(paths, wanted, **hints)
    return str(caught.value)


@pytest.mark.parametrize(
    ("trees", "roles"),
    [
        (("train", "val", "test"), "split/class"),
        (("Training", "Validation", "Testing"), "split/class"),
        (("trainset", "devset", "testset"), "split/class"),
        (("TrainImages", "ValImages", "TestImages"), "split/class"),
        (("train2017", "val2017", "test2017"), "split/class"),
        (("01_train", "02_valid", "03_hold_out"), "split/class"),
        (("Fish Training Data", "Fish Validation Data", "Fish Test Data"), "split/class"),
        (("archive/images/train", "archive/images/dev", "archive/images/tst"), "place/place/split/class"),
        (("train/images", "val/images", "test/images"), "split/place/class"),
        (("train", "dev", "eval"), "split/class"),
        (("Trainingsdaten", "Validierungsdaten", "Testdaten"), "split/class"),
        (("entrenamiento", "validacio\u0301n", "prueba"), "split/class"),
        (("TRAIN_SET_FOLDER", "VAL_SET_FOLDER", "TEST_SET_FOLDER"), "split/class"),
        (("x_train/x_train", "x_val/x_val", "x_test/x_test"), "split/place/class"),
    ],
)
def test_trees_by_any_of_their_names_are_splits(trees: tuple[str, ...], roles: str) -> None:
    layout = read(under(trees))
    assert str(layout) == roles
    for tree, split in zip(trees, (TRAIN, VALIDATION, TEST), strict=True):
        folders = (*tree.split("/"), "bream")
        assert (layout.split_of(folders), layout.class_of(folders)) == (split, "bream")


def test_splits_may_lie_in_the_classes() -> None:
    layout = read(under(("bream", "chub"), ("train", "test")))
    assert str(layout) == "class/split"
    assert layout.split_of(("chub", "test")) is TEST


@pytest.mark.parametrize(
    "classes",
    [
        ("bus", "car", "train"),
        ("blank", "test", "valid"),
        ("freight_train", "passenger_train"),
        ("test", "control"),
        ("+", "-"),
        ("\u2764", "$"),
        ("class 1", "class 2"),
    ],
)
def test_a_class_may_be_called_like_a_split(classes: tuple[str, ...]) -> None:
    assert str(read(files(*classes))) == "class"


def test_folders_beside_trees_are_left_out_only_if_they_are_named_alike_and_hold_no_classes() -> None:
    trees = under(("seg_train", "seg_test"))
    layout = read([*trees, *files("seg_pred/seg_pred")])
    assert layout.class_of(("seg_pred", "seg_pred")) is None
    assert layout.unlabelled_of(("seg_pred", "seg_pred")) == "seg_pred"
    for beside in ("more", "seg_more/bream"):
        words = fault([*trees, *files(beside)])
        assert f"beside them {beside.split('/')[0]}/" in words
        assert "--set dataset.layout=class;" in words
    assert read([*trees, *files("more")], "split/class").unlabelled == {"more"}


def test_a_test_tree_without_classes_is_left_out() -> None:
    layout = read([*under(("train",)), *files("test")])
    assert layout.splits == {"train": TRAIN}
    assert layout.unlabelled == {"test"}


@pytest.mark.parametrize(
    ("paths", "words"),
    [
        (files("train", "test"), "no class folders"),
        (files("train"), "no class folders"),
        (files("train/images", "valid/images"), "no class folders"),
        (files("images/train", "images/val"), "no class folders"),
        (under(("val", "test")), "no train/"),
        (under(("train", "training")), "two trees for train"),
        (under(("train", "bus"), ("day", "night")), "beside them bus/"),
        (files("images", "masks"), "what the files are"),
    ],
)
def test_what_names_splits_or_files_is_no_class(paths: list[str], words: str) -> None:
    message = fault(paths)
    assert words in message
    assert "dataset.layout=" in message or "Move all" in message


@pytest.mark.parametrize(
    ("paths", "readings"),
    [
        (
            under(("river_north", "river_south"), ("bream", "chub", "roach")),
            {
                "class": "2 classes: river_north (36), river_south (36)",
                "class/group": "the same classes",
                "place/class": "3 classes: bream (24), chub (24), roach (24)",
                "class/class": "6 classes: river_north bream (12)",
            },
        ),
        (
            files("Salmo/trutta", "Salmo/salar", "Perca/fluviatilis"),
            {
                "class": "2 classes: Perca (12), Salmo (24)",
                "class/class": "3 classes: Perca fluviatilis (12), Salmo salar (12), Salmo trutta (12)",
            },
        ),
        (under(("train/north", "train/south", "test/north")), {"split/class": "", "split/place/class": ""}),
        ([*under(("north", "south")), "north/overview.jpg"], {"class": "", "place/class": ""}),
        (
            under(("fold1", "fold2", "fold3")),
            {"class": "", "place/class": "2 classes: bream (36), chub (36)"},
        ),
        (under(("a/cam1", "a/cam2", "b/cam1")), {"place/place/class": "2 classes: bream (36), chub (36)"}),
    ],
)
def test_two_readings_are_told_with_their_counts_and_what_to_type(
    paths: list[str], readings: dict[str, str]
) -> None:
    lines = fault(paths).splitlines()
    for layout, words in readings.items():
        (line,) = [each for each in lines if each.split()[:2] == ["--set", f"dataset.layout={layout}"]]
        assert words in line
        if words and "classes:" in words:
            chosen = read(paths, layout)
            names = {chosen.class_of(tuple(path.split("/")[:-1])) for path in paths}
            assert f"{len(names - {None})} classes" in line


@pytest.mark.parametrize(
    "paths",
    [
        files("bream", "chub/deep/er"),
        files("bream/images", "chub/images"),
        files("bream/2021-05-03", "bream/2021-05-04", "chub/2021-06-01"),
        [*files("bream", "chub"), *files("bream/augmented", "chub/augmented", each=36)],
    ],
)
def test_folders_in_classes_that_make_no_other_reading_mean_nothing(paths: list[str]) -> None:
    assert str(read(paths)) == "class"


def test_named_classes_tell_which_level_is_meant() -> None:
    paths = under(("river_north", "river_south"), ("bream", "chub"))
    assert str(read(paths, classes=("bream",))) == "place/class"
    assert str(read(paths, classes=("river_south",))) == "class"


@pytest.mark.parametrize(
    ("pattern", "roles"),
    [
        (r"^(?P<group>[^/]+)/", "place/class"),
        (r"^[^/]+/(?P<group>[^/]+)/", "class"),
        (r"(?P<group>.+/.+)/", "class"),
    ],
)
def test_a_group_that_is_a_folder_tells_which_level_is_meant(pattern: str, roles: str) -> None:
    paths = under(("one", "two", "three"), ("bream", "chub"))
    assert str(read(paths, group_by=re.compile(pattern))) == roles


def test_one_folder_around_all_is_a_place_but_where_one_class_is_enough_it_may_be_that() -> None:
    paths = under(("archive",))
    assert str(read(paths)) == "place/class"
    assert "dataset.layout=class        1 class: archive (24)" in fault(paths, may_be_one_class=True)
    assert str(read(paths, may_be_one_class=True, classes=("Archive",))) == "class"


def test_a_held_out_folder_beside_trees_makes_no_classes_of_them() -> None:
    assert "beside them strange/" in fault(
        [*under(("train", "val")), *files("strange")], classes=("strange",)
    )
    paths = files("bream", "train", "test")
    assert "no class folders" in fault(paths, may_be_one_class=True, classes=("bream",))


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ("class/class/class", "3 folders deep"),
        ("class/class", "give the class 'a b c'"),
        ("split/class", "river/ name no split"),
        ("class/split", "no split"),
    ],
)
def test_a_layout_that_does_not_fit_is_refused(wanted: str, words: str) -> None:
    assert words in fault([*under(("river",)), *under(("train",)), *files("a b/c", "a/b c")], wanted)
