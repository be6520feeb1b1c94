"""What a champion has learned from stays in the data set until a person takes it out by name.

A retraining learns from `retraining.new_images`. Once its model is promoted, a run of the same configuration
that left these folders out would train a challenger that knows less, and nobody would have asked for it.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from vision.base.errors import ConfigError
from vision.config.run import RunConfig
from vision.data.records import AddedFolder

logger = logging.getLogger(__name__)


def keep_learned(config: RunConfig, learned: Sequence[AddedFolder]) -> RunConfig:
    """The configuration with every folder among the data set's additions that the champion learned from.

    Folders are known by their names, so they may have moved. One that is named in `retraining.new_images`
    alone is taken along; what `retraining.forget` names is left out.

    Raises:
        ConfigError: the configuration does not name a folder that the champion learned from.
    """
    settled = {each.name for each in config.dataset.additions} | set(config.retraining.forget)
    offered = {each.name: each for each in config.retraining.new_images}
    wanted = [each for each in learned if each.name not in settled]
    lost = [each for each in wanted if each.name not in offered]
    if lost:
        raise ConfigError(_describe_lost(lost))
    if not wanted:
        return config
    logger.info(
        "The champion learned from %s of retraining.new_images: they belong to the data set.",
        ", ".join(each.name for each in wanted),
    )
    additions = (*config.dataset.additions, *(offered[each.name] for each in wanted))
    dataset = config.dataset.model_copy(update={"additions": additions})
    return config.model_copy(update={"dataset": dataset})


def _describe_lost(lost: Sequence[AddedFolder]) -> str:
    listed = ", ".join(f"{each.name} (it lay in {each.root})" for each in lost)
    names = ", ".join(each.name for each in lost)
    return (
        f"The champion learned from added folders that this configuration does not name: {listed}. Expected "
        "them in dataset.additions, under these names. Put them there; or, to train without their images, "
        f"set retraining.forget: [{names}]."
    )
