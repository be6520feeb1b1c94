"""What is asked: each file is an item, an item with a fault, or counted; archives and tables are bounded."""

from __future__ import annotations

import stat
import zipfile
from pathlib import Path

import numpy as np
import pytest

from tests.serving.toy import RED, paint
from vision.base.errors import ImageError, SourceError
from vision.data.sources.table.rows import find_start
from vision.prediction import archive, items
from vision.prediction.listing import open_items


def _fill(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(paint(RED))
    return root


def _pack(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in members.items():
            packed.writestr(name, content)
    return path


def test_every_file_below_a_folder_is_an_item_or_counted(tmp_path: Path) -> None:
    root = _fill(tmp_path / "photos", "b.png", "deep/er/a.png", "one_frame7.png")
    (root / "notes.txt").write_text("x")
    with open_items([root], "^(?P<group>.+)_frame") as listing:
        found = {each.path: each.group for each in listing.items}
    assert found == {"b.png": None, "deep/er/a.png": None, "one_frame7.png": "one"}
    assert (listing.name, dict(listing.others)) == ("photos", {".txt": 1})


@pytest.mark.parametrize(
    "text",
    [
        "path,group\nphotos/a.png,g 1\nphotos/gone.png,\n",
        "\ufeffIndex;Image;group\n0;photos/a.png;g 1\n1;photos/gone.png;\n",
        "file\tgroup\nphotos\\a.png\tg 1\nphotos\\gone.png\t\n",
    ],
)
def test_a_table_names_files_from_its_own_folder_and_those_that_are_gone_are_told(
    tmp_path: Path, text: str
) -> None:
    _fill(tmp_path, "photos/a.png")
    table = tmp_path / "list.csv"
    table.write_text(text, encoding="utf-8")
    with open_items([table]) as listing:
        there, gone = listing.items
    assert (there.fault, there.group, there.read()) == ("", "g 1", paint(RED))
    assert "cannot be opened" in gone.fault


def test_bare_names_of_a_table_are_found_in_the_folder_beside_it_which_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    _fill(tmp_path, "photos/2024/a.png", "photos/2024/b.png", "tables/c.png")
    table = tmp_path / "tables" / "list.csv"
    table.write_text("path\na.png\nb.png\n", encoding="utf-8")
    with open_items([table]) as listing:
        assert [(each.path, each.fault) for each in listing.items] == [("a.png", ""), ("b.png", "")]
        assert listing.items[0].read() == paint(RED)
    assert f"they are taken from {tmp_path / 'photos'}" in caplog.text
    _fill(tmp_path, "tables/a.png")
    with open_items([table]) as listing:
        assert [bool(each.fault) for each in listing.items] == [False, True]  # b.png is not taken from there


def test_a_row_without_a_file_is_told_by_its_number(tmp_path: Path) -> None:
    _fill(tmp_path, "a.png")
    (tmp_path / "list.csv").write_text("path,group\na.png,\n,\n,x\n")
    with open_items([tmp_path / "list.csv"]) as listing:
        assert [(each.path, bool(each.fault)) for each in listing.items] == [
            ("a.png", False),
            ("list.csv, row 4", True),
        ]


def test_a_listing_is_called_as_its_folder_or_its_file_without_ending_and_links_are_followed(
    tmp_path: Path,
) -> None:
    root = _fill(tmp_path / "sea.2024", "one.png")
    (root / "more").symlink_to(_fill(tmp_path / "elsewhere", "two.png"))
    with open_items([root]) as listing, open_items([root / "one.png"]) as single:
        assert (listing.name, single.name) == ("sea.2024", "one")
        assert [each.path for each in listing.items] == ["more/two.png", "one.png"]


def test_hidden_files_count_alike_in_a_folder_and_in_an_archive(tmp_path: Path) -> None:
    hidden = ["a/.1.png", ".git/b.png", "__MACOSX/a/._c.png", "a/thumbs/d.png", "@eaDir/e.png"]
    root = _fill(tmp_path / "photos", "a/b.png", *hidden)
    packed = _pack(tmp_path / "p.zip", dict.fromkeys(["a/b.png", *hidden], paint(RED)))
    for place in (root, packed):
        with open_items([place]) as listing:
            assert [each.path for each in listing.items] == ["a/b.png"]
            assert dict(listing.others) == {"hidden": 5}


def test_a_table_without_a_column_of_paths_says_which_it_has(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("name,label\na.png,red\n")
    with (
        pytest.raises(SourceError, match=r"name, label.*path, file, filename or image"),
        open_items([tmp_path / "list.csv"]),
    ):
        pass


def test_an_archive_is_read_in_place_and_unsafe_or_encrypted_members_are_told(tmp_path: Path) -> None:
    names = ["a/b.png", "../out.png", "/abs.png", "C:/d.png", "__MACOSX/a/._b.png"]
    path = _pack(tmp_path / "p.zip", dict.fromkeys(names, paint(RED)) | {"read.me": b"words"})
    with open_items([path]) as listing:
        faults = {each.path: each.fault for each in listing.items}
        content = next(each for each in listing.items if not each.fault).read()
    assert content == paint(RED)
    assert [name for name, fault in faults.items() if not fault] == ["a/b.png"]
    assert set(faults) == {"a/b.png", "../out.png", "/abs.png", "C:/d.png"}
    assert sum(listing.others.values()) == 2
    assert sorted(each.name for each in tmp_path.iterdir()) == ["p.zip"]


def test_names_are_utf_8_also_where_the_archive_does_not_say_so(tmp_path: Path) -> None:
    path = _pack(tmp_path / "p.zip", {"My cat, März 2024.PNG": paint(RED), "b.png": paint(RED)})
    raw = path.read_bytes().replace(b"\x14\0\0\x08", b"\x14\0\0\0")  # without the flag, as `zip -r` packs
    path.write_bytes(raw)
    with open_items([path]) as listing:
        named = {each.path: each.read() for each in listing.items}
    assert named == {"My cat, März 2024.PNG": paint(RED), "b.png": paint(RED)}
    path.write_bytes(raw.replace("ä".encode(), b"\x84."))  # cp437, as old Windows packs it
    with open_items([path]) as listing:
        assert listing.items[0].path == "My cat, Mä.rz 2024.PNG"


def test_links_and_encrypted_members_are_told_and_not_read(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("link.png")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "p.zip", "w") as packed:
        packed.writestr(link, "/etc/hostname")
        packed.writestr("secret.png", paint(RED))
    raw = bytearray((tmp_path / "p.zip").read_bytes())
    raw[raw.rindex(b"PK\x01\x02") + 8] |= 1  # the last entry of the directory is encrypted
    (tmp_path / "p.zip").write_bytes(raw)
    with open_items([tmp_path / "p.zip"]) as listing:
        told = {each.path: each.fault for each in listing.items}
    assert "is a link" in told["link.png"]
    assert "is encrypted" in told["secret.png"]


def test_bombs_are_refused_before_anything_is_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "_FREE_BYTES", 10_000)
    path = _pack(tmp_path / "bomb.zip", {"a.png": bytes(3_000_000)})
    with pytest.raises(SourceError, match="unpacks"), open_items([path]):
        pass
    noise = np.random.default_rng(0).bytes(50_000)  # large, but does not shrink
    with open_items([_pack(tmp_path / "photos.zip", {"a.png": noise})]) as listing:
        assert len(listing.items) == 1
    monkeypatch.setattr(archive, "MAX_MEMBERS", 1)
    two = _pack(tmp_path / "two.zip", {"a.png": b"", "b.png": b""})
    with pytest.raises(SourceError, match="holds 2 files; expected at most 1"), open_items([two]):
        pass
    monkeypatch.setattr(archive, "MAX_BYTES", 1_000)
    with open_items([_pack(tmp_path / "large.zip", {"a.png": paint(RED) + bytes(1_000)})]) as listing:
        assert "expected at most" in listing.items[0].fault


def test_a_damaged_member_is_its_own_fault(tmp_path: Path) -> None:
    path = tmp_path / "p.zip"
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr("a.png", paint(RED))
        packed.writestr("b.png", paint(RED))
    raw = bytearray(path.read_bytes())
    raw[60] ^= 255
    path.write_bytes(bytes(raw))
    with open_items([path]) as listing:
        with pytest.raises(ImageError, match="unpacked"):
            listing.items[0].read()
        assert listing.items[1].read() == paint(RED)


def test_large_files_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(items, "MAX_BYTES", 10)
    with open_items([_fill(tmp_path, "a.png") / "a.png"]) as listing:
        assert "expected at most" in listing.items[0].fault


@pytest.mark.parametrize(("name", "told"), [("phots", "Did you mean"), ("empty", "is empty")])
def test_a_place_without_pictures_is_told(tmp_path: Path, name: str, told: str) -> None:
    _fill(tmp_path, "photos/a.png")
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError, match=told), open_items([tmp_path / name]):
        pass


def test_a_file_that_is_no_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / "p.zip").write_bytes(paint(RED))
    with pytest.raises(SourceError, match="ZIP"), open_items([tmp_path / "p.zip"]):
        pass


def test_names_tell_groups_where_the_training_read_them_so(tmp_path: Path) -> None:
    names = [f"visit{visit:02}_frame{frame}.png" for visit in range(8) for frame in range(4)]
    with open_items([_fill(tmp_path / "photos", *names)], "auto") as listing:
        groups = {each.path: each.group for each in listing.items}
    assert groups == {name: name.partition("_frame")[0] for name in names}


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_files_of_one_name_are_told_apart_and_one_file_twice_is_one(tmp_path: Path) -> None:
    archives = []
    for name, colour in (("z1.zip", RED), ("z2.zip", (0, 0, 200))):
        archives.append(tmp_path / name)
        with zipfile.ZipFile(archives[-1], "w") as packed:
            packed.writestr("1.png", paint(colour))
            packed.writestr("1.png" if name == "z2.zip" else "2.png", paint((0, 200, 0)))
    with open_items(archives) as listing:
        assert len({(each.path, each.stamp) for each in listing.items}) == 4
        assert len({each.path for each in listing.items}) == 4
    _fill(tmp_path, "photos/a.png")
    with open_items([tmp_path / "photos" / "a.png"] * 2) as listing:
        assert len({each.path for each in listing.items}) == 1


def test_a_cell_that_no_file_can_be_called_is_a_row_with_its_reason(tmp_path: Path) -> None:
    _fill(tmp_path, "a.png")
    long = "C:\\" + "x" * 300 + ".jpg"
    (tmp_path / "list.csv").write_text(f"path\na.png\n{long}\n")
    with open_items([tmp_path / "list.csv"]) as listing:
        there, odd = listing.items
    assert (there.fault, "cannot be opened" in odd.fault) == ("", True)
    assert find_start(tmp_path, ["a/" * 3000 + "a.png"]) == (0, tmp_path)


def test_a_table_whose_pictures_two_folders_have_is_refused_with_both(tmp_path: Path) -> None:
    _fill(tmp_path, "one/a.png", "two/a.png")
    (tmp_path / "list.csv").write_text("path\na.png\n")
    with (
        pytest.raises(SourceError, match=r"(?s)one and in .*two .*move the table"),
        open_items([tmp_path / "list.csv"]),
    ):
        pass
