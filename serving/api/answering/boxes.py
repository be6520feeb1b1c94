"""The field `box` of a form, and the part of an image that it holds."""

from __future__ import annotations

from serving.api.problems import ProblemError
from vision.bundle.records import Contract
from vision.data.decoding.cutting import cut, is_box, open_photograph, parse_box, place_box
from vision.data.records import Box


def read_box(text: str) -> Box | None:
    """The box that a text names; None of an empty one, and what is no box is refused (422)."""
    if not text:
        return None
    try:
        box = parse_box(text.split(","))
    except ValueError as error:
        raise _wrong_box(f"The box {text[:60]!r} arrived") from error
    if not is_box(box):
        raise _wrong_box(f"The box {text[:60]!r} arrived, which has no area")
    return box


def cut_to_box(contract: Contract, raw: bytes, given: Box, max_megapixels: float) -> bytes:
    """What a box holds of an image, for a model that was taught what boxes hold; else the image as it is.

    Raises:
        ImageError: the image is not usable.
        ProblemError: the box holds nothing of it.
    """
    if contract.crop_margin is None:
        return raw
    photograph = open_photograph(raw, max_megapixels)
    box = place_box(given, photograph.image.size)
    if box is None:
        width, height = photograph.image.size
        raise _wrong_box(f"A box arrived that holds nothing of the image of {width} x {height} pixels")
    return cut(photograph, box, contract.crop_margin)


def _wrong_box(arrived: str) -> ProblemError:
    return ProblemError(
        "box",
        arrived=arrived,
        expected="left, top, width and height of the subject within the image, in pixels or, where no number "
        "is above 1, as shares of it",
        advice="Send it as curl -F box=120,80,300,200 does, or leave the field out",
    )
