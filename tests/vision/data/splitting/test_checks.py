"""Data that cannot carry a training is refused with every reason at once; leaks are found independently."""

import hashlib
from collections.abc import Sequence

import pytest

from tests.vision.data.entries import manifest_of
from vision.base.errors import DataError, LeakError, TooFewImagesError
from vision.config.data import CheckSettings, SplitSettings
from vision.data.records import ImageEntry, Manifest, Quarantined, Split, Splits
from vision.data.splitting.checks import check_leaks, check_splits
from vision.data.splitting.splits import assign_splits

SETTINGS = CheckSettings()


def images_of(class_name: str, num: int, group: str | None = None) -> list[ImageEntry]:
    return [
        ImageEntry(
            path=f"{class_name}/{i}.png",
            class_name=class_name,
            digest=hashlib.sha256(f"{class_name}{i}".encode()).hexdigest(),
            num_bytes=1,
            width=1,
            height=1,
            group=group if group is None else f"{group}{i // 5}",
        )
        for i in range(num)
    ]


def split(manifest: Manifest) -> Splits:
    return assign_splits(manifest, SplitSettings(), 7)


def fault(manifest: Manifest, settings: CheckSettings = SETTINGS) -> str:
    with pytest.raises(TooFewImagesError) as caught:
        check_splits(manifest, split(manifest), settings)
    return str(caught.value)


def test_enough_images_pass() -> None:
    manifest = manifest_of(images_of("a", 8) + images_of("b", 8))
    check_splits(manifest, split(manifest), SETTINGS)
    assert len(manifest.entries) == 16


def test_two_images_in_a_class_are_too_few() -> None:
    manifest = manifest_of(images_of("a", 20) + images_of("b", 2))
    assert fault(manifest).startswith("Class 'b' has 2 usable images. Expected at least 8")


def test_fewer_groups_than_splits_are_too_few() -> None:
    manifest = manifest_of(images_of("a", 20) + images_of("b", 15, group="b"))
    assert "Class 'b' has 3 groups of images. Expected at least 4" in fault(manifest)


def test_too_few_images_of_too_few_groups_are_told_together() -> None:
    manifest = manifest_of(images_of("a", 20) + images_of("b", 3, group="b"))
    told = fault(manifest)
    assert "Class 'b' has 3 usable images of 1 group. Expected at least 8" in told
    assert "of 4 groups" in told


def test_one_class_is_too_few() -> None:
    assert "There is 1 known class. Expected at least two." in fault(manifest_of(images_of("a", 20)))


def test_every_fault_is_listed_at_once() -> None:
    manifest = manifest_of(images_of("a", 20) + images_of("b", 2) + images_of("c", 15, group="c"))
    assert [line.split(" has ")[0] for line in fault(manifest).splitlines()] == ["Class 'b'", "Class 'c'"]


def test_a_long_list_of_faults_is_cut() -> None:
    manifest = manifest_of([entry for i in range(30) for entry in images_of(f"c{i:02d}", 3)])
    (line,) = fault(manifest).splitlines()
    assert line.startswith("Classes 'c00', 'c01', ")
    assert "'c11' and 18 more: each has 3 usable images. Expected at least 8" in line


def test_a_class_absent_from_a_split_is_named() -> None:
    manifest = manifest_of(images_of("a", 20) + images_of("b", 20))
    splits = split(manifest)
    moved = tuple(
        Split.TRAIN if name == "b" and own is Split.TEST else own
        for name, own in zip(splits.image_classes, splits.splits, strict=True)
    )
    with pytest.raises(TooFewImagesError, match=r"Class 'b' has no image in test\. Expected some in every"):
        check_splits(manifest, splits.model_copy(update={"splits": moved}), SETTINGS)


@pytest.mark.parametrize(("num_bad", "refused"), [(2, False), (3, True)])
def test_too_many_unusable_files_fail(num_bad: int, refused: bool) -> None:
    bad = [Quarantined(path=f"x{i}", reason=f"not an image: it begins with {i}") for i in range(num_bad)]
    manifest = manifest_of(images_of("a", 9) + images_of("b", 20 - num_bad - 9), bad)
    settings = CheckSettings(max_quarantined=0.1)
    if not refused:
        check_splits(manifest, split(manifest), settings)  # 2 of 20 is the limit itself
        return
    with pytest.raises(
        DataError, match=r"3 of 20 files cannot be used \(3 x not an image; first: x0.*at most 10%"
    ):
        check_splits(manifest, split(manifest), settings)


def test_a_changed_grouping_is_named_as_the_cause() -> None:
    """Forty images on their own in an earlier run, then five to a group: most groups span splits."""
    alone = manifest_of(images_of("a", 20) + images_of("b", 20))
    grouped = manifest_of(images_of("a", 20, group="a") + images_of("b", 20, group="b"))
    splits = assign_splits(grouped, SplitSettings(), 7, split(alone))
    with pytest.raises(DataError, match=r"of 40 files would join splits .*run kept apart") as caught:
        check_splits(grouped, splits, SETTINGS)
    assert "The grouping has changed since that run" in str(caught.value)
    assert "another `name`" in str(caught.value)
    assert "Repair" not in str(caught.value)


def test_splits_of_other_images_are_refused() -> None:
    manifest = manifest_of(images_of("a", 8) + images_of("b", 8))
    other = manifest_of(images_of("a", 9) + images_of("b", 8))
    with pytest.raises(DataError, match="assign 17 images that are not the 16 of the manifest"):
        check_splits(manifest, split(other), SETTINGS)


def with_splits(manifest: Manifest, given: Sequence[Split | None], groups: Sequence[str]) -> Splits:
    return Splits(
        class_names=manifest.class_names,
        digests=tuple(entry.digest for entry in manifest.entries),
        groups=tuple(groups),
        image_classes=tuple(entry.class_name for entry in manifest.entries),
        splits=tuple(given),
    )


class TestLeaks:
    def test_equal_bytes_in_two_splits(self) -> None:
        entries = images_of("a", 3)
        entries[1] = entries[1].model_copy(update={"digest": entries[0].digest})
        manifest = manifest_of(entries)
        splits = with_splits(manifest, (Split.TRAIN, Split.TEST, Split.TRAIN), "xyz")
        with pytest.raises(LeakError) as caught:
            check_leaks(manifest, splits)
        assert str(caught.value).startswith(
            "Split 'test' shares 1 image with 'train', by equal bytes, group or likeness (first: a/1.png)."
        )

    def test_a_declared_group_in_two_splits_even_if_the_record_hides_it(self) -> None:
        manifest = manifest_of(images_of("a", 4, group="g"))
        splits = with_splits(
            manifest, (Split.TRAIN, Split.CALIBRATION, Split.TRAIN, Split.CALIBRATION), "abcd"
        )
        with pytest.raises(LeakError, match=r"'calibration' shares 2 images with 'train'.*first: a/1.png"):
            check_leaks(manifest, splits)

    def test_a_component_in_two_splits(self) -> None:
        manifest = manifest_of(images_of("a", 2))
        with pytest.raises(LeakError):
            check_leaks(manifest, with_splits(manifest, (Split.TRAIN, Split.VALIDATION), "aa"))

    def test_every_pair_is_named(self) -> None:
        manifest = manifest_of(images_of("a", 3, group="g"))
        splits = with_splits(manifest, (Split.TRAIN, Split.VALIDATION, Split.TEST), "aaa")
        with pytest.raises(LeakError) as caught:
            check_leaks(manifest, splits)
        assert len(str(caught.value).splitlines()) == 3

    def test_quarantined_images_are_no_leak(self) -> None:
        manifest = manifest_of(images_of("a", 2, group="g"))
        check_leaks(manifest, with_splits(manifest, (Split.TRAIN, None), "aa"))
        check_leaks(manifest, with_splits(manifest, (None, None), "aa"))

    def test_the_check_of_splits_includes_it(self) -> None:
        manifest = manifest_of(images_of("a", 20) + images_of("b", 20))
        splits = split(manifest)
        first = next(row for row, own in enumerate(splits.splits) if own is Split.TRAIN)
        second = next(row for row, own in enumerate(splits.splits) if own is Split.TEST)
        groups = list(splits.groups)
        groups[first] = groups[second]
        with pytest.raises(LeakError, match="'test' shares 1 image with 'train'"):
            check_splits(manifest, splits.model_copy(update={"groups": tuple(groups)}), SETTINGS)
