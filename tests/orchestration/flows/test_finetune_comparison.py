"""One pretrained candidate under each strategy, with what the strategy reads; the table has all of them."""

from __future__ import annotations

import pytest

from vision.base.errors import ConfigError
from vision.config.run import RunConfig
from vision.config.training import Strategy

BASE = {
    "backbone": "efficientnet_lite0",
    "strategy": "two_phase",
    "weights": "auto",
    "epochs": 4,
    "augment": "light",
}


def config_of(**candidates: object) -> RunConfig:
    return RunConfig.model_validate(
        {"name": "fish", "dataset": {"source": "reef"}, "training": {"candidates": candidates}}
    )


def test_each_strategy_gets_what_it_reads_and_the_own_one_keeps_its_name() -> None:
    from orchestration.flows.finetune_comparison import spread_strategies

    scratch = {"backbone": "cnn"}
    config = config_of(small=scratch, pretrained=BASE)
    spread = spread_strategies(config).training.candidates
    assert {each.strategy for each in spread.values()} == set(Strategy)
    assert spread["pretrained"] == config.training.candidates["pretrained"]
    assert spread["pretrained_progressive"].epochs == 4
    assert spread["pretrained_full"].augment == spread["pretrained"].augment
    assert spread["pretrained_frozen"].epochs == type(spread["pretrained"]).model_fields["epochs"].default


def test_networks_from_scratch_alone_are_refused() -> None:
    from orchestration.flows.finetune_comparison import spread_strategies

    with pytest.raises(ConfigError, match="no pretrained network"):
        spread_strategies(config_of(small={"backbone": "cnn"}))
