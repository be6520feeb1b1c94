"""What a stopped batch leaves: whole lines count, and what could not be read is tried again."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from vision.base.errors import StorageError
from vision.decision.records import Decision, Prediction
from vision.prediction.part_file import PART_NAME, Part, is_unfinished, open_part_file
from vision.prediction.records import Row

ANSWER = Prediction(
    decision=Decision.ACCEPT,
    class_name="cod",
    confidence=0.1 + 0.2,
    top_k=(("cod", 0.1 + 0.2),),
    unknown_score=1 / 3,
    unknown_threshold=float("inf"),
    p_value=0.5,
    reasons=("so",),
)


def test_answers_are_read_back_to_the_bit_and_faults_and_torn_lines_are_not(tmp_path: Path) -> None:
    good = Part(stamp="1 2", row=Row(path="a b.png", group="g", prediction=ANSWER, digest="c0de"))
    with open_part_file(tmp_path, "key") as part:
        part.add([good, Part(stamp="3", row=Row(path="b.png", fault="cannot be read"))])
    whole = (tmp_path / PART_NAME).read_bytes()
    (tmp_path / PART_NAME).write_bytes(whole + whole[:50])
    with open_part_file(tmp_path, "key") as part:
        assert part.find("a b.png", "1 2") == good.row
        assert part.find("a b.png", "changed") is None
        assert part.find("b.png", "3") is None
    assert (tmp_path / PART_NAME).read_bytes() == whole
    (tmp_path / PART_NAME).write_bytes(whole + good.model_dump_json().encode().replace(b"a b", b"c"))
    for known in (False, True):  # a last line without its end is answered again, on a line of its own
        with open_part_file(tmp_path, "key") as part:
            assert (part.find("c.png", "1 2") is not None) is known
            part.add([good.model_copy(update={"row": good.row.model_copy(update={"path": "c.png"})})])
    assert is_unfinished(tmp_path, "key")
    assert not is_unfinished(tmp_path, "another")


def add_singly(folder: Path, parts: list[Part]) -> None:
    with open_part_file(folder, "key") as part:
        for each in parts:
            part.add([each])


def test_a_disk_that_is_full_is_one_error_and_leaves_whole_answers(tmp_path: Path) -> None:
    rows = [Row(path=f"{i}.png", prediction=ANSWER, digest="c0de") for i in range(40)]
    parts = [Part(stamp="1", row=row) for row in rows]
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (9_000, limits[1]))
    try:
        with pytest.raises(StorageError, match="cannot write"):
            add_singly(tmp_path, parts)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    with open_part_file(tmp_path, "key") as part:
        found = [part.find(f"{i}.png", "1") for i in range(40)]
        assert 5 < len([each for each in found if each]) < 40
        part.add(parts)
    assert len((tmp_path / PART_NAME).read_bytes().splitlines()) >= 40
