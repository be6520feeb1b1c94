"""When a picture was taken, as its camera wrote it."""

from __future__ import annotations

from datetime import datetime

from PIL import ImageFile

from vision.data.decoding.opening import DECODING_FAULTS

_EXIF_IFD = 0x8769
_TAKEN_TAG = 0x9003
_FORM = "%Y:%m:%d %H:%M:%S"


def read_capture_time(image: ImageFile.ImageFile) -> datetime | None:
    """EXIF's DateTimeOriginal, the camera's local time; None where it is absent or no time."""
    try:
        value = image.getexif().get_ifd(_EXIF_IFD).get(_TAKEN_TAG)
        return datetime.strptime(str(value).strip("\0 "), _FORM) if value else None
    except (*DECODING_FAULTS, ValueError):
        return None  # a damaged tag says nothing, and the picture is sound
