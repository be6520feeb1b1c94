"""Every file below a folder is used, left out with the reason, or counted."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vision.base.errors import SourceError
from vision.config.data import FolderSource, ImageSettings
from vision.data.records import Manifest
from vision.data.sources import read_source
from vision.data.sources.finding import Rules, find_images
from vision.data.store import build_store, open_images


def image_bytes(form: str = "JPEG", value: int = 0) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (12, 8), (value, 90, 40)).save(out, form)
    return out.getvalue()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two classes of three pictures."""
    for index, name in enumerate(("chub", "perch")):
        (tmp_path / name).mkdir()
        for picture in range(3):
            content = image_bytes(value=40 * picture + index)
            (tmp_path / name / f"{picture}.jpg").write_bytes(content)
    return tmp_path


def read(root: Path, **settings: object) -> Manifest:
    return read_source(FolderSource.model_validate({"path": root, **settings}), root)


def add(root: Path, path: str, content: bytes) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_bytes(content)


def test_a_folder_of_archives_is_told_to_unpack_them(tmp_path: Path) -> None:
    add(tmp_path, "photos.zip", b"PK\3\4")
    with pytest.raises(SourceError, match=r"holds no usable image, but 1 \.zip\..*Unpack the archives"):
        read(tmp_path)


def test_a_bmp_that_ends_in_zeros_is_read(tmp_path: Path) -> None:
    picture = image_bytes("BMP")
    for name in ("a", "b"):
        add(tmp_path, f"{name}/whole.bmp", image_bytes("BMP", 90))
        add(tmp_path, f"{name}/zeros.bmp", picture[: len(picture) // 2] + bytes(len(picture) // 2))
    assert len(read(tmp_path).entries) == 4


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("a.jfif", "JPEG"),
        ("a.JPE", "JPEG"),
        ("a", "PNG"),
        ("a.dat", "TIFF"),
        ("a.ppm", "PPM"),
        ("a.x", "GIF"),
    ],
)
def test_a_class_is_found_whatever_its_files_are_called(root: Path, name: str, form: str) -> None:
    add(root, f"bleak/{name}", image_bytes(form))
    assert read(root).class_names == ("bleak", "chub", "perch")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("DSC_1.NEF", b"MM\0*" + bytes(500), "raw file"),
        ("a.CR2", b"II*\0\x10\0\0\0CR\2\0" + bytes(500), "raw file"),
        ("raw.CR2", b"\xb2z" + bytes(500), "no known picture.*it begins with b'.xb2z"),
        ("a.jxl", b"\xff\x0a" + bytes(500), "JPEG XL"),
        ("a.mat", b"MATLAB 5.0", r"1 \.mat"),
        ("a.heic", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(500), "HEIC is damaged"),
        ("a.jpg", b"", "empty"),
    ],
)
def test_a_class_without_one_usable_file_stops_the_run_and_tells_why(
    root: Path, name: str, content: bytes, words: str
) -> None:
    add(root, f"bleak/{name}", content)
    with pytest.raises(SourceError, match=rf"(?s)bleak.*{words}.*skip_folders: \[bleak\]"):
        read(root)
    assert read(root, skip_folders=["bleak"]).class_names == ("chub", "perch")


@pytest.mark.parametrize(
    "folder",
    [
        "chub/@eaDir/0.jpg",
        "@eaDir",
        "chub/.thumbnails",
        "chub/thumbs",
        "chub/Thumbnails 96",
        "#recycle",
        "$RECYCLE.BIN",
        "__MACOSX/chub",
        "chub/.@__thumb",
        "lost+found",
    ],
)
def test_folders_of_systems_and_viewers_are_set_aside_and_told(root: Path, folder: str) -> None:
    add(root, f"{folder}/SMALL.jpg", image_bytes())
    manifest = read(root)
    assert len(manifest.entries) == 6
    passed_over = [each for each in manifest.remarks if "passed over" in each.what]
    assert [each.count for each in passed_over] == [1]
    assert folder.startswith(passed_over[0].first)


@pytest.mark.parametrize("name", ["$1 $5", "#1", "thumb", "thumbs_up", "_background_", "sea @ dawn"])
def test_odd_names_of_classes_are_no_folders_of_a_system(root: Path, name: str) -> None:
    add(root, f"{name}/1.jpg", image_bytes(value=200))
    assert name in read(root).class_names


def test_other_files_are_counted_by_kind(root: Path) -> None:
    for path in ("chub/0.xml", "chub/1.xml", "perch/0.txt", "notes"):
        add(root, path, b"words")
    remark = read(root).remarks[0]
    assert (remark.count, sorted(remark.what.partition("(")[2][:-1].split(", "))) == (
        4,
        ["1 .txt", "1 without an ending", "2 .xml"],
    )


def test_pictures_with_something_to_tell_are_counted(root: Path) -> None:
    add(root, "chub/cut.jpg", image_bytes(value=200)[:-2])
    add(root, "chub/gif.jpg", image_bytes("GIF"))
    remarks = {each.what: (each.count, each.first) for each in read(root).remarks}
    assert sorted(remarks.values()) == [(1, "chub/cut.jpg"), (1, "chub/gif.jpg")]


def test_a_folder_may_be_skipped_by_its_path(root: Path) -> None:
    add(root, "chub/old/1.jpg", image_bytes(value=200))
    add(root, "perch/old/1.jpg", image_bytes(value=220))
    found = find_images(root, Rules(skipped=("chub/old",)))
    assert "perch/old/1.jpg" in found.images
    assert found.set_aside == {"chub/old": 1}


def test_damaged_pictures_are_used_on_request_and_told(root: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(noise).save(out, "JPEG")
    add(root, "chub/half.jpg", out.getvalue()[: len(out.getvalue()) // 2])
    assert [item.path for item in read(root).quarantined] == ["chub/half.jpg"]
    kept = read(root, keep_damaged=True)
    assert (kept.quarantined, [each.path for each in kept.entries if each.is_damaged]) == (
        (),
        ["chub/half.jpg"],
    )
    assert [each.count for each in kept.remarks if "damaged" in each.what] == [1]
    images = open_images(build_store(kept, ImageSettings(size=16), root.parent / "store"))
    assert len(images) == 7
