"""Compares the service with the pipeline: real test images are sent to it and answered here as well.

Both read the same bytes: the files as they lie on disk, checked against the manifest's digests. The
images are those of the champion's own test split, known and held out, on which nothing was fitted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from serving.api.settings import ServiceSettings
from serving.client import ask_service
from vision.base.errors import DataError, ServiceError
from vision.base.files import digest_file, storage_errors
from vision.base.record import IntArray
from vision.bundle.assembly import LoadedBundle
from vision.bundle.pictures import decode_for
from vision.data.records import ImageEntry, Manifest, Split, Splits
from vision.decision.records import Decision, Prediction

_ROOM_FOR_THE_FORM = 10_000  # bytes of a request that are not the image
_MOST_SHOWN = 3


@dataclass(frozen=True)
class TestImage:
    """One image to ask: its file, and whether its class is held out."""

    __test__ = False  # pytest would take it for tests

    path: Path
    is_unknown: bool
    class_name: str


@dataclass(frozen=True)
class Agreement:
    """How a service's answers compare with the pipeline's own on the same bytes."""

    num_equal: int  # the same decision and class
    max_probability_difference: float  # over all images and named classes
    example: Path  # the first image that is accepted under its own class; the first of all if none is


def choose_test_images(
    manifest: Manifest, splits: Splits, most: int, settings: ServiceSettings
) -> tuple[TestImage, ...]:
    """Up to `most` test images, half of them held-out unknowns where there are any, spread over the classes.

    Left out are files that are gone or have changed, and those that the service's limits refuse.

    Raises:
        DataError: manifest and splits are not of one data set, or no image is left to ask.
    """
    if len(manifest.entries) != len(splits.splits):
        raise DataError(
            f"The manifest lists {len(manifest.entries)} images, the splits {len(splits.splits)}; expected "
            "one data set. Train again."
        )
    known = _usable(manifest, splits.rows(Split.TEST), settings)
    unknown = _usable(manifest, splits.rows(Split.TEST, unknown=True), settings)
    num_unknown = min(len(unknown), most // 2)
    chosen = [*_spread(known, most - num_unknown), *_spread(unknown, num_unknown)]
    unchanged = [each for each in chosen if digest_file(manifest.locate(each)) == each.digest]
    if not unchanged:
        raise DataError(
            f"Not one test image of the champion can be asked: of {splits.rows(Split.TEST).size} none is as "
            f"it was on this disk (below {manifest.root}) and within the service's limits. Expected at least "
            "one, because a service is deployed on evidence alone. Put the images back, or train again."
        )
    return tuple(TestImage(manifest.locate(each), each.is_unknown, each.class_name) for each in unchanged)


def compare_service(
    url: str, key: str, bundle: LoadedBundle, images: Sequence[TestImage], tolerance: float
) -> Agreement:
    """Ask a service every image (at least one) and compare with the predictor of a verified bundle.

    Raises:
        ServiceError: an answer differs in decision, class, digest, or by more in a probability; or the
            service refuses.
        StorageError: a file cannot be read any more.
    """
    num_equal, largest, strays, accepted = 0, 0.0, [], []
    for image in images:
        with storage_errors(image.path, "read"):
            raw = image.path.read_bytes()
        served, expected = ask_service(url, key, raw, image.path.name), _answer_here(bundle, raw)
        if served.model.digest != bundle.digest:
            raise ServiceError(
                f"{url} answers with digest {served.model.digest}, expected {bundle.digest}: another service "
                "answers on its port."
            )
        same = (served.decision, served.class_name) == (expected.decision, expected.class_name)
        probabilities = dict(expected.top_k)
        named = [(each.class_name, each.probability) for each in served.top_k]
        named.append((served.class_name, served.confidence))
        difference = max(abs(each - probabilities.get(name, np.inf)) for name, each in named)
        num_equal, largest = num_equal + same, max(largest, difference)
        if not same or not difference <= tolerance:
            strays.append(
                f"  {image.path}: served {served.decision} {served.class_name} {served.confidence:.6f}, "
                f"expected {expected.decision} {expected.class_name} {expected.confidence:.6f} "
                f"(difference {difference:.2g})"
            )
        if expected.decision is Decision.ACCEPT and expected.class_name == image.class_name:
            accepted.append(image.path)
    if strays:
        shown = "\n".join(strays[:_MOST_SHOWN])
        raise ServiceError(
            f"{len(strays)} of {len(images)} answers of {url} differ from the pipeline's own on the "
            f"same bytes; expected the same decision and class, and probabilities within {tolerance:g}.\n"
            f"{shown}\nIt was not put into service. A change of Pillow, numpy or LiteRT between training and "
            "serving does this: deploy from the environment that trained, or train again."
        )
    return Agreement(num_equal, largest, [*accepted, images[0].path][0])


def _usable(manifest: Manifest, rows: IntArray, settings: ServiceSettings) -> list[ImageEntry]:
    """Entries whose files are there and that the service takes."""
    return [
        entry
        for entry in manifest.entries.take(rows)
        if entry.num_bytes + _ROOM_FOR_THE_FORM <= settings.max_body_bytes
        and entry.width * entry.height <= settings.max_megapixels * 1e6
        and not entry.is_damaged
        and manifest.locate(entry).is_file()
    ]


def _spread(entries: Sequence[ImageEntry], number: int) -> list[ImageEntry]:
    """Up to `number` entries at equal distances; they are sorted by path, so classes take turns."""
    places = np.unique(np.linspace(0, len(entries) - 1, min(number, len(entries))).round().astype(int))
    return [entries[place] for place in places]


def _answer_here(bundle: LoadedBundle, raw: bytes) -> Prediction:
    """The pipeline's own answer to a file's bytes, with the probabilities of all classes."""
    image = decode_for(bundle.contract, raw, float("inf"))
    return bundle.predictor().predict(image[None], top_k=len(bundle.contract.class_names))[0]
