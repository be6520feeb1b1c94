"""The page of the service holds its figures against the goals, and says where one is missed."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from benchmarks.graph_alone import Parts
from benchmarks.load_client import BROKEN, Block
from benchmarks.serving import read_imports
from benchmarks.serving_page import (
    FRESH,
    KEPT,
    SILENT,
    Figures,
    Imports,
    Latencies,
    Logged,
    Memory,
    Served,
    Start,
    Throughput,
    render,
    tell_faults,
)
from benchmarks.surroundings import Surroundings


def make_block(*latencies: float, seconds: float = 1.0) -> Block:
    return Block(seconds, 0.001, list(latencies), Counter({200: len(latencies)}))


def make_figures(**changes: Any) -> Figures:
    parts = [Parts(2.0, 1.0, 0.5, 0.5)] * 3
    served = {
        KEPT: [make_block(5.0, 6.0, 7.0), make_block(7.0, 8.0, 9.0)],
        SILENT: [make_block(4.5, 5.0, 5.5), make_block(6.0, 7.5, 8.0)],
        FRESH: [make_block(8.0), make_block(9.0)],
    }
    figures = Figures(
        surroundings=Surroundings("python -m x", "cpu", 2, "Linux", "3.11", ("a 1",), "ext4", 0.1, 2.0, 8.0),
        served=Served("reef", "1", "f" * 64, "cnn", "fp16", 96, 95.0, 16, 16, 0),
        starts=[Start(seconds, 2.0) for seconds in (4.0, 5.0, 9.0)],
        imports=Imports(270, (), ()),
        memories=[Memory("warm", 2, 160.0, 200.0, 220.0), Memory("end", 2, 170.0, 249.0, 251.0)],
        rival_memory=Memory("rival", 1, 500.0, 600.0, 700.0),
        latencies=Latencies([parts, parts], served),
        throughput=Throughput(
            16,
            {"the defaults": make_block(1.0)},
            [make_block(*[1.0] * 60), make_block(*[1.0] * 50)],
            [make_block(*[1.0] * 10), make_block(*[1.0] * 10)],
        ),
        bare=Throughput(16, {}, [make_block(1.0)], [make_block(1.0, 1.0)]),
        logged=Logged(100, 100, 0),
        statuses={"Taxon": Counter({200: 100})},
    )
    return replace(figures, **changes)


def test_medians_are_held_against_the_goals_of_the_same_run() -> None:
    page = render(make_figures())
    assert "| seconds from the start until ready, median | 5 | 5.0 | yes |" in page
    assert "| memory of all processes by themselves, MB | below 250 | 249 | yes |" in page
    assert (
        "| p50 of an answer, one connection, log on, ms | 7.5 (1.5 x decode and graph + 3) | 7.0 | yes |"
        in page
    )
    assert "times those of `model.predict` | 5 (for later) | 5.5 | yes |" in page
    assert "to `model.predict` 5.50 (5.00 to 6.00), to bare LiteRT 0.50" in page
    assert "**no**" not in page
    assert "an entry committed before the answer) +0.75 ms, a new connection +1.50 ms" in page


@pytest.mark.parametrize(
    ("changes", "row"),
    [
        ({"starts": [Start(5.1, 2.0)]}, "until ready, median | 5 | 5.1 | **no** |"),
        ({"memories": [Memory("end", 2, 160.0, 250.0, 260.0)]}, "MB | below 250 | 250 | **no** |"),
        ({"imports": Imports(9, ("keras",), ("tensorflow",))}, "| none | keras, tensorflow | **no** |"),
        ({"logged": Logged(100, 99, 1)}, "not in the log | none | 1 of 100, 1 counted as lost | **no** |"),
        ({"logged": Logged(100, 100, 1)}, "not in the log | none | 0 of 100, 1 counted as lost | **no** |"),
        (
            {"statuses": {"Taxon": Counter({200: 9, 429: 2})}},
            "not answered | none | Taxon: 2 x 429 Too Many Requests | **no** |",
        ),
    ],
)
def test_a_missed_goal_is_said(changes: dict[str, Any], row: str) -> None:
    assert row in render(make_figures(**changes))


def test_faults_are_named_by_service_and_status() -> None:
    statuses = {"Taxon": Counter({200: 5, 429: 2, BROKEN: 1}), "FastAPI": Counter({200: 3, 599: 1})}
    assert tell_faults(statuses) == (
        "Taxon: 1 x no answer (the connection broke); Taxon: 2 x 429 Too Many Requests; FastAPI: 1 x 599"
    )
    assert tell_faults({"Taxon": Counter({200: 5})}) == "none"


def test_imports_are_read_as_top_level_packages_however_deep() -> None:
    told = (
        "import time: self [us] | cumulative | imported package\n"
        "import time:       120 |        120 |   keras.src.backend\n"
        "import time:        10 |        130 | keras\n"
        "2026 [INFO] import tensorflow\n"
        "import time:         9 |          9 |       _io\n"
    )
    assert read_imports(told) == ("_io", "keras")
