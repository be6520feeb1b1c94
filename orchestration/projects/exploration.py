"""Looks at images before anything is trained: a pretrained network, heads by folds, a page."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from orchestration.projects.outlook import find_refusal
from report.exploration.page import PAGE_NAME, Explored, write_exploration
from report.pictures import PictureCache
from report.story import RunStory
from vision.base.errors import LeakError, TooFewImagesError
from vision.base.files import storage_errors
from vision.base.outputs import FoldHeads, ModelOutputs
from vision.base.record import IntArray
from vision.config.data import ImageSettings, LeakPolicy
from vision.config.run import RunConfig
from vision.config.training import CandidateSettings, Strategy
from vision.data.exploration import explore
from vision.data.groups.near_duplicates import link_alike
from vision.data.records import Manifest, Split, Splits
from vision.data.shapes import settle_resize
from vision.data.sources import read_source
from vision.data.splitting.splits import assign_splits
from vision.data.store import build_store, open_images
from vision.data.survey import choose_size, usual_side
from vision.decision.cross_fitting import hold_out
from vision.decision.held_out import HeldOut
from vision.work.current import open_work

NETWORK = CandidateSettings(backbone="efficientnet_lite0", weights="imagenet", strategy=Strategy.FROZEN)
"""Its weights come with the requirements."""

MOST = 4_000
"""Images that the network looks at, as many of each class; of more, a random sample."""

Tell = Callable[[str, int, int], None]
"""Is told what is done, how many are done, and of how many (0: not known)."""


@dataclass(frozen=True)
class Looked:
    """What was found before a training.

    Attributes:
        page: the file that was written.
        story: the images.
        explored: what the network says of them.
    """

    page: Path
    story: RunStory
    explored: Explored


def explore_images(
    config: RunConfig, data_folder: Path, folder: Path, tell: Tell, *, choose: bool = False
) -> Looked:
    """Look at the images of a config and write the page into a folder; test images are judged by nothing.

    Args:
        config: names the data set, the size of its images and the shares of the splits.
        data_folder: where painted and copied data sets lie.
        folder: where the page goes.
        tell: is told how far it is.
        choose: the size is chosen by the pictures, as `new` does it.

    Raises:
        ExecutorError: who the config says reads images is not there, or does not see them.
        SourceError: the data set cannot be read.
        StorageError: a file cannot be written.
        TrainingError: a class has no image outside test.
    """
    with tempfile.TemporaryDirectory(prefix="taxon-explore-") as scratch, open_work(config.executor):
        manifest = read_source(config.dataset, data_folder, progress=lambda *n: tell("Reading", *n))
        images = config.images
        if choose:
            images = ImageSettings(size=choose_size(usual_side(manifest.entries)), resize=images.resize)
        images, reason = settle_resize(images, manifest)
        dataset = build_store(manifest, images, Path(scratch), progress=lambda *n: tell("Decoding", *n))
        decoded = open_images(dataset)
        manifest = link_alike(manifest, decoded, images.resize)
        splits = _assign(manifest, config)
        tell(f"Looking with {NETWORK.backbone}", 0, 0)
        outputs, heads = _look(decoded, splits, config.seed)
        held_out, lack = _hold_out(outputs, heads, splits, config)
        refusal = find_refusal(manifest, config)
        if refusal:
            lack = f"A training would refuse these images: {refusal}"
        explored = Explored(str(NETWORK.backbone), True, outputs, held_out, lack)
        story = RunStory(
            run_name=f"{folder.name}, looked at without training",
            config=config,
            manifest=manifest,
            splits=splits,
            data_report=explore(manifest, decoded, splits, reason),
            images=decoded,
        )
        tell("Drawing", 0, 0)
        with storage_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
        write_exploration(story, explored, folder, PictureCache())
    return Looked(folder / PAGE_NAME, story, explored)


def _assign(manifest: Manifest, config: RunConfig) -> Splits:
    """The splits that a training would use; where it refuses shared images, the trees as they lie."""
    try:
        return assign_splits(manifest, config.split, config.seed)
    except LeakError:  # told by `find_refusal`
        kept = config.split.model_copy(update={"on_leak": LeakPolicy.KEEP})
        return assign_splits(manifest, kept, config.seed)


def _look(images: np.ndarray, splits: Splits, seed: int) -> tuple[ModelOutputs, FoldHeads]:
    from vision.training.nets.first_look import look

    rows = _sample(splits, seed)
    labels = splits.labels()
    judged = splits.used_as() & (labels >= 0)
    return look(NETWORK, images, splits, seed, rows, rows[judged[rows]])


def _sample(splits: Splits, seed: int) -> IntArray:
    """Rows outside test, ascending; of large classes a random part, so that there are about `MOST`."""
    shuffled = np.random.default_rng(seed).permutation(np.flatnonzero(~splits.used_as(Split.TEST)))
    classes = splits.image_classes.take(shuffled).places
    share = -(-MOST // len(classes))
    return np.sort(np.concatenate([shuffled[places[:share]] for places in classes.values()]))


def _hold_out(
    outputs: ModelOutputs, heads: FoldHeads, splits: Splits, config: RunConfig
) -> tuple[HeldOut | None, str]:
    """What is said of images by heads that were fitted without them, or why nothing can be said."""
    if not heads.num_folds:
        return None, "No label could be judged: all pictures are of one group."
    try:
        return hold_out(outputs, heads, splits, config.unknowns.score, config.seed)[1], ""
    except TooFewImagesError as error:
        return None, f"No label could be judged: {error}"
