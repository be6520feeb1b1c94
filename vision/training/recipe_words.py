"""How a candidate was trained, in words for the log and the report."""

from __future__ import annotations

import numpy as np

from vision.base.record import FloatArray, IntArray
from vision.config.augment import AugmentSettings
from vision.config.training import CandidateSettings, Strategy


def describe_recipe(
    settings: CandidateSettings, labels: IntArray, weights: FloatArray, *, augmented: bool
) -> tuple[str, ...]:
    """Loss, learning rate, changes of images and balance of classes, each in a few words."""
    balance = _describe_balance(labels, weights)
    if settings.strategy is Strategy.FROZEN:
        return ("logistic head on fixed features", balance)
    told = [_describe_loss(settings), _describe_rate(settings)]
    if settings.distil_from is not None:
        told.append(
            f"{settings.distil_weight:.0%} learned from {settings.distil_from} at temperature "
            f"{settings.distil_temperature:g}"
        )
    if settings.clip_norm is not None:
        told.append(f"gradient clipped to norm {settings.clip_norm:g}")
    if settings.weight_averaging:
        told.append(f"running mean of the weights ({settings.weight_averaging:g})")
    told.append(describe_changes(settings.augment) if augmented else "images as they are")
    return (*told, balance)


def _describe_loss(settings: CandidateSettings) -> str:
    loss = f"focal loss, gamma {settings.focal_gamma:g}" if settings.loss == "focal" else "cross-entropy"
    smoothing = f", label smoothing {settings.label_smoothing:g}" if settings.label_smoothing else ""
    return loss + smoothing


def _describe_rate(settings: CandidateSettings) -> str:
    course = (
        "lowered on plateaus"
        if settings.schedule == "plateau"
        else f"cosine after {settings.warm_up:.0%} warm-up"
    )
    return f"AdamW, peak {settings.peak_learning_rate:g}, {course}"


def _describe_balance(labels: IntArray, weights: FloatArray) -> str:
    counts = np.bincount(labels)
    ratio = counts.max() / counts[counts > 0].min()
    differ = f"of those trained on, the largest has {ratio:.1f} times the images of the smallest"
    if weights.min() < weights.max():
        return f"classes weighted {weights.min():.2g} to {weights.max():.2g}: {differ}"
    return f"images count alike: {differ}" if ratio > 1 else "images count alike"


def describe_changes(augment: AugmentSettings) -> str:
    """Which random changes images get."""
    shares = ("translation", "zoom", "brightness", "contrast", "hue", "saturation", "cutout")
    told = ["flip"] if augment.flip else []
    told += [f"turn {augment.rotation_degrees:g}°"] if augment.rotation_degrees else []
    told += [f"{name} {getattr(augment, name):.0%}" for name in shares if getattr(augment, name)]
    told += [f"{augment.randaugment} of RandAugment"] if augment.randaugment else []
    told += [f"{name} {getattr(augment, name):g}" for name in ("mixup", "cutmix") if getattr(augment, name)]
    return ", ".join(told) or "images as they are"
