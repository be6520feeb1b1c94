"""A folder that cannot be learned from is refused with what lies there and what to do."""

import os
from pathlib import Path

import pytest

from tests.vision.data.sources.test_folder import fault, make, read


class TestFaults:
    def test_a_missing_folder_names_its_neighbour(self, tmp_path: Path) -> None:
        make(tmp_path, "fishes/a/1.jpg")
        assert f"Did you mean {tmp_path / 'fishes'}?" in fault(tmp_path / "fisches")

    def test_a_relative_path_says_where_it_looked(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        assert f"(looked for {tmp_path / 'photos'})" in fault(Path("photos"))

    @pytest.mark.parametrize(
        ("path", "words"),
        [
            ("C:\\photos\\fish", "a path of Windows"),
            ("C:\temp", "Write the path in single quotes"),
            ("$HOME/photos", "Variables are not filled in"),
        ],
    )
    def test_a_path_of_another_system_is_told(self, path: str, words: str) -> None:
        assert words in fault(Path(path))

    def test_a_folder_stored_in_another_form_is_told(self, tmp_path: Path) -> None:
        make(tmp_path, "A\u0308schen/a/1.jpg")
        assert "stored in another form" in fault(tmp_path / "\u00c4schen")

    @pytest.mark.parametrize(
        ("path", "words"), [("x" * 300, "File name too long"), ("~nouser/x", "home directory")]
    )
    def test_a_path_that_cannot_be_looked_up(self, path: str, words: str) -> None:
        message = fault(Path(path))
        assert message.startswith(f"{path}: cannot be opened: ")
        assert words in message

    def test_a_file_where_a_folder_is_expected(self, tmp_path: Path) -> None:
        make(tmp_path, "a.jpg")
        assert "a.jpg: is a file. Expected one folder per class" in fault(tmp_path / "a.jpg")
        make(tmp_path, "labels.csv")
        assert "source: csv" in fault(tmp_path / "labels.csv")

    def test_a_folder_without_images_tells_what_it_holds(self, tmp_path: Path) -> None:
        (tmp_path / "b").mkdir()
        for name in ("b/1.txt", "b/2.txt", "README"):
            (tmp_path / name).write_text("words")
        (tmp_path / "b/3.psd").write_bytes(b"8BPS")
        message = fault(tmp_path)
        assert "no usable image, but 2 .txt, 1 without an ending, 1 left out (first: b/3.psd" in message

    def test_one_class_only(self, tmp_path: Path) -> None:
        make(tmp_path, "a/1.jpg", "a/2.jpg")
        assert "has one class only, 'a'. Expected at least two known classes" in fault(tmp_path)

    def test_one_class_left_after_holding_out(self, tmp_path: Path) -> None:
        make(tmp_path, "a/1.jpg", "b/2.jpg")
        assert "only, 'a' (1 held out as unknown). Expected" in fault(tmp_path, unknown_classes=("b",))

    def test_an_unknown_class_that_does_not_exist(self, tmp_path: Path) -> None:
        make(tmp_path, "bream/1.jpg", "chub/2.jpg", "nase/3.jpg")
        message = fault(tmp_path, unknown_classes=("breem",))
        assert "'breem', which is no class there; did you mean bream?" in message

    def test_a_group_pattern_that_matches_nothing(self, tmp_path: Path) -> None:
        make(tmp_path, "a/1.jpg", "b/2.jpg")
        message = fault(tmp_path, group_by=r"^(?P<group>.+)_frame\d+")
        assert "matches none of 2 file names (first: 1.jpg)" in message

    def test_classes_that_differ_in_case_only_are_told_with_their_trees(self, tmp_path: Path) -> None:
        make(tmp_path, "train/Bream/1.jpg", "train/chub/2.jpg", "test/bream/3.jpg")
        assert "'train/Bream' and 'test/bream' differ only in case" in fault(tmp_path)

    @pytest.mark.parametrize(
        ("name", "words"),
        [
            (" ", "is blank"),
            ("a\tb", "U+0009"),
            ("a\x1b[31m", "U+001B"),
            ("b\u202egnp", "RIGHT-TO-LEFT OVERRIDE (U+202E) at place 2"),
            ("\u200b", "ZERO WIDTH SPACE"),
            ("sea\u200cbass", "ZERO WIDTH NON-JOINER"),
        ],
    )
    def test_a_class_with_a_name_that_does_not_show(self, tmp_path: Path, name: str, words: str) -> None:
        make(tmp_path, "a/1.jpg", "b/2.jpg", f"{name}/3.jpg")
        message = fault(tmp_path)
        assert f"the name of the class folder {name!a} " in message
        assert words in message
        assert message.isprintable()

    @pytest.mark.parametrize("name", ["unknown", "Review", "ACCEPT"])
    def test_a_class_that_is_called_like_an_answer_is_held_out_or_renamed(
        self, tmp_path: Path, name: str
    ) -> None:
        make(tmp_path, "a/1.jpg", "b/2.jpg", f"{name}/3.jpg")
        assert f"--set 'dataset.unknown_classes=[\"{name}\"]'" in fault(tmp_path)
        assert read(tmp_path, unknown_classes=(name,)).unknown_class_names == (name,)

    def test_an_unknown_class_that_is_called_as_all_of_them_together(self, tmp_path: Path) -> None:
        make(tmp_path, "a/1.jpg", "b/2.jpg", "all/3.jpg")
        assert "'all' is what reports call all held-out" in fault(tmp_path, unknown_classes=("all",))
        assert read(tmp_path).class_names == ("a", "all", "b")  # known, it collides with nothing

    def test_folders_in_folders_without_end(self, tmp_path: Path) -> None:
        deepest = "a/" + "d/" * 49
        make(tmp_path, f"{deepest}1.jpg", "b/2.jpg")
        assert read(tmp_path).class_names == ("a", "b")
        make(tmp_path, f"{deepest}d/3.jpg")
        assert f"{tmp_path}/{deepest}d: lies 51 folders deep; expected at most 50" in fault(tmp_path)

    def test_a_tree_without_training(self, tmp_path: Path) -> None:
        make(tmp_path, "val/a/1.jpg", "test/b/2.jpg")
        assert "no train/ with images" in fault(tmp_path)

    def test_trees_beside_classes(self, tmp_path: Path) -> None:
        make(tmp_path, "train/a/1.jpg", "train/b/2.jpg", "more/3.jpg")
        assert "has the trees train/ and beside them more/ with images" in fault(tmp_path)

    def test_two_trees_of_one_kind(self, tmp_path: Path) -> None:
        make(tmp_path, "train/a/1.jpg", "train/b/2.jpg", "val/a/3.jpg", "valid/a/4.jpg")
        assert "val/ and valid/ are two trees for validation" in fault(tmp_path)

    def test_a_tested_class_that_is_not_trained_on(self, tmp_path: Path) -> None:
        make(tmp_path, "train/bream/1.jpg", "train/chub/2.jpg", "test/breams/3.jpg")
        assert "class 'breams' has images to test but none to train on" in fault(tmp_path)
        assert "did you mean bream?" in fault(tmp_path)

    def test_a_folder_that_cannot_be_listed(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        make(tmp_path, "a/1.jpg", "b/2.jpg")

        def refuse(path: Path) -> None:
            raise PermissionError(13, "Permission denied", str(path))

        monkeypatch.setattr(os, "scandir", refuse)
        assert "cannot be listed: Permission denied" in fault(tmp_path)
