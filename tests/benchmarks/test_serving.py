"""The page of the service holds its figures against the goals, and says where one is missed."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from benchmarks.serving.__main__ import read_imports
from benchmarks.serving.endurance import Endurance, Timed
from benchmarks.serving.load_client import BROKEN, Block
from benchmarks.serving.page import BARE, KERAS, Figures, judge, render


def make_block(*latencies: float, **changes: Any) -> Block:
    statuses = Counter({200: len(latencies)})
    return replace(Block(1.0, 0.001, list(latencies), statuses, {0: {"cod"}}), **changes)


FIGURES = Figures(
    starts=(4.0, 5.0, 9.0),
    memory={"warm": 200.0, "end": 249.0},
    training=(),
    alone=[3.0] * 3,
    kept=[make_block(5.0, 6.0, 7.0), make_block(7.0, 8.0, 9.0)],
    pairs={
        KERAS: [(make_block(*[1.0] * 80, served_cpu=2.0), make_block(*[1.0] * 10))],
        BARE: [(make_block(*[1.0] * 9), make_block(*[1.0] * 10))],
    },
    num_entries=103,
    num_lost=0,
    endurance=Endurance(
        decoded=[(35.0, 100.0)] * 3,
        archive=Timed(4, 1.0, 2.0),
        engine=[Timed(4, 0.8, 1.6)] * 2,
        soak=make_block(*[1.0] * 4),
        wanted_rate=4.0,
        memory=[50.0, 100.0, 104.0],
    ),
)


def test_medians_are_held_against_the_goals_of_the_same_run() -> None:
    assert [each.met for each in judge(FIGURES)] == [True] * 14
    page = render(FIGURES)
    assert "until ready, median | 5 | 5.0 | yes |" in page
    assert "ms | 7.5 (1.5 x decode and graph + 3) | 7.0 | yes |" in page
    assert f"| {KERAS} | 80.0 | 10.0 | 8.00 (8.00 to 8.00) | 25.00 | 0.00 |" in page


@pytest.mark.parametrize(
    ("changes", "row"),
    [
        ({"starts": (5.1,)}, "until ready, median | 5 | 5.1 | **no** |"),
        ({"memory": {"end": 250.0}}, "MB | below 250 | 250 | **no** |"),
        ({"training": ("keras",)}, "| none | keras | **no** |"),
        ({"alone": [2.0]}, "ms | 6.0 (1.5 x decode and graph + 3) | 7.0 | **no** |"),
        ({"num_entries": 102}, "not in the log | none | 1 of 103, 0 counted as lost | **no** |"),
        ({"num_lost": 1}, "not in the log | none | 0 of 103, 1 counted as lost | **no** |"),
        (
            {"kept": [make_block(7.0, statuses=Counter({200: 6, 429: 2, BROKEN: 1}))]},
            "not answered | none | 1 x 0, 2 x 429 | **no** |",
        ),
        (
            {"pairs": {**FIGURES.pairs, BARE: [(make_block(*[1.0] * 8), make_block(*[1.0] * 9))]}},
            "0.9 | 0.89 | **no",
        ),
        ({"endurance": replace(FIGURES.endurance, decoded=[(36.0, 100.0)])}, "0.35 | 0.36 | **no**"),
        (
            {"endurance": replace(FIGURES.endurance, archive=Timed(4, 1.1, 2.0))},
            "0.8 | 0.73 (4 of 5; by CPU 0.80) | **no**",
        ),
        ({"endurance": replace(FIGURES.endurance, wanted_rate=5.0)}, "all in time | 80.0% | **no**"),
        ({"endurance": replace(FIGURES.endurance, memory=[1.0, 100.0, 106.0])}, "within 5% | +6.0% | **no**"),
        ({"kept": [make_block(7.0, classes={0: {"tench"}})]}, "different answers | none | 1 | **no** |"),
    ],
)
def test_a_missed_goal_is_said(changes: dict[str, Any], row: str) -> None:
    assert row in render(replace(FIGURES, **changes))


def test_imports_are_read_as_top_level_packages_however_deep() -> None:
    told = (
        "import time: self [us] | cumulative | imported package\n"
        "import time:       120 |        120 |   keras.src.backend\n"
        "import time:        10 |        130 | keras\n"
        "2026 [INFO] import tensorflow\n"
        "import time:         9 |          9 |       _io\n"
    )
    assert read_imports(told) == ("_io", "keras")
