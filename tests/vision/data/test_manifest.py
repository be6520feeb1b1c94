"""Every file becomes an entry or is quarantined with the reason."""

import hashlib
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vision.base.errors import SourceError
from vision.data.manifest import SourceFile, build_manifest
from vision.data.records import Quarantined, Split


def jpeg(width: int = 12, height: int = 8, value: int = 90, **options: object) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (width, height), (value, value, value)).save(out, "JPEG", **options)
    return out.getvalue()


def write(root: Path, contents: dict[str, bytes]) -> list[SourceFile]:
    """Files named `<class>/<file>`; in reverse order, as a file system may list them."""
    for path, raw in contents.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(raw)
    return [SourceFile(path, path.split("/")[0]) for path in reversed(contents)]


def test_an_entry_tells_digest_bytes_and_size(tmp_path: Path) -> None:
    raw = jpeg(12, 8)
    file = SourceFile("b/1.jpg", "b", group="fish7", tree=Split.TEST, is_unknown=True)
    write(tmp_path, {"a/1.jpg": jpeg(), "b/1.jpg": raw})
    entry = build_manifest(tmp_path, [file], "source").entries[0]
    assert (entry.path, entry.class_name, entry.group, entry.tree) == ("b/1.jpg", "b", "fish7", Split.TEST)
    assert entry.digest == hashlib.sha256(raw).hexdigest()
    assert (entry.num_bytes, entry.width, entry.height, entry.is_unknown) == (len(raw), 12, 8, True)


def test_width_and_height_are_those_of_the_upright_picture(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    files = write(tmp_path, {"a/1.jpg": jpeg(12, 8, exif=exif)})
    entry = build_manifest(tmp_path, files, "").entries[0]
    assert (entry.width, entry.height) == (8, 12)


def test_entries_are_sorted_whatever_the_order_of_the_files(tmp_path: Path) -> None:
    files = write(tmp_path, {f"{name}/{i}.jpg": jpeg(value=i) for name in "ba" for i in range(5)})
    manifest = build_manifest(tmp_path, files, "d")
    assert [entry.path for entry in manifest.entries] == sorted(entry.path for entry in manifest.entries)
    assert manifest == build_manifest(tmp_path, files[::-1], "d")
    assert manifest.class_names == ("a", "b")
    assert manifest.root == str(tmp_path.resolve())


def test_unknown_classes_are_listed_apart(tmp_path: Path) -> None:
    write(tmp_path, {"a/1.jpg": jpeg(), "b/1.jpg": jpeg(), "c/1.jpg": jpeg()})
    files = [SourceFile(f"{name}/1.jpg", name, is_unknown=name == "b") for name in "abc"]
    manifest = build_manifest(tmp_path, files, "")
    assert manifest.class_names == ("a", "c")
    assert manifest.unknown_class_names == ("b",)


def test_unusable_files_are_quarantined_with_their_reasons(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(noise).save(out, "PNG")
    contents = {
        "a/empty.jpg": b"",
        "a/fine.jpg": jpeg(),
        "a/html.jpg": b"<html>not found</html>",
        "a/huge.png": out.getvalue(),
        "a/long.jpg": jpeg()[:2] + b"\xff\xd8" * 1_001 + jpeg()[2:],
        "a/short.jpg": jpeg()[:-40],
    }
    files = [*write(tmp_path, contents), SourceFile("a/gone.jpg", "a")]
    manifest = build_manifest(tmp_path, files, "", max_megapixels=0.001)
    reasons = {item.path: item.reason for item in manifest.quarantined}
    assert [entry.path for entry in manifest.entries] == ["a/fine.jpg"]
    assert list(reasons) == [
        "a/empty.jpg",
        "a/gone.jpg",
        "a/html.jpg",
        "a/huge.png",
        "a/long.jpg",
        "a/short.jpg",
    ]
    assert "empty" in reasons["a/empty.jpg"]
    assert "cannot be read: No such file" in reasons["a/gone.jpg"]
    assert "web page" in reasons["a/html.jpg"]
    assert "40 x 40 pixels" in reasons["a/huge.png"]
    assert "more than 1000 segments" in reasons["a/long.jpg"]
    assert "cut short" in reasons["a/short.jpg"]


def test_a_file_too_long_for_its_pixels_is_not_even_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = write(tmp_path, {"a/1.jpg": jpeg(), "a/long.jpg": b""})
    with (tmp_path / "a/long.jpg").open("wb") as file:
        file.truncate(3 * 2**20)
    read = Path.read_bytes

    def refuse_long(path: Path) -> bytes:
        assert path.name != "long.jpg"
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", refuse_long)
    manifest = build_manifest(tmp_path, files, "", max_megapixels=0.01)
    assert manifest.quarantined[0].reason.startswith("the file has 3,145,728 bytes; expected at most")


def test_a_png_named_jpg_is_fine(tmp_path: Path) -> None:
    out = io.BytesIO()
    Image.new("RGB", (5, 6)).save(out, "PNG")
    files = write(tmp_path, {"a/1.jpg": out.getvalue()})
    assert build_manifest(tmp_path, files, "").entries[0].height == 6


def test_a_source_without_a_usable_image_names_the_first_reason(tmp_path: Path) -> None:
    files = write(tmp_path, {"a/1.jpg": b"", "a/2.jpg": b"junk"})
    with pytest.raises(SourceError, match=r"none of 2 files is a usable image \(first: a/1.jpg: the file is"):
        build_manifest(tmp_path, files, "")
    with pytest.raises(SourceError, match="holds no image"):
        build_manifest(tmp_path, [], "")


def test_what_the_source_left_out_is_kept_in_the_list(tmp_path: Path) -> None:
    files = write(tmp_path, {"b/1.jpg": jpeg(), "b/2.jpg": b""})
    left_out = [Quarantined(path="a/link.jpg", reason="a link to nothing")]
    manifest = build_manifest(tmp_path, files, "", quarantined=left_out)
    assert [item.path for item in manifest.quarantined] == ["a/link.jpg", "b/2.jpg"]


def test_progress_counts_every_file_once(tmp_path: Path) -> None:
    files = write(tmp_path, {"a/1.jpg": jpeg(), "a/2.jpg": b"", "b/3.jpg": jpeg()})
    calls: list[tuple[int, int]] = []
    build_manifest(tmp_path, files, "", progress=lambda done, total: calls.append((done, total)))
    assert calls == [(1, 3), (2, 3), (3, 3)]
