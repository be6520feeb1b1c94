"""Folders that join a source change nothing that the source holds, whatever their order and place."""

from __future__ import annotations

import io
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from vision.base.errors import SourceError
from vision.config.data import Addition, FolderSource, ImageSettings, ReefSource, SplitSettings
from vision.data.images import decode_image
from vision.data.records import Manifest, Split, Splits
from vision.data.sources import digest_source, read_source
from vision.data.sources.reef import reef_digest
from vision.data.splitting.checks import check_leaks
from vision.data.splitting.splits import assign_splits
from vision.data.store import build_store, images_at, open_images

GROUP_BY = r"^(?P<group>.+)_frame\d+"


def picture(seed: int) -> bytes:
    out = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


def make(root: Path, *paths: str, seed: int = 0) -> Path:
    """Files of those paths, each a different picture."""
    for index, path in enumerate(paths):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(picture(1000 * seed + index))
    return root


def make_base(root: Path, num: int = 12) -> Path:
    """Twelve individuals of each of two classes, two frames each."""
    paths = [f"{c}/{c}{i}_frame{f}.png" for c in ("bream", "cod") for i in range(num) for f in (1, 2)]
    return make(root / "photos", *paths, seed=1)


def make_addition(root: Path, name: str = "june", num: int = 6, seed: int = 2) -> Path:
    """Individuals of the same names as the base's, but other fish."""
    return make(root / name, *(f"bream/bream{i}_frame{f}.png" for i in range(num) for f in (1, 2)), seed=seed)


def source(base: Path, *additions: Any, **settings: Any) -> FolderSource:
    tree = {"path": base, "group_by": GROUP_BY, "additions": additions, **settings}
    return FolderSource.model_validate(tree)


def read(base: Path, *additions: Any, **settings: Any) -> Manifest:
    return read_source(source(base, *additions, **settings), base)


def digest(base: Path, *additions: Any, **settings: Any) -> str:
    return digest_source(source(base, *additions, **settings), base)


def fault(base: Path, *additions: Any, **settings: Any) -> str:
    """What both ways of looking at a source say, which is the same."""
    with pytest.raises(SourceError) as of_digest:
        digest(base, *additions, **settings)
    with pytest.raises(SourceError) as of_manifest:
        read(base, *additions, **settings)
    assert str(of_digest.value) == str(of_manifest.value)
    return str(of_digest.value)


def split_of(manifest: Manifest, splits: Splits) -> dict[str, Split | None]:
    return dict(zip((entry.path for entry in manifest.entries), splits.splits, strict=True))


# --- what an addition brings ----------------------------------------------------------------------------


def test_the_source_keeps_its_paths_and_groups_and_the_addition_gets_its_own(tmp_path: Path) -> None:
    base, june = make_base(tmp_path), make_addition(tmp_path)
    alone, grown = read(base), read(base, {"path": june, "group_by": GROUP_BY})
    kept = [entry for entry in grown.entries if not entry.path.startswith("+")]
    assert tuple(kept) == alone.entries
    new = [(entry.path, entry.group) for entry in grown.entries if entry.path.startswith("+")]
    assert new[0] == ("+june/bream/bream0_frame1.png", "june/bream0")
    assert len(new) == 12
    assert grown.root == alone.root
    assert grown.class_names == ("bream", "cod")
    assert [entry.path for entry in grown.entries] == sorted(entry.path for entry in grown.entries)


def test_equal_group_names_of_different_parts_are_different_groups_unless_they_are_shared(
    tmp_path: Path,
) -> None:
    base = make_base(tmp_path)
    june, july = make_addition(tmp_path), make_addition(tmp_path, "july", seed=3)
    apart = read(base, *({"path": each, "group_by": GROUP_BY} for each in (june, july)))
    groups = {entry.group for entry in apart.entries if "bream0_" in entry.path}
    assert groups == {"bream0", "june/bream0", "july/bream0"}
    again = read(base, {"path": june, "group_by": GROUP_BY, "shared_groups": True})
    assert {entry.group for entry in again.entries if "bream0_" in entry.path} == {"bream0"}


def test_the_digest_changes_with_a_byte_of_any_part_and_with_nothing_else(tmp_path: Path) -> None:
    base, june, july = (
        make_base(tmp_path),
        make_addition(tmp_path),
        make_addition(tmp_path, "july", seed=3),
    )
    digests = {digest(base), digest(base, june), digest(base, june, july)}
    for part, path in ((base, "cod/cod3_frame1.png"), (july, "bream/bream0_frame1.png")):
        (part / path).write_bytes((part / path).read_bytes() + b"\0")
        digests.add(digest(base, june, july))
    assert len(digests) == 5
    before = digest(base, june, july)
    (june / "notes.txt").write_text("clear water")
    moved = tmp_path / "elsewhere" / "june"
    shutil.copytree(june, moved)
    assert digest(base, moved, july) == before


def test_one_class_is_enough_and_a_new_class_is_learned(tmp_path: Path) -> None:
    base = make_base(tmp_path)
    june = make(tmp_path / "june", "dab/1.png", "dab/2.png", seed=5)
    assert read(base, june).class_names == ("bream", "cod", "dab")


def test_unusable_files_of_an_addition_are_named_with_their_part(tmp_path: Path) -> None:
    base, june = make_base(tmp_path), make_addition(tmp_path)
    (june / "bream/broken.png").write_bytes(b"")
    (june / "loose.png").write_bytes(picture(77))
    found = {item.path: item.reason for item in read(base, june).quarantined}
    assert list(found) == ["+june/bream/broken.png", "+june/loose.png"]
    assert "outside the class folders" in found["+june/loose.png"]


# --- decoding -------------------------------------------------------------------------------------------


def test_images_of_all_parts_are_decoded_from_where_they_lie(tmp_path: Path) -> None:
    base, june = make_base(tmp_path, num=2), make_addition(tmp_path / "far" / "away", num=2)
    manifest = read(base, june)
    ref = build_store(manifest, ImageSettings(size=16), tmp_path / "stores")
    images = open_images(ref)
    assert ref.source_digest == manifest.source_digest
    for row, entry in enumerate(manifest.entries):
        folder = june / entry.path.removeprefix("+june/") if entry.path[0] == "+" else base / entry.path
        expected = decode_image(folder.read_bytes(), size=16, resize=ImageSettings().resize)
        assert np.array_equal(images[row], expected)
    assert images_at(manifest, tmp_path / "stores", 20, "crop").shape == (12, 20, 20, 3)


def test_a_file_of_an_addition_that_changed_is_named_with_its_place(tmp_path: Path) -> None:
    base, june = make_base(tmp_path, num=2), make_addition(tmp_path, num=2)
    manifest = read(base, june)
    path = june / "bream/bream1_frame2.png"
    path.write_bytes(picture(99))
    with pytest.raises(SourceError, match=rf"{path}: has changed since it was listed"):
        build_store(manifest, ImageSettings(size=16), tmp_path / "stores")


def test_a_class_folder_that_begins_with_a_plus_is_found_where_it_lies(tmp_path: Path) -> None:
    base = make(tmp_path / "photos", "+june/1.png", "cod/2.png")
    manifest = read(base, group_by=None)
    assert [manifest.locate(entry) for entry in manifest.entries] == [
        base / "+june/1.png",
        base / "cod/2.png",
    ]


# --- splits ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", [("june", "july"), ("july", "june")])
def test_adding_parts_never_moves_an_image_that_the_champion_knows(
    order: Sequence[str], tmp_path: Path
) -> None:
    base = make_base(tmp_path)
    for name, seed in (("june", 2), ("july", 3)):
        make_addition(tmp_path, name, num=20, seed=seed)
    parts = [{"path": tmp_path / name, "group_by": GROUP_BY} for name in order]
    manifest = read(base)
    splits = assign_splits(manifest, SplitSettings(), 7)
    for num_parts in (1, 2):
        before = split_of(manifest, splits)
        manifest = read(base, *parts[:num_parts])
        splits = assign_splits(manifest, SplitSettings(), 7, splits)
        after = split_of(manifest, splits)
        assert {path: after[path] for path in before} == before
        new = {path: split for path, split in after.items() if path not in before}
        assert set(new.values()) == set(Split)
        check_leaks(manifest, splits)


def test_frames_of_a_shared_individual_follow_it_into_its_split(tmp_path: Path) -> None:
    base, june = make_base(tmp_path), make_addition(tmp_path)
    first = assign_splits(read(base), SplitSettings(), 7)
    manifest = read(base, {"path": june, "group_by": GROUP_BY, "shared_groups": True})
    splits = split_of(manifest, assign_splits(manifest, SplitSettings(), 7, first))
    for i in range(6):
        assert splits[f"+june/bream/bream{i}_frame1.png"] is splits[f"bream/bream{i}_frame1.png"]


def test_a_copy_of_an_old_image_joins_its_group_and_split(tmp_path: Path) -> None:
    base, june = make_base(tmp_path), make_addition(tmp_path)
    first = assign_splits(read(base), SplitSettings(), 7)
    shutil.copy(base / "bream/bream3_frame1.png", june / "bream/bream0_frame3.png")
    manifest = read(base, {"path": june, "group_by": GROUP_BY})
    splits = assign_splits(manifest, SplitSettings(), 7, first)
    found = split_of(manifest, splits)
    paths = [entry.path for entry in manifest.entries]
    old, copy = paths.index("bream/bream3_frame1.png"), paths.index("+june/bream/bream0_frame3.png")
    assert splits.groups[old] == splits.groups[copy]
    assert found["+june/bream/bream0_frame1.png"] is found["bream/bream3_frame1.png"]


def test_a_copy_of_an_old_image_under_another_label_is_quarantined_with_it(tmp_path: Path) -> None:
    base = make_base(tmp_path)
    june = make(tmp_path / "june", "cod/new.png", seed=6)
    shutil.copy(base / "bream/bream3_frame1.png", june / "cod/copy.png")
    manifest = read(base, june)
    splits = assign_splits(manifest, SplitSettings(), 7)
    assert [item.path for item in splits.quarantined] == ["+june/cod/copy.png", "bream/bream3_frame1.png"]
    assert "two labels, bream and cod" in splits.quarantined[0].reason


class TestBesideTrees:
    """The base has train/ and test/; an addition has no tree and is dealt to all splits."""

    def make_trees(self, root: Path) -> Path:
        paths = [
            f"{tree}/{c}/{c}{tree}{i}_frame1.png"
            for tree in ("train", "test")
            for c in "ab"
            for i in range(20)
        ]
        return make(root / "photos", *paths, seed=1)

    def test_trees_are_honoured_and_added_images_go_to_every_split(self, tmp_path: Path) -> None:
        base = self.make_trees(tmp_path)
        june = make(tmp_path / "june", *(f"a/new{i}.png" for i in range(20)), seed=2)
        alone = read(base)
        first = assign_splits(alone, SplitSettings(), 7)
        manifest = read(base, june)
        for previous in (None, first):
            found = split_of(manifest, assign_splits(manifest, SplitSettings(), 7, previous))
            assert {path: found[path] for path in split_of(alone, first)} == split_of(alone, first)
            assert {split for path, split in found.items() if path[0] == "+"} == set(Split)

    def test_an_added_image_that_would_join_two_trees_is_left_out(self, tmp_path: Path) -> None:
        base = self.make_trees(tmp_path)
        june = tmp_path / "june"
        (june / "a").mkdir(parents=True)
        shutil.copy(base / "train/a/atrain1_frame1.png", june / "a/fish_frame1.png")
        shutil.copy(base / "test/a/atest1_frame1.png", june / "a/fish_frame2.png")
        manifest = read(base, {"path": june, "group_by": GROUP_BY})
        splits = assign_splits(manifest, SplitSettings(), 7)
        found = split_of(manifest, splits)
        assert found["test/a/atest1_frame1.png"] is Split.TEST
        assert found["train/a/atrain1_frame1.png"] is not Split.TEST
        assert [found[f"+june/a/fish_frame{i}.png"] for i in (1, 2)].count(None) == 1
        assert "user's test tree" in splits.quarantined[0].reason
        assert "train tree" in splits.quarantined[0].reason
        check_leaks(manifest, splits)


# --- what is refused ------------------------------------------------------------------------------------


def test_a_missing_an_empty_and_a_wrong_folder_are_named(tmp_path: Path) -> None:
    base = make_base(tmp_path)
    (tmp_path / "empty").mkdir()
    assert fault(base, tmp_path / "emptyy").startswith(
        f"{tmp_path / 'emptyy'}: there is no such folder. Expected one folder per class; correct the "
        f"path of the addition 'emptyy'. Did you mean {tmp_path / 'empty'}?"
    )
    assert f"{tmp_path / 'empty'}: is empty. Expected one folder per class, of" in fault(
        base, tmp_path / "empty"
    )
    assert "is a file" in fault(base, {"path": base / "cod/cod1_frame1.png", "name": "june"})


def test_trees_of_splits_in_an_addition_are_refused(tmp_path: Path) -> None:
    base = make_base(tmp_path)
    june = make(tmp_path / "june", "train/bream/1.png", "test/bream/2.png")
    assert "has test/ and train/, which name splits" in fault(base, june)


def test_a_class_of_the_base_may_be_called_test_in_an_addition_too(tmp_path: Path) -> None:
    base = make(tmp_path / "photos", "test/1.png", "control/2.png")
    june = make(tmp_path / "june", "test/3.png", seed=4)
    assert read(base, june, group_by=None).class_names == ("control", "test")


def test_a_class_that_the_base_holds_out_is_refused_until_it_is_named(tmp_path: Path) -> None:
    base = make_base(tmp_path)
    make(base, "eel/1.png", "eel/2.png", seed=8)
    june = make(tmp_path / "june", "eel/3.png", seed=9)
    message = fault(base, june, unknown_classes=("eel",))
    assert (
        "class 'eel', which the source holds out as unknown. To learn the class, hold it out nowhere"
        in message
    )
    named = read(base, {"path": june, "unknown_classes": ("eel",)}, unknown_classes=("eel",))
    assert named.unknown_class_names == ("eel",)
    assert [entry.is_unknown for entry in named.entries if "eel" in entry.path] == [True, True, True]
    assert read(base, june).class_names == ("bream", "cod", "eel")


def test_a_known_class_cannot_be_held_out_in_one_part(tmp_path: Path) -> None:
    base, june = make_base(tmp_path), make_addition(tmp_path)
    message = fault(base, {"path": june, "unknown_classes": ("bream",)})
    assert "holds class 'bream' out as unknown, which the source knows" in message


def test_two_additions_must_agree_on_a_new_class(tmp_path: Path) -> None:
    base = make_base(tmp_path)
    june, july = (make(tmp_path / name, "eel/1.png", seed=i) for i, name in enumerate(("june", "july"), 8))
    message = fault(base, june, {"path": july, "unknown_classes": ("eel",)})
    assert "class 'eel', which the addition 'july' holds out" in message


def test_an_unknown_class_or_a_pattern_that_matches_nothing_is_refused(tmp_path: Path) -> None:
    base, june = make_base(tmp_path), make_addition(tmp_path)
    message = fault(base, {"path": june, "unknown_classes": ("breams",)})
    assert "unknown_classes of the addition 'june' names 'breams'" in message
    assert "did you mean bream?" in message
    message = fault(base, {"path": june, "group_by": "^(?P<group>visit.+)-"})
    assert "group_by of the addition 'june'" in message


def test_classes_that_differ_in_case_from_those_of_another_part_are_refused(tmp_path: Path) -> None:
    base = make_base(tmp_path)
    june, july = make(tmp_path / "june", "Bream/1.png"), make(tmp_path / "july", "eel/1.png", seed=3)
    assert "'Bream' and 'bream' differ only in case" in fault(base, june)
    may = make(tmp_path / "may", "Eel/1.png", seed=4)
    assert "'Eel' and 'eel' differ only in case" in fault(base, july, may)


def test_folders_inside_one_another_are_refused(tmp_path: Path) -> None:
    base, june = make_base(tmp_path), make_addition(tmp_path)
    make(june, "bream/more/bream/1.png", seed=4)
    (tmp_path / "link").symlink_to(base)
    words = "one lies inside the other"
    assert words in fault(base, base / "cod")
    assert words in fault(base, tmp_path / "link")
    assert words in fault(base, june, june / "bream" / "more")


def test_an_addition_named_like_a_class_folder_of_the_base_is_refused(tmp_path: Path) -> None:
    base, june = make_base(tmp_path), make_addition(tmp_path)
    make(base, "+june/1.png", seed=4)
    assert "Give the addition another name" in fault(base, june)


# --- settings -------------------------------------------------------------------------------------------


def test_a_path_alone_is_enough_and_names_the_addition() -> None:
    assert Addition.model_validate("photos/june") == Addition(path=Path("photos/june"), name="june")
    written = Addition(path=Path("photos/june"), name="summer")
    assert Addition.model_validate_json(written.model_dump_json()) == written


@pytest.mark.parametrize("name", ["", "a/b", ".hidden", "a\nb"])
def test_a_name_that_cannot_open_a_path_is_refused(name: str) -> None:
    with pytest.raises(ValidationError, match="name"):
        Addition(path=Path("x"), name=name)


# --- reef -----------------------------------------------------------------------------------------------


def test_additions_do_not_change_which_reef_is_painted(tmp_path: Path) -> None:
    plain, grown = ReefSource(), ReefSource.model_validate({"additions": [str(tmp_path / "june")]})
    assert reef_digest(grown) == reef_digest(plain)


def test_classes_of_an_addition_have_names_that_show_and_stand_for_themselves(tmp_path: Path) -> None:
    base = make_base(tmp_path)
    june = make(tmp_path / "june", "a\x1b[31m/1.png")
    assert r"the class folder 'a\x1b[31m' holds a control character" in fault(base, june)
    july = make(tmp_path / "july", "all/1.png")
    message = fault(base, {"path": july, "unknown_classes": ["all"]})
    assert "'all' is what reports call all held-out" in message
