"""A picture as a bundle's network wants it: what its contract says of crop, resize and depth."""

from __future__ import annotations

from vision.base.record import ImageArray
from vision.bundle.records import Contract
from vision.config.data import Resize
from vision.data.images import decode_image


def decode_for(contract: Contract, raw: bytes, max_megapixels: float) -> ImageArray:
    """The picture of a file as the network sees it, (s, s, 3) uint8; raises as `decode_image`."""
    return decode_image(
        raw,
        size=contract.image_size,
        resize=Resize(contract.resize),
        max_megapixels=max_megapixels,
        least_bits=contract.least_bits,
    )


def tell_misfit(contract: Contract, num_boxed: int, num_pictures: int) -> str:
    """A sentence where pictures lack the boxes that the model needs, or have boxes that it does not use."""
    if contract.crop_margin is None:
        return "The model was taught whole pictures, so the boxes were not used." if num_boxed else ""
    lacking = num_pictures - num_boxed
    if not lacking:
        return ""
    which = "This picture" if num_pictures == 1 else f"{lacking:,} of these {num_pictures:,}"
    were = "was" if lacking == 1 else "were"
    return (
        f"The model was taught what boxes hold. {which} came without a box and {were} looked at as a whole."
    )
