"""Random changes of a batch of training images, the same for one seed, whatever the threads.

Moves, brightness, contrast and the blanked square follow from random numbers that belong to an image and an
epoch; what Keras' own layers do (hue, saturation, RandAugment, MixUp, CutMix) from the seed and the step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar

import keras
import numpy as np
import tensorflow as tf
from keras import layers
from numpy.typing import NDArray

from vision.base.record import FloatArray
from vision.config.augment import AugmentSettings

NUM_MOVES = 7
NUM_SQUARES = 2

Batch = tuple[tf.Tensor, tf.Tensor, tf.Tensor]
"""Images (b, s, s, 3) float32 in 0..255, targets (b, k) or (b, 2k), weights (b,)."""


class StepSeeds(keras.random.SeedGenerator):  # type: ignore[misc]  # Keras is untyped here
    """Seeds for Keras' random layers that follow from a seed and a step alone, without any state."""

    def __init__(self, seed: int, step: tf.Tensor) -> None:  # the parent's would make a variable
        self._seed = seed
        self._step = step
        self._drawn = 0

    def next(self, ordered: bool = True) -> tf.Tensor:  # noqa: ARG002  # Keras calls it so
        """(2,) int32, another one at each call."""
        self._drawn += 1
        first = np.random.SeedSequence((self._seed, self._drawn)).generate_state(1)[0] >> 1
        return tf.stack([tf.constant(int(first), tf.int32), tf.cast(self._step, tf.int32)])


class Augmentation:
    """What `augment` asks for, built once and applied to every batch."""

    SHAPES: ClassVar[tuple[tuple[int, ...], ...]] = ((8,), (), (), (2,))
    """Of one image's transform, brightness shift, contrast factor and square's corner."""

    def __init__(self, settings: AugmentSettings, side: int, seed: int) -> None:
        """`side` is s in pixels."""
        self._settings = settings
        self._side = side
        self._seed = seed
        self._colours = _make_colours(settings)
        self._operations = _make_operations(settings.randaugment_strength) if settings.randaugment else []
        self._mixer = (
            layers.MixUp(alpha=settings.mixup)
            if settings.mixup
            else layers.CutMix(factor=settings.cutmix)
            if settings.cutmix
            else None
        )

    def describe(self, draws: FloatArray) -> Iterator[FloatArray]:
        """Transforms (b, 8), brightness (b,), contrast (b,), corners (b, 2) from draws (b, 9) in [0, 1)."""
        settings, either_way = self._settings, 2.0 * draws - 1.0
        yield describe_transform(
            flip=settings.flip & (draws[:, 0] < 0.5),
            angle=np.deg2rad(settings.rotation_degrees) * either_way[:, 1],
            zoom=(1.0 + settings.zoom) ** either_way[:, 2],
            shift=settings.translation * self._side * either_way[:, 3:5],
            side=self._side,
        )
        yield (255.0 * settings.brightness * either_way[:, 5]).astype(np.float32)
        yield (1.0 + settings.contrast * either_way[:, 6]).astype(np.float32)
        square = round(settings.cutout * self._side)
        yield np.floor(draws[:, NUM_MOVES:] * self._side - square / 2).astype(np.float32)

    def change(self, batch: Batch, changes: Sequence[tf.Tensor], step: tf.Tensor) -> Batch:
        """The batch, changed; `changes` are what `describe` gives, `step` counts batches from 0."""
        images, labels, weights = batch
        transforms, shifts, factors, corners = changes
        images = change_images(images, transforms, shifts, factors)
        seeds = StepSeeds(self._seed, step)
        for layer in self._colours:
            images = tf.clip_by_value(_apply(layer, images, seeds), 0.0, 255.0)
        for _ in range(self._settings.randaugment):
            images = _apply_one(self._operations, images, seeds)
        if self._settings.cutout:
            images = blank_squares(images, corners, round(self._settings.cutout * self._side))
        if self._mixer is not None:
            return _mix(self._mixer, (images, labels, weights), seeds)
        return images, labels, weights


def _make_colours(settings: AugmentSettings) -> list[Any]:
    found = []
    if settings.hue:
        found.append(layers.RandomHue(factor=settings.hue))
    if settings.saturation:
        half = settings.saturation / 2  # Keras' 0.5 leaves an image as it is
        found.append(layers.RandomSaturation(factor=(0.5 - half, 0.5 + half)))
    return found


def _make_operations(strength: float) -> list[Any]:
    """RandAugment's operations (Cubuk et al. 2020), as strong as in the paper at strength 1.

    Keras' RandAugment layer has the same ones, but runs all of them on every batch to keep the drawn ones.
    """
    return [
        layers.RandomShear(0.3 * strength, 0.3 * strength),
        layers.RandomTranslation(0.3 * strength, 0.3 * strength),
        layers.RandomRotation(strength / 12),  # 30 of 360 degrees
        layers.RandomBrightness(0.4 * strength),
        layers.RandomContrast(min(0.9 * strength, 0.9)),
        layers.RandomColorDegeneration(strength),
        layers.RandomSharpness(strength),
        layers.RandomPosterization((max(1, round(8 - 4 * strength)), 8)),
        layers.Solarization(threshold_factor=(1 - strength, 1.0)),
        layers.AutoContrast(),
        layers.Equalization(),
    ]


def _apply(layer: Any, images: tf.Tensor, seeds: StepSeeds) -> tf.Tensor:
    transformation = layer.get_random_transformation(images, training=True, seed=seeds)
    return tf.ensure_shape(layer.transform_images(images, transformation, training=True), images.shape)


def _apply_one(operations: Sequence[Any], images: tf.Tensor, seeds: StepSeeds) -> tf.Tensor:
    """One operation, drawn for the whole batch; how strong it is, is drawn for each image."""

    def bind(layer: Any) -> Callable[[], tf.Tensor]:
        return lambda: _apply(layer, images, seeds)

    index = tf.random.stateless_uniform((), seeds.next(), 0, len(operations), tf.int32)
    changed = tf.switch_case(index, [bind(layer) for layer in operations])
    return tf.clip_by_value(changed, 0.0, 255.0)


def _mix(mixer: Any, batch: Batch, seeds: StepSeeds) -> Batch:
    """Each image mixed with another of the batch; labels and weights are mixed so that losses are."""
    images, labels, weights = batch
    transformation = mixer.get_random_transformation(images, training=True, seed=seeds)
    counted = tf.concat([labels, tf.ones_like(labels[:, :1])], axis=1) * weights[:, None]
    shares = mixer.transform_labels(counted, transformation, training=True)
    images = mixer.transform_images(images, transformation, training=True)
    return images, shares[:, :-1] / shares[:, -1:], shares[:, -1]


def blank_squares(images: tf.Tensor, corners: tf.Tensor, square: int) -> tf.Tensor:
    """Images (b, s, s, 3) with a square of `square` pixels at corners (b, 2), from the top left, blanked.

    Blanked is filled with the image's mean (DeVries and Taylor 2017, whose images have mean 0). A corner may
    lie outside; then less of the square is inside.
    """
    side = tf.cast(tf.range(tf.shape(images)[1]), tf.float32)
    inside = (side >= corners[:, :, None]) & (side < corners[:, :, None] + square)  # (b, 2, s)
    mask = inside[:, 0, :, None, None] & inside[:, 1, None, :, None]
    return tf.where(mask, tf.reduce_mean(images, axis=[1, 2, 3], keepdims=True), images)


def change_images(
    images: tf.Tensor, transforms: tf.Tensor, shifts: tf.Tensor, factors: tf.Tensor
) -> tf.Tensor:
    """Images (b, s, s, 3) in 0..255 moved, then with other contrast and brightness, clipped to 0..255.

    Transforms (b, 8) are projective, from output to input pixels; shifts (b,) are added to every value,
    factors (b,) stretch the values about the image's mean.
    """
    side = tf.shape(images)[1]
    moved = tf.raw_ops.ImageProjectiveTransformV3(
        images=images,
        transforms=transforms,
        output_shape=[side, side],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="REFLECT",
    )
    means = tf.reduce_mean(moved, axis=[1, 2, 3], keepdims=True)
    factors, shifts = factors[:, None, None, None], shifts[:, None, None, None]
    return tf.clip_by_value((moved - means) * factors + means + shifts, 0.0, 255.0)


def describe_transform(
    flip: NDArray[np.bool_], angle: FloatArray, zoom: FloatArray, shift: FloatArray, side: int
) -> FloatArray:
    """Projective transforms (b, 8), output pixel to input pixel, about the image's centre.

    Args:
        flip: (b,) whether left and right change places.
        angle: (b,) radians.
        zoom: (b,) above 1 shows less of the image, larger.
        shift: (b, 2) pixels right and down.
        side: s, pixels.
    """
    centre = (side - 1) / 2
    cosine, sine = np.cos(angle) / zoom, np.sin(angle) / zoom
    sign = np.where(flip, -1.0, 1.0)
    a, b, c, d = sign * cosine, -sign * sine, sine, cosine
    x0 = centre - a * (centre + shift[:, 0]) - b * (centre + shift[:, 1])
    y0 = centre - c * (centre + shift[:, 0]) - d * (centre + shift[:, 1])
    zero = np.zeros_like(a)
    return np.stack([a, b, x0, c, d, y0, zero, zero], axis=1).astype(np.float32)
