import numpy as np
import pytest

from vision.bundle.heat_map import heat_map, overlay


def test_heat_map_is_the_positive_part_of_its_own_class_scaled_to_one() -> None:
    cam = np.zeros((2, 2, 3), dtype=np.float32)
    cam[..., 1] = [[4.0, -8.0], [1.0, 2.0]]
    assert heat_map(cam, 1).tolist() == [[1.0, 0.0], [0.25, 0.5]]


def test_a_class_that_nothing_spoke_for_has_an_empty_map() -> None:
    assert heat_map(-np.ones((2, 2, 2), dtype=np.float32), 0).tolist() == [[0.0, 0.0], [0.0, 0.0]]
    with pytest.raises(IndexError):
        heat_map(np.ones((2, 2, 2), dtype=np.float32), 2)


def test_overlay_leaves_cold_parts_as_they_are_and_marks_the_warm_corner() -> None:
    image = np.full((16, 16, 3), 100, dtype=np.uint8)
    heat = np.zeros((4, 4))
    heat[0, 0] = 1.0
    marked = overlay(image, heat)
    assert marked.shape == image.shape
    assert np.array_equal(marked[12:, 12:], image[12:, 12:])
    red, _, blue = marked[1, 1].tolist()
    assert red > 150 > blue
