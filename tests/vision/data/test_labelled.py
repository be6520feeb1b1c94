import numpy as np
import pytest

from tests.vision.toy import make_outputs, make_splits
from vision.data.labelled import rows_of, select
from vision.data.records import Split

ROWS = [
    ("bream", "a", Split.TRAIN),
    ("chub", "b", Split.TEST),
    ("burbot", "c", Split.TEST),
    ("bream", "d", None),
    ("chub", "e", Split.VALIDATION),
]
SPLITS = make_splits(list(ROWS), known=("bream", "chub"))


def test_known_and_held_out_images_of_a_split_are_apart() -> None:
    outputs = make_outputs([[float(i), 0.0] for i in range(5)])
    known = select(outputs, SPLITS, Split.TEST)
    unknown = select(outputs, SPLITS, Split.TEST, unknown=True)
    assert known.outputs.rows.tolist() == [1]
    assert known.labels.tolist() == [1]
    assert unknown.outputs.rows.tolist() == [2]
    assert unknown.labels.tolist() == [-1]
    assert unknown.class_names.tolist() == ["burbot"]
    assert unknown.groups.tolist() == ["c"]


def test_a_quarantined_image_is_in_no_split() -> None:
    assert rows_of(SPLITS, *Split).tolist() == [0, 1, 2, 4]


def test_outputs_are_found_by_row_number_not_by_position() -> None:
    outputs = make_outputs([[10.0, 0.0], [40.0, 0.0]], rows=[1, 4])
    taken = outputs.take(np.array([4, 1]))
    assert taken.logits[:, 0].tolist() == [40.0, 10.0]


def test_rows_that_the_network_did_not_see_are_refused() -> None:
    outputs = make_outputs([[1.0, 0.0]], rows=[0])
    with pytest.raises(ValueError, match="not been run on"):
        select(outputs, SPLITS, Split.TEST)
