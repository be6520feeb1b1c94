"""Names tell groups, and what is no group of individuals is not suggested."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence

import pytest

from tests.shared_data import shared_data
from vision.data.groups.grouping import suggest_groups
from vision.data.manifest import SourceFile

CLASSES = ("perch", "chub", "roach")
Names = Callable[[str, int], str]


def name_files(names: Names, num: int = 60, classes: Sequence[str] = CLASSES) -> list[SourceFile]:
    return [SourceFile(f"{own}/{names(own, index)}", own) for own in classes for index in range(num)]


def groups_of(pattern: str, files: Sequence[SourceFile]) -> set[str]:
    """The groups that a source makes of a pattern: of the path if it holds a slash, else of the name."""
    whole = "/" in pattern
    found = [re.search(pattern, file.path if whole else file.path.rpartition("/")[2]) for file in files]
    return {match["group"] if match else file.path for match, file in zip(found, files, strict=True)}


GROUPED: dict[str, tuple[Names, int]] = {
    "frames of fish that every class numbers from 0": (lambda _, i: f"{i // 3}_frame{i % 3}.jpg", 60),
    "patients whose numbers go on": (lambda own, i: f"person{i // 3}{own}_bacteria_{i}.jpeg", 60),
    "tracks and frames": (lambda _, i: f"{i // 10:05d}_{i % 10:05d}.png", 18),
    "augmented export": (
        lambda own, i: f"IMG_{own}_{i // 3}_jpg.rf.{hashlib.md5(str(i).encode()).hexdigest()}.jpg",
        60,
    ),
    "changed copies in a folder below": (
        lambda own, i: f"{own}{i // 4}.jpg" if i % 4 == 0 else f"aug/{own}{i // 4}_aug{i % 4}.jpg",
        45,
    ),
    "folder of each individual": (lambda own, i: f"{own}{i // 6}/{i % 6}.jpg", 30),
    "letters": (lambda _, i: f"spec{i // 3:03d}{'abc'[i % 3]}.jpg", 60),
    "tiles": (lambda own, i: f"{own}{i // 6}_x{i % 3 * 256}_y{i % 2 * 256}.png", 30),
    "numbers in brackets": (lambda own, i: f"{own}{i // 4} ({i % 4 + 1}).jpg", 45),
    "two ways to write one name": (
        lambda own, i: f"{own}{i // 5:02d}{'_frame' if i < 45 else '-frame'}{i % 5}.jpg",
        36,
    ),
    "individuals by name": (lambda own, i: f"{own}-{'abcdefgh'[i % 8] * 3}_{i // 8}.jpg", 24),
    "pictures of one second": (lambda _, i: f"20240512_14{10 + i // 5}22_{i % 5}.jpg", 36),
}


@pytest.mark.parametrize(("names", "num_groups"), GROUPED.values(), ids=GROUPED)
def test_names_that_tell_groups_give_a_pattern_that_makes_them(names: Names, num_groups: int) -> None:
    files = name_files(names)
    found = suggest_groups(files)
    assert found.pattern is not None
    assert found.num_groups == num_groups == len(groups_of(found.pattern, files))
    assert f"{num_groups} individuals" in found.sentence()


def test_copies_in_a_folder_below_are_grouped_within_their_class_by_auto_alone() -> None:
    """img_0 of one class is not img_0 of another, which no pattern can say of files at two depths."""
    files = name_files(lambda _, i: f"img_{i // 4}.jpg" if i % 4 == 0 else f"aug/img_{i // 4}_aug{i % 4}.jpg")
    found = suggest_groups(files)
    assert (found.pattern, found.num_groups, found.setting()) == ("auto", 45, "group_by: auto")
    assert len(set(found.groups)) == 45


UNGROUPED: dict[str, Names] = {
    "camera": lambda _, i: f"IMG_{i:04d}.jpg",
    "many cameras": lambda _, i: f"{('IMG', 'DSC', 'PXL', 'SAM', 'GOPR')[i % 5]}_{i:04d}.jpg",
    "camera without a gap": lambda _, i: f"P101{i:04d}.JPG",
    "times": lambda _, i: f"IMG_2024051{i % 4}_14{i % 50 + 10}22.jpg",
    "times in words": lambda _, i: f"Image 2024-05-1{i % 4} at 14.{i % 50 + 10}.22.jpeg",
    "days": lambda _, i: f"2015-0{1 + i % 9}-{10 + i % 18}.jpg",
    "years": lambda own, i: f"{own}_{2015 + i % 6}_{i:03d}.jpg",
    "class and number": lambda own, i: f"{own}.{i}.jpg",
    "class with a number": lambda own, i: f"n0{len(own)}207_{i}.jpeg",
    "hashes": lambda own, i: f"{hashlib.md5(f'{own}{i}'.encode()).hexdigest()}.jpg",
    "bare numbers": lambda _, i: f"{i:06d}.jpg",
    "one group in a folder": lambda _, i: f"batch1/{i}.jpg",
    "individuals that hardly repeat": lambda own, i: f"{own}_{i:04d}_{i * 7919 % 1000}.jpg",
}


@pytest.mark.parametrize("names", UNGROUPED.values(), ids=UNGROUPED)
def test_names_that_tell_no_groups_give_none(names: Names) -> None:
    found = suggest_groups(name_files(names))
    assert (found.pattern, found.num_groups, found.setting()) == (None, 180, "")


@pytest.mark.parametrize(
    "names",
    [
        pytest.param(lambda _, i: f"cam{i % 5}_{i:05d}.jpg", id="usual group above fifty pictures"),
        pytest.param(lambda own, i: f"{own}{min(i // 4, 5)}_{i}.jpg", id="most of a class in one group"),
        pytest.param(lambda own, i: f"{own}{i // 150}_{i}.jpg", id="too few groups to split"),
    ],
)
def test_a_pattern_that_lumps_a_class_is_not_suggested(names: Names) -> None:
    assert suggest_groups(name_files(names, num=300)).pattern is None


def test_no_pictures_give_no_pattern() -> None:
    assert suggest_groups([]).pattern is None


def test_the_frames_of_river_fish_are_149_individuals() -> None:
    files = [
        SourceFile(f"{each.parent.name}/{each.name}", each.parent.name)
        for each in shared_data("fish_egu2017").rglob("*.png")
    ]
    found = suggest_groups(files)
    assert (found.num_images, found.num_groups) == (1053, 149)
    assert found.setting() == r"group_by: '^(?P<group>.+)_frame\d+\.'"
