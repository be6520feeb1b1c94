"""A class from a few pictures: its threshold keeps the promise on new known groups."""

from __future__ import annotations

import numpy as np
import pytest

from vision.base.errors import DataError
from vision.base.record import FloatArray
from vision.bundle.enrolment import enrol, make_space
from vision.bundle.neighbours import Neighbours

WIDTH = 16
CENTRES = 2.0 * np.eye(4, WIDTH)


def draw(rng: np.random.Generator, label: int, num_groups: int) -> tuple[FloatArray, FloatArray]:
    """Embeddings of groups of four images of a class, and their group numbers."""
    offsets = np.repeat(rng.normal(0, 0.5, (num_groups, WIDTH)), 4, axis=0)
    rows = CENTRES[label] + offsets + rng.normal(0, 0.3, offsets.shape)
    return rows.astype(np.float32), np.repeat(np.arange(num_groups), 4)


def gather(rng: np.random.Generator, num_groups: int) -> Neighbours:
    rows, groups = zip(*(draw(rng, label, num_groups) for label in range(3)), strict=True)
    count = 4 * num_groups
    return Neighbours(
        embeddings=np.concatenate(rows),
        labels=np.repeat(np.arange(3), count),
        groups=np.concatenate([each + 1000 * label for label, each in enumerate(groups)]),
        paths=[""] * (3 * count),
        pictures=[b""] * (3 * count),
        class_names=("a", "b", "c"),
    )


def test_known_images_are_taken_for_a_new_class_no_more_often_than_promised() -> None:
    rng = np.random.default_rng(3)
    taken: list[float] = []
    found: list[float] = []
    for _ in range(40):
        known = gather(rng, 20)
        own, _ = draw(rng, 3, 6)
        made = enrol(known, make_space(known), own[::4], "new", alpha=0.1)
        others = np.concatenate([draw(rng, label, 10)[0] for label in range(3)])
        more, _ = draw(rng, 3, 10)
        for rows, kept in ((others, taken), (more, found)):
            kept.append(float(np.mean([made.similarity(each) > made.threshold for each in rows])))
    assert np.mean(taken) <= 0.1
    assert np.mean(taken) > 0.02  # the threshold is not far too strict
    assert np.mean(found) > 0.9


def test_too_few_known_groups_promise_nothing() -> None:
    rng = np.random.default_rng(0)
    known = gather(rng, 6)
    with pytest.raises(DataError, match="18 groups; expected 20"):
        enrol(known, make_space(known), draw(rng, 3, 5)[0][::4], "new", alpha=0.05)


def test_pictures_of_a_known_class_under_another_name_are_refused() -> None:
    rng = np.random.default_rng(0)
    known = gather(rng, 20)
    with pytest.raises(DataError, match="told from the known"):
        enrol(known, make_space(known), draw(rng, 0, 8)[0][::4], "another a")


def test_pictures_that_have_nothing_in_common_are_no_class_though_each_is_like_the_mean_of_all() -> None:
    known = gather(np.random.default_rng(0), 20)
    apart = 6.0 * np.eye(WIDTH, dtype=np.float32)[4:12]
    with pytest.raises(DataError, match="of its 8 pictures, each left out in turn, 0 can"):
        enrol(known, make_space(known), apart, "nothing")


@pytest.mark.parametrize(("num_alike", "is_class"), [(5, True), (4, False)])
def test_more_than_half_of_eight_pictures_have_to_be_told_from_the_known(
    num_alike: int, is_class: bool
) -> None:
    rng = np.random.default_rng(0)
    alike = draw(rng, 3, num_alike)[0][::4]
    strays = -6.0 * np.eye(WIDTH, dtype=np.float32)[4 : 12 - num_alike]
    pictures = np.concatenate([alike, strays])
    known = gather(rng, 20)
    if is_class:
        assert enrol(known, make_space(known), pictures, "new").num_recognised == num_alike
    else:
        with pytest.raises(DataError, match=f"of its 8 pictures, each left out in turn, {num_alike} can"):
            enrol(known, make_space(known), pictures, "new")


def test_a_group_of_many_frames_moves_the_threshold_no_more_than_one_of_one_frame() -> None:
    rng = np.random.default_rng(1)
    own = draw(rng, 3, 6)[0][::4]
    singles, burst = rng.normal(0, 0.3, (140, WIDTH)), 0.6 * CENTRES[3] + rng.normal(0, 0.05, (60, WIDTH))
    known = Neighbours(
        embeddings=np.concatenate([singles, burst]).astype(np.float32),
        labels=np.repeat([0, 1], [70, 130]),
        groups=np.concatenate([np.arange(140), np.full(60, 999)]),
        paths=[""] * 200,
        pictures=[b""] * 200,
        class_names=("a", "b"),
    )
    made = enrol(known, make_space(known), own, "new", alpha=0.05)
    taken = np.array([made.similarity(each) > made.threshold for each in known.embeddings])
    assert taken[140:].all()  # the whole burst is one group of the 0.05 * 142 - 1 that may be taken
    assert 3 <= taken[:140].sum() <= 6
