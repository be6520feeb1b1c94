"""Refusals that several endpoints give, in the words of what arrived and what was expected."""

from __future__ import annotations

from serving.api.problems import ProblemError
from vision.base.errors import DataError, ImageError, ImageFormatError
from vision.data.decoding.formats import EMPTY_FILE, READ_FORMATS


def unusable_image(error: ImageError, max_megapixels: float) -> ProblemError:
    """The file is no image that can be looked at."""
    if isinstance(error, ImageFormatError):
        return ProblemError(
            "image-format",
            arrived=f"The file is {error}",
            expected=f"a {READ_FORMATS} image by its first bytes, whatever its name",
            advice="Convert the file, or send the right one",
        )
    if str(error) == EMPTY_FILE:
        return ProblemError(
            "image-unusable", arrived="The file is empty", expected="a whole image", advice="Copy it again"
        )
    return ProblemError(
        "image-unusable",
        arrived=f"The file is not usable: {error}",
        expected=f"a whole image of at most {max_megapixels:g} megapixels",
        advice="Open the file on your side to see whether it is whole, or send a smaller one",
    )


def not_told_apart(class_name: str, error: DataError) -> ProblemError:
    """Pictures make no class."""
    found, _, rest = str(error).partition("; expected ")
    expected, _, advice = rest.partition(". ")
    return ProblemError(
        "not-told-apart",
        arrived=f"Pictures of {class_name!r} arrived, and {found}",
        expected=expected,
        advice=advice,
    )


def no_known_images() -> ProblemError:
    """There is nothing to compare with."""
    return ProblemError(
        "no-known-images",
        arrived="Known images were asked for, and this model keeps none",
        expected="a model that was trained with export.similar of 1 or more",
        advice="Train and deploy again",
    )


def not_logged(why: str) -> ProblemError:
    """Something is not kept."""
    return ProblemError(
        "not-logged",
        arrived=f"Something to keep arrived while {why}",
        expected="a prediction log that can be written",
        advice="Try again later, and tell the operator if this goes on",
    )
