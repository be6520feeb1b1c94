"""What became of a source's files is told in sentences, and no class is lost in a total."""

import pytest

from tests.vision.data.entries import manifest_of
from tests.vision.data.splitting.test_checks import SETTINGS, images_of, split
from vision.base.errors import DataError
from vision.data.account import count_losses, tell_files
from vision.data.records import FileRemark, Manifest, Quarantined
from vision.data.splitting.checks import check_splits


def lose(class_name: str, count: int) -> list[Quarantined]:
    reason = "the JPEG is damaged or cut short (libjpeg; 9 bytes)"
    lost = Quarantined(path="", reason=reason, class_name=class_name)
    return [lost.model_copy(update={"path": f"{class_name}/x{i}"}) for i in range(count)]


def make(*lost: Quarantined) -> Manifest:
    return manifest_of(images_of("a", 30) + images_of("b", 10) + images_of("c", 300), list(lost))


def test_what_is_left_out_is_told_by_reason_and_class() -> None:
    manifest = make(*lose("b", 2), *lose("c", 1))
    told = tell_files(manifest)
    assert told == (
        "Left out: 3 of 343 files (3: the JPEG is damaged or cut short; first: b/x0).",
        "Class b loses 2 of its 12 files, 17%.",
    )
    assert [(loss.class_name, loss.num_lost, loss.num_files) for loss in count_losses(manifest)] == [
        ("b", 2, 12),
        ("c", 1, 301),
    ]


def test_remarks_are_told() -> None:
    remark = FileRemark(what="pictures without an end mark", count=5, first="a/1")
    told = tell_files(make().model_copy(update={"remarks": (remark,)}))
    assert told == ("Pictures without an end mark: 5 (first: a/1).",)


def test_one_of_three_classes_that_loses_most_of_its_files_stops_the_run() -> None:
    few = make(*lose("b", 10))
    check_splits(few, split(few), SETTINGS)
    most = make(*lose("b", 11))
    with pytest.raises(DataError, match=r"1 of 3 classes lose most of their files: b 11 of 21 \(first: b/x0"):
        check_splits(most, split(most), SETTINGS)
