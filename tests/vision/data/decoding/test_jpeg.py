"""A sound JPEG is read once, by TurboJPEG; what it gives is what Pillow gives."""

from __future__ import annotations

import io

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from tests.vision.data.decoding.samples import encode
from vision.data.decoding.jpeg import read_strictly


class TestReadStrictly:
    @settings(max_examples=150, deadline=None)
    @given(
        width=st.integers(1, 150),
        height=st.integers(1, 150),
        mode=st.sampled_from(["RGB", "L"]),
        progressive=st.booleans(),
        subsampling=st.sampled_from([0, 1, 2]),
        keep_rgb=st.booleans(),
        enough=st.integers(1, 300),
    )
    def test_its_pixels_are_those_of_pillow(
        self,
        width: int,
        height: int,
        mode: str,
        progressive: bool,
        subsampling: int,
        keep_rgb: bool,
        enough: int,
    ) -> None:
        samples = np.random.default_rng(width * 151 + height).integers(0, 256, (height, width, 3), np.uint8)
        options = {"progressive": progressive, "subsampling": 0 if keep_rgb else subsampling}
        if mode == "RGB":
            options["keep_rgb"] = keep_rgb
        raw = encode(Image.fromarray(samples).convert(mode), "JPEG", quality=80, **options)
        image = Image.open(io.BytesIO(raw))
        assert isinstance(image, JpegImageFile)
        image.draft("RGB", (enough, enough))
        read = read_strictly(raw, image)
        assert read is not None
        assert (read.mode, read.size) == (image.mode, image.size)
        np.testing.assert_array_equal(np.asarray(read), np.asarray(image))

    def test_colours_that_it_does_not_know_are_left_to_pillow(self) -> None:
        raw = encode(Image.new("CMYK", (16, 16), (9, 0, 0, 0)), "JPEG")
        image = Image.open(io.BytesIO(raw))
        assert isinstance(image, JpegImageFile)
        assert read_strictly(raw, image) is None
