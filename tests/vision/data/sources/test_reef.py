"""The reef: same settings, same bytes; complete or absent; species fixed; faults as asked for."""

import errno
import hashlib
import io
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from vision.base.errors import ConfigError, SourceError, StorageError
from vision.config.data import ReefSource
from vision.data.sources.reef import dataset
from vision.data.sources.reef.dataset import (
    Fault,
    PaintTask,
    list_reef_files,
    paint_bytes,
    paint_reef,
    plan_reef,
    reef_digest,
)
from vision.data.sources.reef.painter import HEIGHT, PAINTER_VERSION, WIDTH, encode_jpeg, paint_image
from vision.data.sources.reef.species import (
    KNOWN_SPECIES,
    SPECIES,
    UNKNOWN_SPECIES,
)

GOLDEN = Path(__file__).parents[3] / "golden" / "reef.png"
SMALL = ReefSource(seed=5, images_per_class=3, unknown_images_per_class=1)


def file_digests(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


# --- species --------------------------------------------------------------------------------------------


def test_eight_known_and_six_unknown_species_are_fixed() -> None:
    assert KNOWN_SPECIES == (
        "lantern_angel",
        "saddle_banner",
        "ring_damsel",
        "star_damsel",
        "ribbon_fusilier",
        "ember_fusilier",
        "lattice_wrasse",
        "cloak_wrasse",
    )
    assert UNKNOWN_SPECIES == (
        "ripple_angel",
        "orchid_banner",
        "kite_damsel",
        "patch_damsel",
        "rose_fusilier",
        "arrow_wrasse",
    )


@pytest.mark.parametrize("name", UNKNOWN_SPECIES)
def test_unknown_species_keeps_at_least_one_attribute_of_its_nearest_known(name: str) -> None:
    unknown = SPECIES[name]
    assert unknown.nearest in KNOWN_SPECIES
    near = SPECIES[unknown.nearest]
    kept = [unknown.shape == near.shape, unknown.pattern == near.pattern, unknown.colours == near.colours]
    assert 1 <= sum(kept) <= 2


def test_no_two_species_share_all_attributes() -> None:
    attributes = {(s.shape, s.pattern, s.colours) for s in SPECIES.values()}
    assert len(attributes) == len(SPECIES) == 14


# --- pictures -------------------------------------------------------------------------------------------


def test_every_species_looks_as_when_figures_of_the_reef_were_measured() -> None:
    """Whoever changes a picture raises PAINTER_VERSION, measures all figures again and writes GOLDEN anew."""
    painted = [paint_image(1, name, 0, 0)[0] for name in SPECIES]
    painted.append(paint_image(1, "star_damsel", 0, 0, turbidity=1.0)[0])
    small = np.vstack([np.asarray(each.resize((24, 18), Image.Resampling.BOX), int) for each in painted])
    assert PAINTER_VERSION == 2
    with Image.open(GOLDEN) as golden:
        assert np.abs(small - np.asarray(golden, int)).max() <= 2


def test_same_arguments_give_the_same_picture_and_any_other_argument_another() -> None:
    def paint(seed: int, name: str, individual: int, frame: int) -> bytes:
        return paint_image(seed, name, individual, frame)[0].tobytes()

    first = paint(7, "ring_damsel", 0, 0)
    assert first == paint(7, "ring_damsel", 0, 0)
    others = [
        (8, "ring_damsel", 0, 0),
        (7, "star_damsel", 0, 0),
        (7, "ring_damsel", 1, 0),
        (7, "ring_damsel", 0, 1),
    ]
    assert all(paint(*other) != first for other in others)


def test_frames_of_one_individual_are_more_alike_than_two_individuals() -> None:
    def paint(individual: int, frame: int) -> np.ndarray:
        small = paint_image(3, "lantern_angel", individual, frame)[0].resize((24, 18))
        return np.asarray(small, np.float32)

    within = [np.abs(paint(i, 0) - paint(i, 1)).mean() for i in range(6)]
    between = [np.abs(paint(i, 0) - paint(i + 1, 0)).mean() for i in range(6)]
    assert max(within) < np.mean(between)
    assert min(within) > 0.5


def test_turned_file_looks_the_same_after_orientation() -> None:
    image, _ = paint_image(4, "lattice_wrasse", 0, 0)
    turned = Image.open(io.BytesIO(encode_jpeg(image, 95, turned=True)))
    assert turned.size == (HEIGHT, WIDTH)
    upright = ImageOps.exif_transpose(turned)
    difference = np.abs(np.asarray(upright, np.float32) - np.asarray(image, np.float32))
    assert difference.mean() < 4.0


# --- plan -----------------------------------------------------------------------------------------------


def test_plan_has_the_counts_asked_for() -> None:
    plan = plan_reef(
        ReefSource(images_per_class=20, unknown_images_per_class=6, duplicates=3, corrupt_files=4)
    )
    counts = Counter(str(Path(task.path).parent) for task in plan)
    assert sum(counts[f"known/{name}"] for name in KNOWN_SPECIES) == 8 * 20 + 3 + 4
    assert all(counts[f"unknown/{name}"] == 6 for name in UNKNOWN_SPECIES)
    assert len({task.path for task in plan}) == len(plan)


@given(
    seed=st.integers(0, 2**31 - 1),
    frames=st.integers(1, 50),
    fewer=st.integers(2, 30),
    more=st.integers(0, 30),
)
@settings(max_examples=20, deadline=None)
def test_more_images_leave_the_earlier_ones_as_they_are(
    seed: int, frames: int, fewer: int, more: int
) -> None:
    def plan(count: int) -> set[PaintTask]:
        return set(plan_reef(ReefSource(seed=seed, frames_per_individual=frames, images_per_class=count)))

    assert plan(fewer) <= plan(fewer + more)


def test_frames_per_individual_is_the_largest_number_and_all_numbers_occur() -> None:
    plan = plan_reef(ReefSource(images_per_class=200, frames_per_individual=3, unknown_images_per_class=0))
    frames = Counter((task.species, task.individual) for task in plan)
    assert set(frames.values()) == {1, 2, 3}
    single = plan_reef(ReefSource(images_per_class=10, frames_per_individual=1, unknown_images_per_class=0))
    assert all(task.frame == 0 for task in single)


def test_wrong_labels_move_files_and_keep_their_names() -> None:
    plan = plan_reef(ReefSource(images_per_class=20, wrong_labels=11))
    moved = [task for task in plan if Path(task.path).parent.name != task.species]
    assert len(moved) == 11
    assert all(Path(task.path).name.startswith(task.species) for task in moved)


def test_faults_of_different_kinds_do_not_meet() -> None:
    plan = plan_reef(ReefSource(images_per_class=8, duplicates=16, wrong_labels=16, exif_rotated=16))
    turned = {task.path for task in plan if task.fault is Fault.EXIF_ROTATED}
    moved = {task.path for task in plan if Path(task.path).parent.name != task.species}
    assert len(turned) == len(moved) == 16
    assert not turned & moved


def test_more_faults_than_images_is_a_config_error() -> None:
    with pytest.raises(ConfigError, match="at most 16"):
        plan_reef(ReefSource(images_per_class=8, wrong_labels=17))


def test_duplicates_are_the_same_bytes_under_another_name_in_the_same_class() -> None:
    plan = plan_reef(ReefSource(images_per_class=4, duplicates=2, unknown_images_per_class=0))
    for copy in (task for task in plan if "_copy" in task.path):
        original = next(t for t in plan if "_copy" not in t.path and t.species == copy.species)
        assert Path(copy.path).parent == Path(original.path).parent
        assert paint_bytes(copy, 3, 0.0) == paint_bytes(original, 3, 0.0)


@pytest.mark.parametrize("fault", [Fault.TRUNCATED, Fault.EMPTY, Fault.JUNK])
def test_corrupt_bytes_cannot_be_decoded(fault: Fault) -> None:
    raw = paint_bytes(PaintTask("x.jpg", "ring_damsel", 1, 0, fault), 3, 0.0)
    assert (len(raw) == 0) == (fault is Fault.EMPTY)
    with pytest.raises(OSError), Image.open(io.BytesIO(raw)) as image:  # noqa: PT011
        image.load()


# --- digest ---------------------------------------------------------------------------------------------


def test_digest_changes_with_settings_and_painter(monkeypatch: pytest.MonkeyPatch) -> None:
    first = reef_digest(SMALL)
    assert len(first) == 64
    assert first == reef_digest(ReefSource(seed=5, images_per_class=3, unknown_images_per_class=1))
    assert first != reef_digest(SMALL.model_copy(update={"turbidity": 0.5}))
    monkeypatch.setattr(dataset, "PAINTER_VERSION", 10_000)
    assert first != reef_digest(SMALL)


# --- on disk --------------------------------------------------------------------------------------------


def test_painted_reef_is_listed_with_classes_groups_and_unknowns(tmp_path: Path) -> None:
    folder, calls = tmp_path / "reef", []
    paint_reef(SMALL, folder, progress=lambda done, total: calls.append((done, total)), num_workers=1)
    files = list_reef_files(folder)
    assert len(files) == 8 * 3 + 6
    assert calls[-1] == (30, 30)
    assert {file.class_name for file in files if file.is_unknown} == set(UNKNOWN_SPECIES)
    assert {file.class_name for file in files if not file.is_unknown} == set(KNOWN_SPECIES)
    first = next(file for file in files if file.path == "known/ring_damsel/ring_damsel_00000_frame00.jpg")
    assert first.group == "ring_damsel_00000"
    assert first.tree is None
    assert list(files) == sorted(files)
    assert [path.name for path in tmp_path.iterdir()] == ["reef"]


@pytest.mark.slow
def test_number_of_processes_does_not_change_the_bytes(tmp_path: Path) -> None:
    settings_ = ReefSource(seed=6, images_per_class=9, unknown_images_per_class=1)
    paint_reef(settings_, tmp_path / "one", num_workers=1)
    paint_reef(settings_, tmp_path / "two", num_workers=2)
    assert file_digests(tmp_path / "one") == file_digests(tmp_path / "two")


def test_complete_reef_is_left_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dataset, "paint_image", cheap_image)
    folder = tmp_path / "reef"
    paint_reef(SMALL, folder, num_workers=1)
    before = file_digests(folder)
    monkeypatch.setattr(dataset, "_paint_files", lambda *_: pytest.fail("painted again"))
    paint_reef(SMALL, folder, num_workers=1)
    assert file_digests(folder) == before


def test_folder_with_something_else_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "reef"
    folder.mkdir()
    (folder / "holiday.jpg").write_bytes(b"mine")
    with pytest.raises(StorageError, match="is not this reef"):
        paint_reef(SMALL, folder, num_workers=1)
    assert (folder / "holiday.jpg").read_bytes() == b"mine"


def cheap_image(*_: object, turbidity: float = 0.0) -> tuple[Image.Image, int]:
    return Image.new("RGB", (8, 6)), 80


@pytest.mark.parametrize(("code", "hint"), [(errno.ENOSPC, "No space"), (errno.EACCES, "writable")])
def test_failed_write_is_a_storage_error_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, hint: str
) -> None:
    written = []

    def fail_on_fifth(path: Path, raw: bytes) -> int:
        written.append(path)
        if len(written) == 5:
            raise OSError(code, "injected")
        with path.open("wb") as file:
            return file.write(raw)

    monkeypatch.setattr(dataset, "paint_image", cheap_image)
    monkeypatch.setattr(Path, "write_bytes", fail_on_fifth)
    with pytest.raises(StorageError, match=hint):
        paint_reef(SMALL, tmp_path / "reef", num_workers=1)
    assert list(tmp_path.iterdir()) == []


def test_leftovers_of_a_killed_run_are_cleared_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dataset, "paint_image", cheap_image)
    dead = subprocess.Popen([sys.executable, "-c", "pass"])
    dead.wait()
    leftover = tmp_path / f".reef.unfinished-{dead.pid}" / "known"
    leftover.mkdir(parents=True)
    paint_reef(SMALL, tmp_path / "reef", num_workers=1)
    assert [path.name for path in tmp_path.iterdir()] == ["reef"]


def test_folder_without_a_reef_is_a_source_error(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no reef"):
        list_reef_files(tmp_path)
