"""A file's place gives its class, its content the format; what cannot be used is named."""

import io
import logging
import os
import re
import time
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from tests.shared_data import shared_data
from vision.base.errors import SourceError
from vision.config.data import FolderSource, ReefSource
from vision.data.records import Manifest, Quarantined, Split
from vision.data.sources import digest_source, read_source
from vision.data.sources.class_names import ANSWERS
from vision.data.sources.finding import find_images
from vision.data.sources.folder import digest_listing, list_folder
from vision.decision.records import Decision


def image_bytes(value: int = 90, form: str = "JPEG") -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (12, 8), (value % 256, value // 256, 0)).save(out, form)
    return out.getvalue()


def make(root: Path, *paths: str) -> Path:
    """Files of those paths, each a different picture."""
    for index, path in enumerate(paths):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(image_bytes(index, "PNG"))
    return root


def read(root: Path, **settings: object) -> Manifest:
    return read_source(FolderSource.model_validate({"path": root, **settings}), root)


def fault(root: Path, **settings: object) -> str:
    with pytest.raises(SourceError) as caught:
        digest_source(FolderSource.model_validate({"path": root, **settings}), root)
    return str(caught.value)


def reasons(root: Path) -> dict[str, str]:
    return {item.path: item.reason for item in list_folder(FolderSource(path=root)).quarantined}


def test_what_is_left_out_counts_in_the_digest(tmp_path: Path) -> None:
    make(tmp_path, "a/1.png", "b/2.png")
    listing = list_folder(FolderSource(path=tmp_path))
    left_out = [Quarantined(path="a/3.png", reason=reason) for reason in ("empty", "no image")]
    digests = {
        digest_listing(tmp_path, replace(listing, quarantined=items))
        for items in ((), tuple(left_out[:1]), tuple(left_out[1:]))
    }
    assert len(digests) == 3


def test_class_folders_give_the_classes_whatever_the_ending(tmp_path: Path) -> None:
    make(tmp_path, "a/1.jpg", "a/2.JPEG", "a/3.Png", "b/4.bmp", "b/5.WEBP", "b/deep/er/6.jpg")
    manifest = read(tmp_path)
    assert [(entry.path, entry.class_name) for entry in manifest.entries] == [
        ("a/1.jpg", "a"),
        ("a/2.JPEG", "a"),
        ("a/3.Png", "a"),
        ("b/4.bmp", "b"),
        ("b/5.WEBP", "b"),
        ("b/deep/er/6.jpg", "b"),
    ]
    assert {entry.tree for entry in manifest.entries} == {None}
    assert manifest.quarantined == ()


@pytest.mark.parametrize("val", ["val", "valid", "validation", "Validation"])
def test_trees_give_the_splits(tmp_path: Path, val: str) -> None:
    make(tmp_path, "train/a/1.jpg", "train/b/2.jpg", f"{val}/a/3.jpg", "test/b/4.jpg")
    trees = {entry.path: (entry.class_name, entry.tree) for entry in read(tmp_path).entries}
    assert trees == {
        "train/a/1.jpg": ("a", Split.TRAIN),
        "train/b/2.jpg": ("b", Split.TRAIN),
        f"{val}/a/3.jpg": ("a", Split.VALIDATION),
        "test/b/4.jpg": ("b", Split.TEST),
    }


def test_a_class_may_be_called_test_where_there_is_no_training_tree(tmp_path: Path) -> None:
    make(tmp_path, "test/1.jpg", "control/2.jpg")
    assert read(tmp_path).class_names == ("control", "test")


@pytest.mark.parametrize(
    "name",
    [
        "鲤鱼",
        "マグロ",
        "고등어",
        "ماهی\u200cقرمز",
        "sea\u00a0bass",
        "ក្រុង\u200bថ្មី",
        "❤️ heart",
        "\U0001fabf",
        "Straße",
    ],
)
def test_names_of_every_script_are_classes_as_they_are(tmp_path: Path, name: str) -> None:
    make(tmp_path, f"{name}/1.jpg", "sea_bass/2.jpg", "chub/3.jpg")
    assert set(read(tmp_path).class_names) == {name, "sea_bass", "chub"}


def test_one_name_in_two_forms_is_one_class_in_folders_and_in_the_configuration(tmp_path: Path) -> None:
    composed, parted = "\u00c4sche", "A\u0308sche"
    make(tmp_path, "train/a/1.jpg", "train/b/2.jpg", f"train/{parted}/3.jpg", f"test/{composed}/4.jpg")
    assert read(tmp_path).class_names == ("a", "b", composed)
    assert read(tmp_path, unknown_classes=(parted,)).unknown_class_names == (composed,)
    assert read(tmp_path, unknown_classes=("äsche",)).unknown_class_names == (composed,)


def test_the_answers_that_no_class_may_be_called_are_those_of_the_decision() -> None:
    assert set(ANSWERS) == {str(decision) for decision in Decision}


def test_images_in_a_split_without_class_folders_are_told_in_one_row(tmp_path: Path) -> None:
    make(tmp_path, "train/a/1.jpg", "train/b/2.jpg", "test/3.jpg", "test/4.jpg")
    manifest = read(tmp_path)
    assert len(manifest.entries) == 2
    assert [(item.path, "2 images" in item.reason) for item in manifest.quarantined] == [("test/", True)]


def test_a_pattern_with_a_slash_reads_the_path_and_groups_are_compared_as_names_are(tmp_path: Path) -> None:
    make(tmp_path, "a/Site1/1.jpg", "a/site1/2.jpg", "b/site2/1.jpg", "b/3.jpg")
    groups = [entry.group for entry in read(tmp_path, group_by=r"/(?P<group>\w+)/").entries]
    assert groups == ["site1", "site1", None, "site2"]


def test_a_folder_below_the_class_may_be_the_group(tmp_path: Path) -> None:
    make(tmp_path, "a/s1/1.jpg", "a/s2/2.jpg", "b/s1/3.jpg", "b/s2/4.jpg")
    manifest = read(tmp_path, layout="class/group")
    assert [(entry.class_name, entry.group) for entry in manifest.entries] == [
        ("a", "s1"),
        ("a", "s2"),
        ("b", "s1"),
        ("b", "s2"),
    ]


def test_groups_are_read_from_the_file_name(tmp_path: Path) -> None:
    make(tmp_path, "a/fish1_frame1.jpg", "a/fish1_frame2.jpg", "b/fish2_frame1.jpg", "b/odd.jpg")
    manifest = read(tmp_path, group_by=r"^(?P<group>.+)_frame\d+")
    assert [entry.group for entry in manifest.entries] == ["fish1", "fish1", "fish2", None]


def test_auto_groups_by_what_the_names_tell_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = make(
        tmp_path, *(f"{own}/{own}{i // 2}_frame{i % 2}.png" for own in ("pike", "chub") for i in range(12))
    )
    assert {entry.group for entry in read(root).entries} == {None}
    groups = [entry.group for entry in read(root, group_by="auto").entries]
    assert groups[:4] == ["chub0", "chub0", "chub1", "chub1"]
    assert len(set(groups)) == 12
    with caplog.at_level(logging.INFO):
        digest_source(FolderSource(path=root, group_by="auto"), root)
    assert "about 12 individuals" in caplog.text
    caplog.clear()
    digest_source(FolderSource(path=root), root)
    assert r"group_by: '^(?P<group>.+)_frame\d+\.'" in caplog.text


def test_auto_leaves_images_single_whose_names_tell_nothing_and_folders_that_are_groups(
    tmp_path: Path,
) -> None:
    root = make(
        tmp_path / "plain", *(f"{own}/IMG_{i:04d}.jpg" for own in ("pike", "chub") for i in range(12))
    )
    assert {entry.group for entry in read(root, group_by="auto").entries} == {None}
    nested = make(
        tmp_path / "nested", *(f"{own}/site{i}/{i}.png" for own in ("pike", "chub") for i in range(12))
    )
    entries = read(nested, group_by="auto", layout="class/group").entries
    assert {entry.group for entry in entries} == {f"site{i}" for i in range(12)}


def test_a_group_pattern_is_named_before_it_is_matched(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One match can take for ever, and nothing else runs meanwhile: the last line must tell of it."""

    class Hanging:
        pattern = r"^(?P<group>(\w+)+)$"

        def search(self, _: str) -> None:
            raise KeyboardInterrupt

    make(tmp_path, "a/1.jpg", "b/2.jpg")
    settings = FolderSource(path=tmp_path, group_by=Hanging.pattern)
    monkeypatch.setattr(re, "compile", lambda _: Hanging())
    with caplog.at_level(logging.INFO, "vision"), pytest.raises(KeyboardInterrupt):
        list_folder(settings)
    assert caplog.messages == [f"looking for groups in 2 file names by {Hanging.pattern}"]


def test_hidden_files_and_folders_are_skipped_and_counted(tmp_path: Path) -> None:
    make(tmp_path, "a/1.jpg", "b/2.jpg", "a/.3.jpg", ".git/4.jpg", "__MACOSX/._1.jpg")
    (tmp_path / "a/notes.txt").write_text("seen at dawn")
    manifest = read(tmp_path)
    assert [entry.path for entry in manifest.entries] == ["a/1.jpg", "b/2.jpg"]
    assert manifest.quarantined == ()
    others, hidden = manifest.remarks[:2]
    assert (others.count, "1 .txt" in others.what) == (1, True)
    assert (hidden.count, hidden.first) == (3, ".git")


def test_a_hidden_folder_that_cannot_be_listed_counts_as_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path, "a/1.jpg", "b/2.jpg", ".cache/4.jpg", ".cache/closed/5.jpg")
    scandir = os.scandir

    def refuse(path: str) -> object:
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert find_images(tmp_path).set_aside == {".cache": 2}


def test_what_looks_like_an_image_and_cannot_be_used_is_quarantined(tmp_path: Path) -> None:
    make(tmp_path, "a/1.jpg", "b/2.jpg", "loose.jpg")
    (tmp_path / "a/page.jpg").write_bytes(b"<html>")
    (tmp_path / "a/layers.psd").write_bytes(b"8BPS")
    (tmp_path / "a/zero.png").write_bytes(b"")
    manifest = read(tmp_path)
    found = {item.path: item.reason for item in manifest.quarantined}
    assert list(found) == ["a/layers.psd", "a/page.jpg", "a/zero.png", "loose.jpg"]
    assert {item.class_name for item in manifest.quarantined} == {"a", ""}
    assert "Photoshop" in found["a/layers.psd"]
    assert "web page" in found["a/page.jpg"]
    assert "empty" in found["a/zero.png"]
    assert "outside the class folders" in found["loose.jpg"]


def test_a_class_folder_without_one_image_stops_unless_it_is_named(tmp_path: Path) -> None:
    make(tmp_path, "a/1.jpg", "b/2.jpg")
    (tmp_path / "c").mkdir()
    assert "c/ (an empty folder" in fault(tmp_path)
    (tmp_path / "c/x.csv").write_text("1,2")
    assert "c/ (1 .csv)" in fault(tmp_path)
    (tmp_path / "c/y.jpg").write_bytes(b"")
    with pytest.raises(
        SourceError, match=r"class 'c' has no usable image: all 1 files .*skip_folders: \[c\]"
    ):
        read(tmp_path)
    manifest = read(tmp_path, skip_folders=("c",))
    assert manifest.class_names == ("a", "b")
    assert [each.count for each in manifest.remarks if each.first == "c"] == [2]


def test_links_are_followed_inside_the_folder_only(tmp_path: Path) -> None:
    root = make(tmp_path / "data", "a/1.jpg", "b/2.jpg")
    make(tmp_path, "elsewhere/secret.jpg")
    (root / "a/inside.jpg").symlink_to(root / "b/2.jpg")
    (root / "a/out.jpg").symlink_to(tmp_path / "elsewhere/secret.jpg")
    (root / "a/nowhere.jpg").symlink_to(tmp_path / "absent.jpg")
    (root / "a/c").symlink_to(tmp_path / "elsewhere")
    (root / "a/long.jpg").symlink_to("/mnt/" + "x" * 300)
    (root / "a/circle").symlink_to(root / "a")
    manifest = read(root)
    assert [entry.path for entry in manifest.entries] == ["a/1.jpg", "a/inside.jpg", "b/2.jpg"]
    found = {item.path: item.reason for item in manifest.quarantined}
    assert "leads out of the folder" in found["a/out.jpg"]
    assert found["a/nowhere.jpg"] == "a link to nothing"
    assert found["a/c"].startswith("a link to a folder")
    assert "File name too long" in found["a/long.jpg"]
    followed = read(root, follow_links=True)
    assert {entry.path for entry in followed.entries} > {"a/out.jpg", "a/c/secret.jpg"}
    assert "that it lies in" in {item.path: item.reason for item in followed.quarantined}["a/circle"]
    (root / "d").symlink_to(tmp_path / "elsewhere")
    assert "d/ (a link to a folder; set dataset.follow_links: true" in fault(root)


def test_a_special_file_is_not_read(tmp_path: Path) -> None:
    make(tmp_path, "a/1.jpg", "b/2.jpg")
    os.mkfifo(tmp_path / "a/pipe.jpg")
    assert reasons(tmp_path) == {"a/pipe.jpg": "not a regular file"}


def test_a_name_that_is_no_text_is_quarantined(tmp_path: Path) -> None:
    make(tmp_path, "a/1.jpg", "b/2.jpg")
    name = os.fsencode(tmp_path / "a") + b"/\xff.jpg"
    Path(os.fsdecode(name)).write_bytes(image_bytes())
    assert list(reasons(tmp_path).values()) == ["the file name is not valid UTF-8"]
    assert len(read(tmp_path).model_dump_json()) > 0


class TestDigest:
    def digest(self, root: Path, **settings: object) -> str:
        return digest_source(FolderSource.model_validate({"path": root, **settings}), root)

    def test_it_is_the_one_in_the_manifest(self, tmp_path: Path) -> None:
        make(tmp_path, "a/1.jpg", "b/2.jpg", "loose.jpg")
        assert read(tmp_path).source_digest == self.digest(tmp_path)

    def test_it_changes_with_a_byte_a_name_and_a_file(self, tmp_path: Path) -> None:
        make(tmp_path, "a/1.jpg", "b/2.jpg", "b/3.jpg")
        digests = [self.digest(tmp_path)]
        raw = (tmp_path / "a/1.jpg").read_bytes()
        (tmp_path / "a/1.jpg").write_bytes(raw + b"\0")
        digests.append(self.digest(tmp_path))
        (tmp_path / "b/3.jpg").rename(tmp_path / "b/4.jpg")
        digests.append(self.digest(tmp_path))
        (tmp_path / "b/4.jpg").unlink()
        digests.append(self.digest(tmp_path))
        assert len(set(digests)) == 4

    def test_it_depends_neither_on_the_place_nor_on_times_and_other_files(self, tmp_path: Path) -> None:
        one, two = make(tmp_path / "x", "a/1.jpg", "b/2.jpg"), make(tmp_path / "y", "a/1.jpg", "b/2.jpg")
        (two / "README.txt").write_text("about")
        os.utime(two / "a/1.jpg", (1, 1))
        assert self.digest(one) == self.digest(two)

    def test_ten_thousand_files_are_digested_quickly(self, tmp_path: Path) -> None:
        raw = os.urandom(2000)
        for name in ("a", "b"):
            (tmp_path / name).mkdir()
            for index in range(1000):
                (tmp_path / name / f"{index}.jpg").write_bytes(raw)
        started = time.process_time()
        self.digest(tmp_path)
        assert time.process_time() - started < 1.0  # measured .17 s wall for 10,000; here 2,000, busy cores


@pytest.mark.slow
def test_a_painted_reef_that_lost_a_file_is_noticed(tmp_path: Path) -> None:
    settings = ReefSource(images_per_class=2, unknown_images_per_class=0)
    manifest = read_source(settings, tmp_path)
    (Path(manifest.root) / manifest.entries[0].path).unlink()
    with pytest.raises(SourceError, match=r"painted files are there. Delete this folder"):
        read_source(settings, tmp_path)


def test_real_fish_are_149_individuals_in_7_species() -> None:
    settings = FolderSource(path=shared_data("fish_egu2017"), group_by=r"^(?P<group>.+)_frame\d+")
    listing = list_folder(settings)
    assert len(listing.files) == 1053
    assert len({file.class_name for file in listing.files}) == 7
    assert len({file.group for file in listing.files}) == 149
    assert listing.quarantined == ()
