"""What a training would say of the images of a new project: the same checks, before anything is trained."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from vision.base.errors import DataError, GateError
from vision.base.wording import join_words
from vision.config.reading.yaml_text import write_inline
from vision.config.run import RunConfig
from vision.data.records import Manifest
from vision.data.splitting.checks import check_splits
from vision.data.splitting.splits import assign_splits
from vision.data.survey import Survey
from vision.gate.reach import find_unreachable

_MOST_NAMED = 3

Commands = tuple[tuple[str, str], ...]
"""Command -> what it does."""


@dataclass(frozen=True)
class Outlook:
    """What a training would come to.

    Attributes:
        refusal: why it would refuse the images; empty where it would not.
        doubts: floors of the gate that no model can reach on them.
        advice: what to do first where one of these is there; else empty.
        commands: what to type next.
    """

    refusal: str
    doubts: tuple[str, ...]
    advice: str
    commands: Commands


def foresee(survey: Survey, config: RunConfig, time: str) -> Outlook:
    """What a training of this config would say of these images; `time` is how long it takes, in words."""
    train, manifest = f"python run.py train {config.name}", survey.manifest
    refusal = find_refusal(manifest, config)
    if refusal:
        return Outlook(refusal, (), *_help_refused(survey, config, train))
    splits = assign_splits(manifest, config.split, config.seed)
    found = find_unreachable(splits, config.gate, config.review, config.bootstrap, config.seed)
    learn, answer = f"learn these classes, {time}", "then let it answer: files, folders, a ZIP"
    if not found:
        ask = f"python run.py predict {config.name} PICTURES"
        return Outlook("", (), "", ((train, learn), (ask, answer)))
    return Outlook(
        "",
        tuple(each.message for each in found),
        "Add pictures of other individuals, places or days to the same folders; no new config is needed. "
        "Until then nothing goes into production, and the model answers all the same.",
        ((train, f"{learn}; refused at its end"), ("python run.py predict --run latest PICTURES", answer)),
    )


def find_refusal(manifest: Manifest, config: RunConfig) -> str:
    """Why a training would refuse the images; empty where it would not."""
    try:
        check_splits(manifest, assign_splits(manifest, config.split, config.seed), config.checks)
    except (DataError, GateError) as error:
        return str(error)
    return ""


def _help_refused(survey: Survey, config: RunConfig, train: str) -> tuple[str, Commands]:
    """What to do about images that a training would refuse, and what may be typed at once."""
    manifest, then = survey.manifest, (train, "once that is done")
    weak = [each.name for each in survey.class_sizes() if each.fault(config.checks)]
    if not weak:
        return "Mend that in the folder; no new config is needed.", (then,)
    few = join_words(weak) if len(weak) <= _MOST_NAMED else f"these {len(weak)} classes"
    advice = f"Add pictures to {few}; no new config is needed."
    if find_refusal(_hold_out(manifest, weak), config):
        return advice, (then,)
    value = write_inline([*manifest.unknown_class_names, *weak])
    without = f"{train} --set {shlex.quote(f'dataset.unknown_classes={value}')}"
    return advice, (then, (without, "at once: the others are learned, these play the unknown"))


def _hold_out(manifest: Manifest, names: list[str]) -> Manifest:
    """The manifest with these classes held out as unknown."""
    entries = manifest.entries
    is_unknown = entries.column("is_unknown").numbers() | entries.column("class_name").are_in(names)
    return manifest.model_copy(
        update={
            "class_names": tuple(each for each in manifest.class_names if each not in names),
            "unknown_class_names": (*manifest.unknown_class_names, *names),
            "entries": entries.replace(is_unknown=is_unknown.tolist()),
        }
    )
