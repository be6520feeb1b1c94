"""The data of the example run: classes, manifest, splits and what was found in them."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from vision.base.record import Interval
from vision.config.run import RunConfig
from vision.config.training import CandidateSettings
from vision.data.records import (
    ClassCount,
    DataFinding,
    DataReport,
    DuplicateGroup,
    ImageEntry,
    Manifest,
    QualitySummary,
    Quarantined,
    Split,
    Splits,
)

KNOWN = ("banded_dart", "blue_sailfin", "coral_grunter", "golden_damsel", "spotted_wrasse", "striped_goby")
UNKNOWN = ("false_wrasse", "ghost_goby", "moon_damsel")
FAR = ("noise", "blank", "letters", "textures")
COLUMNS = ("brightness", "contrast", "sharpness", "saturation", "entropy", "detail")
DIGEST = "c0ffee" * 10 + "c0ff"
PER_CLASS, PER_UNKNOWN = 60, 24


def around(value: float, half: float = 0.03) -> Interval:
    """An interval of some width around a value."""
    return Interval(value=value, low=value - half, high=min(1.0, value + half))


def make_config(path: Path = Path("fish")) -> RunConfig:
    """A configuration with two candidates on a folder of images."""
    return RunConfig.model_validate(
        {
            "name": "reef",
            "dataset": {"source": "folder", "path": str(path), "unknown_classes": list(UNKNOWN)},
            "training": {
                "candidates": {
                    "cnn": CandidateSettings(backbone="cnn"),
                    "residual": CandidateSettings(backbone="cnn_residual"),
                }
            },
        }
    )


def make_manifest(known: tuple[str, ...] = KNOWN, unknown: tuple[str, ...] = UNKNOWN) -> Manifest:
    """Images of known and held-out classes, two frames an individual."""
    entries = []
    for name in (*known, *unknown):
        for number in range(PER_UNKNOWN if name in unknown else PER_CLASS):
            path = f"{name}/{name}_{number // 2:03d}_frame{number % 2}.jpg"
            entries.append(
                ImageEntry(
                    path=path,
                    class_name=name,
                    digest=hashlib.sha256(path.encode()).hexdigest(),
                    num_bytes=9000,
                    width=320,
                    height=240,
                    group=f"{name}_{number // 2:03d}",
                    is_unknown=name in unknown,
                )
            )
    return Manifest(
        root="fish",
        source_digest="5d" * 32,
        class_names=known,
        unknown_class_names=unknown,
        entries=tuple(entries),
        quarantined=(Quarantined(path="banded_dart/cut_short.jpg", reason="the file ends too early"),),
    )


def make_splits(manifest: Manifest) -> Splits:
    """Whole individuals to splits, in turn; held-out classes to validation and test."""
    turn = [Split.TRAIN, Split.TRAIN, Split.TRAIN, Split.VALIDATION, Split.CALIBRATION, Split.TEST]
    splits = []
    for entry in manifest.entries:
        individual = int(entry.path.rsplit("_", 2)[1])
        splits.append(
            (Split.VALIDATION, Split.TEST)[individual % 2] if entry.is_unknown else turn[individual % 6]
        )
    return Splits(
        class_names=manifest.class_names,
        unknown_class_names=manifest.unknown_class_names,
        digests=tuple(entry.digest for entry in manifest.entries),
        groups=tuple(entry.group or entry.path for entry in manifest.entries),
        image_classes=tuple(entry.class_name for entry in manifest.entries),
        splits=tuple(splits),
    )


def make_data_report(manifest: Manifest, splits: Splits) -> DataReport:
    """Counts as they are, quality and findings made up."""
    counts = []
    classes, groups = np.array(splits.image_classes), splits.group_array()
    for name in (*manifest.class_names, *manifest.unknown_class_names):
        for split in Split:
            rows = np.flatnonzero((classes == name) & np.array([own is split for own in splits.splits]))
            counts.append(
                ClassCount(
                    class_name=name,
                    split=split.value,
                    num_images=rows.size,
                    num_groups=len(set(groups[rows])),
                    is_unknown=name in manifest.unknown_class_names,
                )
            )
    rng = np.random.default_rng(3)
    quality = []
    for name in manifest.class_names:
        for column in COLUMNS:
            middle = float(rng.normal(0.5, 0.05))
            quality.append(
                QualitySummary(
                    class_name=name,
                    column=column,
                    mean=middle,
                    p05=middle - 0.2,
                    median=middle,
                    p95=middle + 0.15,
                )
            )
    return DataReport(
        num_images=len(manifest.entries),
        num_groups=len(set(splits.groups)),
        class_counts=tuple(counts),
        quality=tuple(quality),
        quarantined=manifest.quarantined,
        duplicates=(DuplicateGroup(digest="ab" * 32, paths=("a/1.jpg", "a/2.jpg")),),
        findings=(
            DataFinding(severity="warning", message="1 file could not be decoded and is left out."),
            DataFinding(severity="info", message="Two files hold the same bytes; they share a split."),
        ),
    )
