"""Any mode, profile and transparency become eight-bit sRGB without transparency."""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import lru_cache
from itertools import product

import numpy as np
from PIL import Image, ImageCms, ImageFile

from vision.data.decoding.depth import Bits, Reduced, is_deep_colour, reduce_colour, reduce_grey, reopened
from vision.data.decoding.opening import png_chunks
from vision.data.decoding.remarks import Remark

PAD_GREY = 128
"""Value of every channel of the padding, and what lies behind transparent pixels."""

_ALPHA_MODES = ("RGBA", "LA", "PA", "La", "RGBa")
_SRGB_GAMMA = 1 / 2.2
_NEARLY_SRGB = 0.05
_SANE_GAMMAS = (0.1, 5.0)
_SAME_BY_EYE = 2
_MODE_OF_SPACE = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}


@dataclass(frozen=True)
class Flat:
    """A picture without transparency, whose colours are converted when it has been made small.

    Attributes:
        image: mode L, RGB or CMYK.
        to_srgb: its profile's way to sRGB; None where there is nothing to convert.
        sample_bits: how many of 16 bits its samples use, as far as they alone tell; 0 for eight bits.
    """

    image: Image.Image
    to_srgb: ImageCms.ImageCmsTransform | None
    remarks: frozenset[Remark]
    sample_bits: int = 0

    def finish(self, small: Image.Image) -> Image.Image:
        """`image`, resized meanwhile, as sRGB."""
        return _as_srgb(small, self.to_srgb)


def has_deep_samples(image: ImageFile.ImageFile) -> bool:
    """Whether an image that is not loaded yet has over eight bits a channel."""
    return image.mode.startswith(("I", "F")) or is_deep_colour(image)


def is_all_transparent(image: Image.Image) -> bool:
    """Whether not one pixel shows."""
    if image.mode not in _ALPHA_MODES:
        return False
    return image.getchannel("A" if image.mode in ("RGBA", "LA", "PA") else "a").getextrema()[1] == 0


def flatten(raw: bytes, image: Image.Image, *, is_deep: bool, least_bits: int) -> Flat:
    """A loaded picture without transparency.

    `is_deep` is `has_deep_samples` of it before it was loaded: 16-bit colours are read again from `raw`.
    `least_bits`, of 16, are those that pictures of its data set use; 0 where that is not known.
    """
    exponent = _gamma_exponent(image)
    bits = Bits(_declared_bits(raw), least_bits)
    reduced = _reduce(raw, image, exponent, bits) if is_deep else None
    sample_bits = (reduced.guessed if reduced is not None else 16) if is_deep else 0
    remarks = {Remark.FEW_BITS} if reduced is not None and reduced.bits < 16 else set()
    plain, mask = _split(image) if reduced is None else (reduced.image, reduced.mask)
    if reduced is None and exponent != 1.0:
        table = [round(255 * (value / 255) ** exponent) for value in range(256)]
        plain = plain.point(table * len(plain.getbands()))
    transform = _transform_of(image, plain)
    if transform is not None:
        remarks.add(Remark.PROFILE)
    if mask is not None and mask.getextrema() == (0, 0) and plain.convert("RGB").getcolors(1) is None:
        remarks.add(Remark.ALL_TRANSPARENT)
        mask = None
    if mask is None or mask.getextrema() == (255, 255):
        return Flat(plain, transform, frozenset(remarks), sample_bits)
    backdrop = Image.new("RGB", plain.size, (PAD_GREY, PAD_GREY, PAD_GREY))
    backdrop.paste(_as_srgb(plain, transform), mask=mask)
    return Flat(backdrop, None, frozenset(remarks), sample_bits)


def _reduce(raw: bytes, image: Image.Image, exponent: float, bits: Bits) -> Reduced | None:
    if image.mode.startswith(("I", "F")):
        return reduce_grey(image, bits, exponent)
    return reduce_colour(image, lambda: reopened(raw, image), bits, exponent)


def _declared_bits(raw: bytes) -> int | None:
    """The largest number of a PNG's sBIT chunk, where it is over eight."""
    if not raw.startswith(b"\x89PNG"):
        return None
    for kind, content in png_chunks(raw):
        if kind == b"sBIT" and content:
            return max(content) if 8 < max(content) < 16 else None
        if kind == b"IDAT":
            return None
    return None


def _split(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """The colours (mode L, RGB or CMYK) and the transparency (mode L, 0 is transparent; None without)."""
    if image.mode in _ALPHA_MODES or "transparency" in image.info:
        layered = image if image.mode == "RGBA" else image.convert("RGBA")
        return layered.convert("RGB"), layered.getchannel("A")
    if image.mode == "1":
        return image.convert("L"), None
    return (image if image.mode in ("L", "RGB", "CMYK") else image.convert("RGB")), None


def _gamma_exponent(image: Image.Image) -> float:
    """What values in [0, 1] are raised to so that a PNG's gAMA becomes sRGB's; 1 where nothing is to do."""
    gamma = image.info.get("gamma")
    if not isinstance(gamma, float) or "icc_profile" in image.info or "srgb" in image.info:
        return 1.0
    if not _SANE_GAMMAS[0] <= gamma <= _SANE_GAMMAS[1] or abs(gamma / _SRGB_GAMMA - 1) < _NEARLY_SRGB:
        return 1.0
    return _SRGB_GAMMA / gamma


# --- profiles -------------------------------------------------------------------------------------------


def _transform_of(image: Image.Image, plain: Image.Image) -> ImageCms.ImageCmsTransform | None:
    profile = image.info.get("icc_profile")
    return _transform(profile, plain.mode) if isinstance(profile, bytes) and profile else None


def _as_srgb(image: Image.Image, transform: ImageCms.ImageCmsTransform | None) -> Image.Image:
    if transform is None:
        return image if image.mode == "RGB" else image.convert("RGB")
    wanted = str(transform.input_mode)
    return transform.apply(image if image.mode == wanted else image.convert(wanted))


@lru_cache(maxsize=32)
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """The way from a profile to sRGB; None where it is sRGB, does not fit the picture, or is damaged.

    A picture with a damaged profile is shown as it is, by browsers too.
    """
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        wanted = _MODE_OF_SPACE.get(source.profile.xcolor_space.strip())
        if wanted is None or (wanted != mode and (wanted, mode) != ("RGB", "L")):
            return None
        transform = ImageCms.buildTransform(
            source, _srgb(), wanted, "RGB", ImageCms.Intent.PERCEPTUAL, ImageCms.Flags.NOCACHE
        )
    except (ImageCms.PyCMSError, OSError, TypeError, ValueError):
        return None
    return None if _changes_nothing(transform, wanted) else transform


@lru_cache(maxsize=1)
def _srgb() -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))


def _changes_nothing(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    """Whether colours all over the cube stay what they are, as far as the eye can tell."""
    if mode == "CMYK":
        return False
    levels = range(0, 256, 51)
    colours = [(value,) * 3 for value in range(256)] if mode == "L" else list(product(levels, repeat=3))
    before = np.array([colours], dtype=np.uint8)
    image = Image.fromarray(before[..., 0] if mode == "L" else before)
    after = np.asarray(transform.apply(image)).astype(int)
    return bool(np.abs(after - before).max() <= _SAME_BY_EYE)
