"""Far unknowns: deterministic, varied, each kind what its name says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from tests.end_to_end.project import draw_image
from vision.config.data import ImageSettings
from vision.config.decision import FAR_KINDS, StrangerFolder
from vision.evaluation.far import make_all_far, make_far_images


def make(kind: str, num: int = 20, size: int = 48, seed: int = 1) -> np.ndarray:
    return make_far_images(kind, num, size, np.random.default_rng(seed))


@pytest.mark.parametrize("kind", FAR_KINDS)
@pytest.mark.parametrize("size", [8, 33, 224])
def test_images_have_the_asked_size_and_type(kind: str, size: int) -> None:
    images = make(kind, 6, size)
    assert images.shape == (6, size, size, 3)
    assert images.dtype == np.uint8


@pytest.mark.parametrize("kind", FAR_KINDS)
def test_one_seed_gives_one_set_and_another_seed_another(kind: str) -> None:
    assert_array_equal(make(kind), make(kind))
    assert not np.array_equal(make(kind), make(kind, seed=2))


@pytest.mark.parametrize("kind", FAR_KINDS)
def test_no_two_images_of_a_set_are_equal(kind: str) -> None:
    images = make(kind, 60)
    assert len({image.tobytes() for image in images}) == 60


@pytest.mark.parametrize("kind", FAR_KINDS)
def test_a_shorter_set_is_the_start_of_a_longer_one(kind: str) -> None:
    assert_array_equal(make(kind, 7), make(kind, 20)[:7])


@pytest.mark.parametrize("kind", FAR_KINDS)
def test_no_images_are_an_empty_set(kind: str) -> None:
    assert make(kind, 0).shape == (0, 48, 48, 3)


@pytest.mark.parametrize("kind", FAR_KINDS)
def test_colours_differ_from_image_to_image(kind: str) -> None:
    means = make(kind, 40).reshape(40, -1, 3).mean(axis=1)
    assert (means.std(axis=0) > 8).all()


def test_all_kinds_come_from_one_seed_in_their_order() -> None:
    first, again, other = (make_all_far(3, ImageSettings(size=16), seed) for seed in (5, 5, 6))
    assert tuple(first) == FAR_KINDS
    rng = np.random.default_rng(5)
    for kind in FAR_KINDS:
        assert_array_equal(first[kind], make_far_images(kind, 3, 16, rng))
        assert_array_equal(first[kind], again[kind])
        assert not np.array_equal(first[kind], other[kind])


def test_a_folder_of_strangers_is_one_more_kind_and_disturbs_no_other(tmp_path: Path) -> None:
    (tmp_path / "cats").mkdir()
    draw_image(tmp_path / "cats" / "one.png", (200, 40, 40), (0, 0))
    images = ImageSettings(size=16)
    far = make_all_far(3, images, 5, [StrangerFolder(path=tmp_path / "cats")])
    assert tuple(far) == (*FAR_KINDS, "cats")
    assert far["cats"].shape == (1, 16, 16, 3)
    assert_array_equal(far["photographs"], make_all_far(3, images, 5)["photographs"])


def test_blank_has_nearly_no_detail() -> None:
    images = make("blank", 40).astype(float)
    steps = np.abs(np.diff(images, axis=1)).mean(axis=(1, 2, 3))
    assert (steps < 8).all()
    assert (images.std(axis=(1, 2)).max(axis=1) == 0).sum() == 10  # every fourth is one flat colour


def test_noise_varies_wildly_within_an_image() -> None:
    images = make("noise", 40).astype(float)
    assert (images.std(axis=(1, 2)).max(axis=1) > 10).all()


def test_noise_comes_in_several_grains_grey_and_coloured() -> None:
    images = make("noise", 60)
    equal_neighbours = (images[:, :, 1:] == images[:, :, :-1]).all(axis=3).mean(axis=(1, 2))
    assert equal_neighbours.min() < 0.1
    assert equal_neighbours.max() > 0.6
    grey = (images == images[..., :1]).all(axis=(1, 2, 3))
    assert 10 < grey.sum() < 50


def test_letters_are_ink_on_a_flat_ground_dark_on_light_and_light_on_dark() -> None:
    images = make("letters", 60).astype(int)
    light_ground = 0
    for image in images:
        colours, counts = np.unique(image.reshape(-1, 3), axis=0, return_counts=True)
        ground = colours[counts.argmax()]
        far_from_ground = np.abs(image - ground).sum(axis=2) > 150
        assert counts.max() > 0.3 * 48 * 48
        assert far_from_ground.any()
        light_ground += int(ground.mean() > 128)
    assert 15 < light_ground < 45


def test_textures_repeat_or_wave_with_strong_contrast() -> None:
    images = make("textures", 60).astype(float)
    assert (images.std(axis=(1, 2)).max(axis=1) > 10).all()


def test_an_unknown_kind_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="'faces'; expected one of noise, blank, letters, textures"):
        make("faces")


@pytest.mark.parametrize(("num", "size"), [(-1, 48), (3, 7)])
def test_numbers_out_of_range_are_refused(num: int, size: int) -> None:
    with pytest.raises(ValueError, match="expected at least 0 of at least 8 pixels"):
        make("noise", num, size)
