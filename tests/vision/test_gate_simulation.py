"""What the gate does with whole batches, drawn as `benchmarks/gate_simulation.py` draws them; fixed seeds."""

from __future__ import annotations

import pytest

from benchmarks.gate_simulation import CASES, measure

CASE = {case.name: case for case in CASES}
DRAWS = 12


@pytest.mark.parametrize(
    "name",
    [
        "shuffled, like the old, ignored",
        "shuffled, like the old, harms",
        "swapped, like the old, ignored",
        "swapped, like the old, learned",
        "swapped, other camera, learned",
    ],
)
def test_no_poisoned_batch_of_eighty_groups_is_promoted(name: str) -> None:
    assert measure(CASE[name], num_groups=80, draws=DRAWS)[1] == 0.0


def test_a_swapped_batch_would_mostly_be_promoted_without_the_check_of_labels() -> None:
    assert measure(CASE["swapped, other camera, learned"], num_groups=80, draws=DRAWS)[0] > 0.5


@pytest.mark.parametrize("name", ["clean, turbid, seen as unusual", "clean, turbid, half seen as unusual"])
def test_a_clean_turbid_batch_on_which_the_champion_fails_is_mostly_promoted(name: str) -> None:
    without, checked = measure(CASE[name], num_groups=240, draws=DRAWS)
    assert checked == without > 0.8
