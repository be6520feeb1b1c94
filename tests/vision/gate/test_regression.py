"""The regression set: counted against the sign test by hand, asked through real bundles, taught to none."""

from __future__ import annotations

import hashlib
import io
import unicodedata
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.serving.toy import BLUE, GREEN, RED, make_bundle, paint
from tests.vision.training.nets.toy import KERAS_WARNINGS
from vision.base.errors import SourceError
from vision.bundle.assembly import LoadedBundle, load_bundle
from vision.config.data import FolderSource
from vision.data.sources import digest_source, read_source
from vision.data.sources.regression import list_regression
from vision.gate.regression import NAME, check_regression, compare_right
from vision.gate.words import WHY


def columns(both: int, gained: int, lost: int, neither: int) -> tuple[np.ndarray, np.ndarray]:
    challenger = [True] * both + [True] * gained + [False] * lost + [False] * neither
    champion = [True] * both + [False] * gained + [True] * lost + [False] * neither
    return np.array(challenger), np.array(champion)


@pytest.mark.parametrize(
    ("gained", "lost", "passes"),
    [(0, 0, True), (0, 4, True), (0, 5, False), (1, 7, False), (1, 6, True), (5, 5, True), (9, 0, True)],
)
def test_fewer_right_than_chance_is_refused(gained: int, lost: int, passes: bool) -> None:
    """P(Bin(4, 1/2) = 0) = 0.0625, P(Bin(5, 1/2) = 0) = 0.031; P(<= 1 of 8) = 0.035, of 7 0.0625."""
    check = compare_right(*columns(10, gained, lost, 3))
    assert check.passed is passes
    assert f"{10 + gained} right and the champion {10 + lost}: {gained} gained, {lost} lost" in check.message
    assert check.name in WHY


def swap(bundle: LoadedBundle) -> LoadedBundle:
    """The same network, red and green exchanged: right on blue alone."""
    names = tuple({"red": "green", "green": "red"}.get(name, name) for name in bundle.contract.class_names)
    return replace(bundle, contract=bundle.contract.model_copy(update={"class_names": names}))


def save(root: Path, name: str, file: str, content: bytes) -> None:
    (root / name).mkdir(parents=True, exist_ok=True)
    (root / name / file).write_bytes(content)


@pytest.mark.slow
@KERAS_WARNINGS
def test_both_models_are_asked_what_the_champion_did_not_learn(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    good = load_bundle(make_bundle().root, make_bundle().digest)
    learned = paint(RED, sides=(33, 40))
    save(tmp_path, "red", "learned.png", learned)
    for i in range(3):
        save(tmp_path, "red", f"{i}.png", paint(RED, sides=(40 + i, 40)))
        save(tmp_path, "green", f"{i}.png", paint(GREEN, sides=(40 + i, 40)))
    save(tmp_path, "blue", "0.png", paint(BLUE))
    save(tmp_path, "blue", "damaged.jpg", b"no picture")
    digests = {hashlib.sha256(learned).hexdigest()}
    check = check_regression(tmp_path, swap(good), good, digests)
    assert check.name == NAME
    assert not check.passed
    assert "Of 8 pictures" in check.message
    assert "names 1 right and the champion 7: 0 gained, 6 lost" in check.message
    assert "damaged.jpg" in caplog.text
    assert check_regression(tmp_path, good, swap(good), digests).passed
    first = check_regression(tmp_path, swap(good), None, ())
    assert (first.passed, "Of 9 pictures" in first.message) == (True, True)
    for i in range(2):
        save(tmp_path, "pike", f"{i}.png", paint(RED, sides=(50 + i, 40)))
    told = check_regression(tmp_path, swap(good), good, digests).message
    assert told.startswith(check.message)
    assert "no model has such a class: 2 pictures in pike" in told
    every = {hashlib.sha256(path.read_bytes()).hexdigest() for path in tmp_path.rglob("*.*")}
    none = check_regression(tmp_path, swap(good), good, every)
    assert none.passed
    assert none.message == "Of 11 pictures of dataset.regression none is judged: the champion learned 11."


def test_what_is_asked_is_not_taught_and_changes_the_digest(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name in ("bream", "cod"):
        for i in range(4):
            buffer = io.BytesIO()
            Image.fromarray(rng.integers(0, 256, (20, 20, 3), dtype=np.uint8)).save(buffer, "PNG")
            save(tmp_path / "photos", name, f"{i}.png", buffer.getvalue())
    held = (tmp_path / "photos" / "cod" / "1.png").read_bytes()
    save(tmp_path / "asked", "bream", "said-by-people.png", held)
    plain = FolderSource(path=tmp_path / "photos")
    asked = plain.model_copy(update={"regression": tmp_path / "asked"})
    manifest = read_source(asked, tmp_path)
    assert "cod/1.png" not in {entry.path for entry in manifest.entries}
    assert len(manifest.entries) == 7
    assert any("dataset.regression" in each.what and each.count == 1 for each in manifest.remarks)
    assert manifest.source_digest == digest_source(asked, tmp_path) != digest_source(plain, tmp_path)
    save(tmp_path / "asked", "bream", "other.png", paint(RED))
    assert digest_source(asked, tmp_path) != manifest.source_digest
    (tmp_path / "asked" / "loose.png").write_bytes(paint(RED))
    with pytest.raises(SourceError, match=r"loose\.png lies in no class folder"):
        digest_source(asked, tmp_path)


def test_a_class_folder_is_called_as_a_training_calls_it_however_its_accents_are_stored(
    tmp_path: Path,
) -> None:
    save(tmp_path, unicodedata.normalize("NFD", "Äsche"), "a.png", paint(RED))
    assert [name for _, name, _ in list_regression(tmp_path)] == ["Äsche"]


def test_copies_of_what_is_asked_are_not_taught_and_a_picture_counts_once_in_one_class(
    tmp_path: Path,
) -> None:
    rng = np.random.default_rng(1)
    for name in ("bream", "cod"):
        for i in range(4):
            picture = Image.fromarray(rng.integers(0, 256, (9, 12, 3), dtype=np.uint8)).resize((240, 180))
            (tmp_path / "photos" / name).mkdir(parents=True, exist_ok=True)
            picture.save(tmp_path / "photos" / name / f"{i}.png")
    asked = tmp_path / "asked" / "bream"
    asked.mkdir(parents=True)
    with Image.open(tmp_path / "photos" / "cod" / "0.png") as picture:
        picture.save(asked / "anew.png", compress_level=1)
    with Image.open(tmp_path / "photos" / "cod" / "1.png") as picture:
        picture.save(asked / "lossy.jpg", quality=80)
    with Image.open(tmp_path / "photos" / "cod" / "2.png") as picture:
        picture.resize((160, 120)).save(asked / "small.png")
    (asked / "small_again.png").write_bytes((asked / "small.png").read_bytes())
    settings = FolderSource(path=tmp_path / "photos", regression=tmp_path / "asked")
    manifest = read_source(settings, tmp_path)
    kept = [f"bream/{i}.png" for i in range(4)] + ["cod/3.png"]
    assert [entry.path for entry in manifest.entries] == kept
    listed = list_regression(tmp_path / "asked")
    assert [path.name for path, _, _ in listed] == ["anew.png", "lossy.jpg", "small.png"]
    asked.rename(tmp_path / "asked" / "cod")
    assert digest_source(settings, tmp_path) != manifest.source_digest
    save(tmp_path / "asked", "bream", "said.png", (tmp_path / "asked" / "cod" / "small.png").read_bytes())
    with pytest.raises(SourceError, match=r"bream/said\.png and cod/small\.png are one picture"):
        digest_source(settings, tmp_path)
