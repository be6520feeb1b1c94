"""A folder that the champion learned from is used again or taken out by name; it is never lost in silence."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from vision.base.errors import ConfigError
from vision.config.run import RunConfig
from vision.data.records import AddedFolder
from vision.data.sources.learned import keep_learned

APRIL = AddedFolder(name="april", root="/labelled/april")
MAY = AddedFolder(name="may", root="/labelled/may")


def configure(
    additions: Sequence[Any] = (), new_images: Sequence[Any] = (), forget: Sequence[str] = ()
) -> RunConfig:
    tree: dict[str, Any] = {
        "name": "toy",
        "dataset": {"source": "folder", "path": "photos", "additions": list(additions)},
        "training": {"candidates": {"cnn": {"backbone": "cnn"}}},
        "retraining": {"new_images": list(new_images), "forget": list(forget)},
    }
    return RunConfig.model_validate(tree)


def names(config: RunConfig) -> list[str]:
    return [each.name for each in config.dataset.additions]


def test_a_folder_that_is_named_in_new_images_alone_is_taken_along_with_its_settings() -> None:
    offered = {"path": "moved/april", "group_by": "^(?P<group>.+)_frame"}
    kept = keep_learned(configure(new_images=[offered, "labelled/june"]), [APRIL])
    assert names(kept) == ["april"]  # june has not been learned from, and is not learned from in passing
    assert kept.dataset.additions[0].path == Path("moved/april")
    assert kept.dataset.additions[0].group_by == "^(?P<group>.+)_frame"


def test_a_configuration_that_names_all_that_was_learned_stays_as_it_is() -> None:
    for config in (configure(["labelled/april"]), configure(["labelled/april"], ["labelled/may"])):
        assert keep_learned(config, [APRIL]) is config
    assert keep_learned(configure(), []) == configure()


def test_a_folder_that_is_named_nowhere_is_refused_with_its_name_its_place_and_both_ways_out() -> None:
    with pytest.raises(ConfigError) as caught:
        keep_learned(configure(["labelled/april"], ["labelled/june"]), [APRIL, MAY])
    message = str(caught.value)
    assert "may (it lay in /labelled/may)" in message
    assert "april" not in message
    assert "dataset.additions" in message
    assert "retraining.forget: [may]" in message


def test_what_a_person_takes_out_by_name_is_left_out() -> None:
    kept = keep_learned(configure(new_images=["labelled/april"], forget=["may"]), [APRIL, MAY])
    assert names(kept) == ["april"]


@pytest.mark.parametrize("place", ["additions", "new_images"])
def test_one_name_cannot_be_used_and_forgotten(place: str) -> None:
    with pytest.raises(ValidationError, match=r"retraining\.forget names april"):
        configure(**{place: ["labelled/april"]}, forget=["april"])


def test_a_configuration_without_new_images_is_itself_so_that_cached_steps_are_found() -> None:
    config = configure()
    assert config.with_new_images() is config
    assert names(configure(new_images=["labelled/april"]).with_new_images()) == ["april"]
