"""Views of a picture: as it is, mirrored, shifted by a twenty-fourth."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from vision.data.views import MOST_VIEWS, ViewedImages, make_views

IMAGES = np.random.default_rng(0).integers(0, 256, (3, 48, 48, 3)).astype(np.uint8)


def test_views_are_the_picture_its_mirror_image_and_shifts_by_two_of_48_pixels() -> None:
    plain, mirrored, right, left, down, up, both, _ = make_views(IMAGES, MOST_VIEWS)
    assert_array_equal(plain, IMAGES)
    assert_array_equal(mirrored, IMAGES[:, :, ::-1])
    assert_array_equal(right[:, :, 2:], IMAGES[:, :, :-2])
    assert_array_equal(right[:, :, 0], IMAGES[:, :, 2])  # the edge is reflected
    assert_array_equal(left[:, :, :-2], IMAGES[:, :, 2:])
    assert_array_equal(down[:, 2:], IMAGES[:, :-2])
    assert_array_equal(up[:, :-2], IMAGES[:, 2:])
    assert_array_equal(both, right[:, :, ::-1])


def test_the_rows_that_are_read_are_viewed_alone() -> None:
    viewed = ViewedImages(IMAGES, 1)
    assert (viewed.shape, str(viewed.dtype), len(viewed)) == (IMAGES.shape, "uint8", 3)
    assert_array_equal(viewed[np.array([2, 0])], IMAGES[[2, 0], :, ::-1])


@pytest.mark.parametrize("num", [0, 9])
def test_more_views_than_there_are_are_refused(num: int) -> None:
    with pytest.raises(ValueError, match="1 to 8"):
        make_views(IMAGES, num)
