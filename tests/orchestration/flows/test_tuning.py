"""Which candidate is searched, and when a search is another one."""

from __future__ import annotations

from typing import Any

import pytest

from orchestration.flows.tuning import choose_candidate, digest_search
from vision.base.errors import ConfigError
from vision.config.run import RunConfig

SMALL = {"backbone": "cnn", "width": 0.25, "epochs": 2}
FROZEN = {"backbone": "efficientnet_lite0", "weights": "auto", "strategy": "frozen"}


def configure(candidates: dict[str, Any], **settings: Any) -> RunConfig:
    tree = {"name": "toy", "dataset": {"source": "folder", "path": "photos"}, **settings}
    return RunConfig.model_validate({**tree, "training": {"candidates": candidates}})


def test_the_first_that_is_trained_by_epochs_is_searched() -> None:
    assert choose_candidate(configure({"frozen": FROZEN, "small": SMALL})) == "small"


@pytest.mark.parametrize(
    ("candidates", "tuning", "words"),
    [
        ({"small": SMALL}, {"candidate": "big"}, "Expected one of small"),
        ({"frozen": FROZEN}, {}, r"tuning\.space\.strategies"),
        ({"frozen": FROZEN, "small": {**SMALL, "distil_from": "frozen"}}, {}, "teacher"),
    ],
)
def test_what_cannot_be_searched_is_refused(
    candidates: dict[str, Any], tuning: dict[str, Any], words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        choose_candidate(configure(candidates, tuning=tuning))


def test_other_groups_are_another_search_and_more_trials_are_not() -> None:
    first = configure({"small": SMALL})
    grouped = {"source": "folder", "path": "photos", "group_by": "^(?P<group>.+)_frame"}
    assert digest_search(first, "d", None) != digest_search(
        configure({"small": SMALL}, dataset=grouped), "d", None
    )
    more = configure({"small": SMALL}, tuning={"trials": 50})
    assert digest_search(first, "d", None) == digest_search(more, "d", None)
