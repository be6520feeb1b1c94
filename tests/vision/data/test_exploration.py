"""The report counts by hand-made examples and says in words what matters."""

import numpy as np
import pytest

from tests.vision.data.entries import entry, manifest_of
from vision.base.record import ImageArray
from vision.config.data import LeakPolicy, SplitSettings
from vision.data.exploration import explore
from vision.data.quality import QUALITY_COLUMNS, measure_quality
from vision.data.records import DataReport, ImageEntry, Manifest, Quarantined, Split, Splits
from vision.data.splitting.splits import assign_splits


def plain(class_name: str, num: int) -> list[ImageEntry]:
    return [entry(f"{class_name}/{i}.png") for i in range(num)]


def noise(num: int) -> ImageArray:
    return np.random.default_rng(0).integers(0, 256, (num, 16, 16, 3), dtype=np.uint8)


def report_of(manifest: Manifest, images: ImageArray | None = None, resize_reason: str = "") -> DataReport:
    splits = assign_splits(manifest, SplitSettings(on_leak=LeakPolicy.DROP), 7)
    images = noise(len(manifest.entries)) if images is None else images
    return explore(manifest, images, splits, resize_reason)


def messages(report: DataReport, severity: str | None = None) -> str:
    return "\n".join(each.message for each in report.findings if severity in (None, each.severity))


def test_classes_are_counted_by_split_in_images_and_groups() -> None:
    entries = [entry("a/1.png", "g1"), entry("a/2.png", "g1"), entry("a/3.png", "g2"), entry("b/4.png", "g3")]
    manifest = manifest_of(entries)
    splits = Splits(
        class_names=("a", "b"),
        digests=tuple(each.digest for each in entries),
        groups=("g1", "g1", "g2", "g3"),
        image_classes=("a", "a", "a", "b"),
        splits=(Split.TRAIN, Split.TRAIN, Split.TEST, None),
    )
    report = explore(manifest, noise(4), splits)
    counts = {
        (each.class_name, each.split): (each.num_images, each.num_groups) for each in report.class_counts
    }
    assert counts["a", "train"] == (2, 1)
    assert counts["a", "test"] == (1, 1)
    assert counts["a", "validation"] == (0, 0)
    assert counts["b", "train"] == (0, 0)
    assert (report.num_images, report.num_groups) == (4, 2)


def test_unknown_classes_are_counted_where_they_are() -> None:
    held_out = [entry(f"z/{i}.png", is_unknown=True) for i in range(10)]
    report = report_of(manifest_of(plain("a", 20) + plain("b", 20) + held_out))
    rows = [each for each in report.class_counts if each.class_name == "z"]
    assert {(each.split, each.num_images, each.is_unknown) for each in rows} == {
        ("validation", 5, True),
        ("test", 5, True),
    }


def test_quality_is_summarised_by_class_over_all_chunks() -> None:
    entries = [*plain("a", 300), *plain("b", 20)]
    images = noise(320)
    report = report_of(manifest_of(entries), images)
    columns = measure_quality(images)
    assert len(report.quality) == 2 * len(QUALITY_COLUMNS)
    row = next(each for each in report.quality if (each.class_name, each.column) == ("a", "contrast"))
    own = columns[:300, QUALITY_COLUMNS.index("contrast")]
    assert row.mean == pytest.approx(own.mean(), abs=1e-5)
    assert row.median == pytest.approx(np.median(own), abs=1e-5)
    assert (row.p05, row.p95) == pytest.approx(tuple(np.percentile(own, [5, 95])), abs=1e-5)


def test_duplicates_and_quarantined_files_are_listed() -> None:
    entries = [
        *plain("a", 10),
        *plain("b", 10),
        entry("a/y.png", content="a/1.png"),
        entry("b/z.png", content="a/2.png"),
    ]
    report = report_of(manifest_of(entries, [Quarantined(path="a/bad.png", reason="empty")]))
    assert [each.paths for each in report.duplicates] == [("a/1.png", "a/y.png"), ("a/2.png", "b/z.png")]
    assert [each.path for each in report.quarantined] == ["a/bad.png", "a/2.png", "b/z.png"]
    assert "Exact copies of other images: 2 (first: a/1.png = a/y.png)" in messages(report, "info")
    assert "Left out: 3 of 23 files" in messages(report, "warning")


def test_uneven_classes_are_a_warning() -> None:
    assert "a has 90 images, b 30" in messages(
        report_of(manifest_of(plain("a", 90) + plain("b", 30))), "warning"
    )
    assert "uneven" not in messages(report_of(manifest_of(plain("a", 80) + plain("b", 30))))


def test_undeclared_groups_are_said() -> None:
    report = report_of(manifest_of(plain("a", 90) + plain("b", 90)))
    assert "No groups are declared" in messages(report, "info")
    assert "Set dataset.group_by" not in messages(report)
    frames = [entry(f"{own}/{own}{i // 3}_frame{i % 3}.png") for own in "ab" for i in range(90)]
    told = messages(report_of(manifest_of(frames)), "warning")
    assert r"look like about 60 individuals" in told
    assert r"Set dataset.group_by: '^(?P<group>.+)_frame\d+\.'" in told


def test_what_looks_alike_is_counted_and_two_labels_of_one_picture_are_a_warning() -> None:
    manifest = manifest_of(plain("a", 90) + plain("b", 90))
    report = report_of(manifest.model_copy(update={"alike": ((0, 1), (1, 2), (3, 93)), "too_alike": ("b",)}))
    assert "5 of 180 pictures look like another (first: a/0.png and a/1.png)" in messages(report, "info")
    warnings = messages(report, "warning")
    assert "under two labels: 1 pairs (first: a/3.png and b/3.png)" in warnings
    assert "All much alike: the pictures of b" in warnings
    assert report.num_groups == 177


def test_trees_that_keep_what_they_share_are_a_warning_and_moved_images_are_counted() -> None:
    trees = [entry(f"a/{split}{i}.png", tree=split) for split in (Split.TRAIN, Split.TEST) for i in range(40)]
    manifest = manifest_of(trees).model_copy(update={"alike": tuple((i, i + 40) for i in range(20))})
    kept = assign_splits(manifest, SplitSettings(on_leak=LeakPolicy.KEEP), 7)
    assert "share 20 images" in messages(explore(manifest, noise(80), kept), "warning")
    moved = explore(manifest, noise(80), assign_splits(manifest, SplitSettings(on_leak=LeakPolicy.MOVE), 7))
    assert "Moved out of your validation and test trees" in messages(moved, "info")


def test_declared_groups_are_counted_and_the_missing_named() -> None:
    entries = [entry(f"a/{i}.png", f"g{i // 2}") for i in range(200)] + [entry("a/odd.png")]
    report = report_of(manifest_of(entries))
    assert "The 201 images show 101 groups" in messages(report, "info")
    assert "Without a declared group: 1 of 201 images (first: a/odd.png)" in messages(report, "warning")


def test_groups_of_more_than_one_class_are_told() -> None:
    numbered = [entry(f"{name}/{i}.png", str(i)) for name in "ab" for i in range(20)]
    own = [entry(f"{name}/x{i}.png", f"{name}{i}") for name in "ab" for i in range(20)]
    said = messages(report_of(manifest_of(numbered + own)), "warning")
    assert "Of 60 groups, 20 hold images of more than one class (first: '0': a, b)" in said
    assert "more than one class" not in messages(report_of(manifest_of(own)), "warning")


def test_class_names_that_differ_only_in_signs_are_told() -> None:
    said = messages(report_of(manifest_of(plain("sea bass", 20) + plain("sea_bass", 20) + plain("bass", 20))))
    assert "'sea bass' and 'sea_bass' differ only in signs" in said


def test_few_groups_to_judge_by_are_a_warning() -> None:
    assert "a (3 in test)" in messages(report_of(manifest_of(plain("a", 20) + plain("b", 200))), "warning")
    assert "Few groups" not in messages(report_of(manifest_of(plain("a", 100) + plain("b", 100))))


def test_what_is_carved_out_of_the_training_tree_is_said() -> None:
    entries = [entry(f"a/t{i}.png", tree=Split.TRAIN) for i in range(85)]
    entries += [entry(f"a/v{i}.png", tree=Split.VALIDATION) for i in range(15)]
    said = messages(report_of(manifest_of(entries)), "info")
    assert "Your own trees are honoured: train, validation." in said
    assert "Carved out of your training tree for calibration: 15 images, whole groups." in said
    assert "for test: 15 images, whole groups, because you have no test tree." in said


def test_sizes_and_aspect_are_said() -> None:
    entries = [entry(f"a/{i}.png", sides=(300, 100)) for i in range(9)] + [entry("a/s.png", sides=(12, 9))]
    report = report_of(manifest_of(entries), resize_reason="Pictures are long.")
    assert "12 to 300 pixels wide (median 300), 9 to 100 high (median 100)" in messages(report, "info")
    assert "Pictures are long." in messages(report, "info")
    assert "Smaller than 16 pixels, and enlarged: 1 of 10 images" in messages(report, "warning")


def test_blank_images_are_a_warning() -> None:
    images = noise(20)
    images[3] = 77
    report = report_of(manifest_of(plain("a", 20)), images)
    assert "Almost blank: 1 of 20 images (first: a/3.png)" in messages(report, "warning")
    assert "blank" not in messages(report_of(manifest_of(plain("a", 20))))
