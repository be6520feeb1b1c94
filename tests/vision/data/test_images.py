"""Bytes become pixels in one way only; what is no picture is refused with the reason."""

import io
import struct
import warnings
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from PIL import Image, ImageOps

from tests.shared_data import shared_data
from tests.vision.data.decoding.samples import encode as encode_any
from vision.base.errors import ImageError, ImageFormatError
from vision.base.record import ImageArray
from vision.config.data import Resize
from vision.data.decoding.colour import PAD_GREY
from vision.data.images import decode_image, probe_image

LOSSLESS = ("PNG", "BMP", "WEBP")
SQUARES = [Resize.PAD, Resize.CROP, Resize.STRETCH]
Read = Callable[[bytes], object]


def encode(image: Image.Image, form: str = "PNG", **options: object) -> bytes:
    out = io.BytesIO()
    if form == "WEBP":
        options = {"lossless": True, "exact": True, **options}
    image.save(out, form, **options)
    return out.getvalue()


def picture(height: int, width: int, seed: int = 0) -> Image.Image:
    """A smooth picture without symmetry, so that turning it shows and JPEG keeps it."""
    y, x = np.mgrid[:height, :width].astype(np.float64)
    red = 255 * x / max(width - 1, 1)
    green = 255 * (y / max(height - 1, 1)) ** 2
    blue = 60 + 120 * ((x / width - 0.2) ** 2 + (y / height - 0.8) ** 2) + seed
    return Image.fromarray(np.clip(np.stack([red, green, blue], axis=-1), 0, 255).astype(np.uint8))


def decode(raw: bytes, size: int, resize: Resize = Resize.STRETCH) -> ImageArray:
    return decode_image(raw, size=size, resize=resize)


@pytest.mark.parametrize("form", LOSSLESS)
def test_a_lossless_picture_of_the_right_size_keeps_every_pixel(form: str) -> None:
    image = picture(24, 24)
    assert np.array_equal(decode(encode(image, form), 24), np.asarray(image))


def test_jpeg_decodes_close_to_what_was_saved() -> None:
    image = picture(32, 32)
    difference = np.asarray(image).astype(int) - decode(encode(image, "JPEG", quality=95), 32)
    assert np.abs(difference).mean() < 2


def test_halving_is_the_triangle_filter_computed_by_hand() -> None:
    """Bilinear with antialiasing: weights 1, 3, 3, 1 over 8 inside, renormalised at the border.

    Row 0, 0, 80, 80, 0, 0, 160, 160 halved: the centres lie between the pairs. First: weights 3, 3, 1 over
    7 -> (0*3 + 0*3 + 80) / 7 = 11.43; second: (0 + 3*80 + 3*80 + 0) / 8 = 60; third: (80 + 160) / 8 = 30;
    last: (0 + 3*160 + 3*160) / 7 = 137.14. Plain picking would give 0 or 80, a box mean 0, 80, 0, 160.
    """
    row = np.array([0, 0, 80, 80, 0, 0, 160, 160], dtype=np.uint8)
    image = Image.fromarray(np.repeat(row[None, :], 8, axis=0))
    decoded = decode(encode(image), 4)
    assert decoded.shape == (4, 4, 3)
    assert np.array_equal(decoded[..., 0], np.repeat([[11, 60, 30, 137]], 4, axis=0))


def test_pad_centres_the_whole_picture_on_grey() -> None:
    white = Image.new("RGB", (40, 20), (255, 255, 255))
    decoded = decode(encode(white), 16, Resize.PAD)
    assert (decoded[4:12] == 255).all()
    assert (decoded[:4] == PAD_GREY).all()
    assert (decoded[12:] == PAD_GREY).all()


def test_crop_keeps_the_centre_square() -> None:
    strips = np.zeros((20, 40, 3), dtype=np.uint8)
    strips[:, 10:30] = 200
    decoded = decode(encode(Image.fromarray(strips)), 20, Resize.CROP)
    assert (decoded == 200).all()


def test_stretch_fills_the_square_with_the_whole_picture() -> None:
    halves = np.zeros((20, 40, 3), dtype=np.uint8)
    halves[:, 20:] = 200
    decoded = decode(encode(Image.fromarray(halves)), 20)
    assert (decoded[:, :9] == 0).all()
    assert (decoded[:, 11:] == 200).all()


@pytest.mark.parametrize("resize", SQUARES)
@pytest.mark.parametrize("sides", [(1, 1), (1, 300), (300, 1), (7, 5)])
def test_every_shape_gives_a_full_square(sides: tuple[int, int], resize: Resize) -> None:
    decoded = decode(encode(picture(*sides)), 16, resize)
    assert decoded.shape == (16, 16, 3)
    assert decoded.dtype == np.uint8


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("resize", SQUARES)
def test_orientation_equals_exif_transpose(orientation: int, resize: Resize) -> None:
    image = picture(16, 16)
    exif = Image.Exif()
    exif[0x0112] = orientation
    tagged = encode(image, "PNG", exif=exif)
    with Image.open(io.BytesIO(tagged)) as opened:
        expected = np.asarray(ImageOps.exif_transpose(opened))
    assert np.array_equal(decode(tagged, 16, resize), expected)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("resize", SQUARES)
def test_orientation_and_resize_commute_on_jpeg(orientation: int, resize: Resize) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    tagged = encode(picture(48, 80), "JPEG", quality=95, exif=exif)
    with Image.open(io.BytesIO(tagged)) as opened:
        upright = ImageOps.exif_transpose(opened)
        sides = upright.size
    difference = decode(tagged, 40, resize).astype(int) - decode(encode(upright), 40, resize)
    assert np.abs(difference).max() <= 1  # the two passes of the resize round in another order
    assert probe_image(tagged).sides == sides


@pytest.mark.parametrize("value", [0, 9, 77])
def test_an_impossible_orientation_is_ignored(value: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = value
    image = picture(16, 16)
    assert np.array_equal(decode(encode(image, "PNG", exif=exif), 16), np.asarray(image))


def test_a_damaged_orientation_tag_does_not_lose_the_picture() -> None:
    image = picture(16, 16)
    raw = encode(image, "JPEG", exif=b"Exif\x00\x00MM\x00*\xff\xff\xff\xff")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow may warn of the tag
        assert decode(raw, 16).shape == (16, 16, 3)
        assert probe_image(raw).sides == (16, 16)


def test_the_reduced_scale_of_large_jpegs_hardly_changes_the_pixels() -> None:
    image = picture(800, 1000)
    raw = encode(image, "JPEG", quality=95)
    with Image.open(io.BytesIO(raw)) as opened:
        full = opened.convert("RGB").resize((64, 64), Image.Resampling.BILINEAR)
    assert np.abs(decode(raw, 64).astype(int) - np.asarray(full)).mean() < 0.5


def test_transparency_is_laid_over_the_grey_of_the_padding() -> None:
    image = Image.new("RGBA", (8, 8), (255, 0, 0, 0))
    image.paste((0, 255, 0, 255), (0, 0, 8, 4))
    decoded = decode(encode(image), 8)
    assert (decoded[4:] == PAD_GREY).all()
    assert (decoded[:4] == (0, 255, 0)).all()


def test_half_transparency_mixes_with_grey() -> None:
    decoded = decode(encode(Image.new("RGBA", (8, 8), (255, 255, 255, 128))), 8)
    assert np.unique(decoded).tolist() == [192]  # 128 + (255 - 128) * 128 / 255 = 191.7


def test_a_palette_with_a_transparent_colour_is_read() -> None:
    image = Image.new("P", (8, 8), 0)
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.paste(1, (0, 0, 8, 4))
    decoded = decode(encode(image, transparency=0), 8)
    assert (decoded[:4] == (40, 50, 60)).all()
    assert (decoded[4:] == PAD_GREY).all()


@pytest.mark.parametrize("mode", ["L", "1", "LA", "P"])
def test_every_mode_becomes_rgb(mode: str) -> None:
    decoded = decode(encode(Image.new("RGB", (8, 8), (255, 255, 255)).convert(mode)), 8)
    assert (decoded == 255).all()


def test_grey_and_cmyk_jpegs_become_rgb() -> None:
    grey = decode(encode(Image.new("L", (16, 16), 90), "JPEG", quality=95), 16)
    assert np.abs(grey.astype(int) - 90).max() <= 2
    cmyk = decode(encode(Image.new("CMYK", (16, 16), (0, 0, 0, 0)), "JPEG", quality=95), 16)
    assert cmyk.min() >= 250


def test_sixteen_bits_keep_their_upper_part() -> None:
    samples = np.full((8, 8), 32896, dtype=np.uint16)  # 128 * 257
    assert (decode(encode(Image.fromarray(samples)), 8) == 128).all()
    assert (decode(encode(Image.fromarray(np.full((8, 8), 65535, dtype=np.uint16))), 8) == 255).all()


def test_the_first_frame_of_an_animation_counts() -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ((200, 0, 0), (0, 0, 200))]
    for form in ("PNG", "WEBP"):
        raw = encode(frames[0], form, save_all=True, append_images=frames[1:])
        assert (decode(raw, 8) == (200, 0, 0)).all()


@pytest.mark.parametrize("read", [probe_image, lambda raw: decode(raw, 16)])
class TestRefusals:
    def test_an_empty_file_is_named_as_empty(self, read: Read) -> None:
        with pytest.raises(ImageError, match="empty"):
            read(b"")
        with pytest.raises(ImageFormatError, match=r"^not a picture but text.*\(it begins with b'hello"):
            read(b"hello\n")

    @pytest.mark.parametrize(("form", "words"), [("ICO", "format ICO"), ("SPIDER", "no known picture")])
    def test_other_formats_are_refused_whatever_pillow_knows(self, read: Read, form: str, words: str) -> None:
        with pytest.raises(ImageFormatError, match=words):
            read(encode(picture(16, 16).convert("F" if form == "SPIDER" else "RGB"), form))

    @pytest.mark.parametrize("raw", [b"<html></html>", b"GIF89a", b"\x00" * 100, b"%PDF-1.7", b"BM", b"RIFF"])
    def test_junk_is_refused(self, read: Read, raw: bytes) -> None:
        with pytest.raises(ImageError):
            read(raw)

    @pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "BMP"])
    @pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.9])
    def test_a_file_cut_short_is_refused(self, read: Read, form: str, share: float) -> None:
        noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
        raw = encode(Image.fromarray(noise), form)
        with pytest.raises(ImageError, match=r"damaged or cut short|begins with"):
            read(raw[: int(share * len(raw))])

    def test_a_progressive_jpeg_cut_short_is_refused(self, read: Read) -> None:
        noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
        raw = encode(Image.fromarray(noise), "JPEG", progressive=True)
        with pytest.raises(ImageError, match="cut short"):
            read(raw[: len(raw) // 2])

    def test_damaged_bytes_inside_a_png_are_refused(self, read: Read) -> None:
        raw = bytearray(encode(picture(32, 32)))
        raw[len(raw) // 2] ^= 0xFF
        with pytest.raises(ImageError, match="damaged"):
            read(bytes(raw))


@pytest.mark.parametrize(
    "form", ["JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "AVIF", "HEIF", "JPEG2000", "PPM"]
)
def test_the_number_of_pixels_is_checked_before_any_is_decoded(
    form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = encode_any(picture(200, 300), form)

    def refuse(*args: object) -> None:
        raise AssertionError("decoded")

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", refuse)
    monkeypatch.setattr("PIL.WebPImagePlugin.WebPImageFile.load", refuse)
    monkeypatch.setattr("PIL.AvifImagePlugin.AvifImageFile.load", refuse)
    monkeypatch.setattr("pillow_heif.HeifImageFile.load", refuse)
    with pytest.raises(ImageError, match=r"300 x 200 pixels, 0\.1 megapixels; expected at most 0\.05"):
        probe_image(raw, max_megapixels=0.05)
    with pytest.raises(ImageError, match="megapixels"):
        decode_image(raw, size=16, resize=Resize.PAD, max_megapixels=0.05)


def test_a_header_that_claims_a_huge_picture_costs_nothing() -> None:
    raw = bytearray(encode(picture(8, 8)))
    raw[16:24] = (60_000).to_bytes(4, "big") * 2
    with pytest.raises(ImageError, match=r"60000 x 60000|damaged"):
        probe_image(bytes(raw))


def run_length_bmp(width: int, height: int, compression: int) -> bytes:
    """A BMP whose header declares run lengths; its picture is one run."""
    bits, data, offset = {1: 8, 2: 4}[compression], b"\1\1\0\0\0\1", 14 + 40 + 1024
    header = struct.pack("<IHHI", offset + len(data), 0, 0, offset)
    header += struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, compression, len(data), 0, 0, 0, 0)
    return b"BM" + header + bytes(1024) + data


@pytest.mark.parametrize("compression", [1, 2])
def test_a_run_length_encoded_bmp_is_refused_before_it_is_decoded(compression: int) -> None:
    """1,084 bytes of 39 megapixels took Pillow 40 s."""
    raw = run_length_bmp(20_000, 1_950, compression)
    readers: tuple[Read, ...] = (probe_image, partial(decode_image, size=16, resize=Resize.PAD))
    for read in readers:
        with pytest.raises(ImageError, match="run-length encoded BMP; expected an uncompressed one, or PNG"):
            read(raw)


def test_a_side_over_20000_pixels_is_refused() -> None:
    assert probe_image(encode(Image.new("RGB", (20_000, 1)))).sides == (20_000, 1)
    with pytest.raises(ImageError, match="20001 x 1 pixels; expected at most 20000 a side"):
        probe_image(encode(Image.new("RGB", (20_001, 1))))
    with pytest.raises(ImageError, match="39000000 x 1 pixels; expected at most 20000 a side"):
        probe_image(run_length_bmp(39_000_000, 1, 1))


@pytest.mark.parametrize(
    ("before", "words"),
    [
        (b"\xff\xd8" * 1_001, "more than 1000 segments"),
        (b"\xff\xfe\0\2" * 1_001, "more than 1000 segments"),
        ((b"\xff\xf0\xff\xff" + b"\xff\xd8" * 32_766) * 2, "more than 1000 segments"),
        (b"\xff" * 100_100, "bytes of padding"),
        (b"\xff\xd8" + b"\0" * 100_100, "bytes of padding"),
    ],
)
def test_a_jpeg_whose_header_is_a_long_walk_is_refused(before: bytes, words: str) -> None:
    raw = encode(picture(8, 8), "JPEG")
    with pytest.raises(ImageError, match=words):
        probe_image(raw[:2] + before + raw[2:])


def test_a_jpeg_with_hundreds_of_segments_and_some_padding_is_read() -> None:
    raw = encode(picture(8, 8), "JPEG")
    many = b"\xff\xfe\xff\xff" + bytes(65_533) + b"\xff\xff\xfe\0\3a" * 900
    assert_array_equal(decode(raw[:2] + many + raw[2:], 8, Resize.PAD), decode(raw, 8, Resize.PAD))


def test_sixteen_bits_become_eight_alike_in_every_strip() -> None:
    samples = np.arange(1_500 * 1_000, dtype=np.uint32).reshape(1_500, 1_000) % 65_536
    image = Image.fromarray(samples.astype(np.uint16))
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    upper = Image.fromarray(np.rint(samples / 257).astype(np.uint8))
    got = decode(buffer.getvalue(), 1_500, Resize.STRETCH)
    expected = upper.convert("RGB").resize((1_500, 1_500), Image.Resampling.BILINEAR)
    assert_array_equal(got, np.asarray(expected))


@pytest.mark.parametrize(
    "options", [{"lossless": True}, {"lossless": False}, {"lossless": True, "xmp": b"x"}]
)
def test_a_webp_of_a_few_bytes_and_192_megapixels_is_refused_before_its_canvas_is_made(
    options: dict[str, object],
) -> None:
    """Of each of the three forms of header: VP8L, VP8 and VP8X; the sides are set in a small file."""
    raw = bytearray(encode(picture(8, 8), "WEBP", **options))
    if raw[12:16] == b"VP8X":
        raw[24:30] = (15_999).to_bytes(3, "little") + (11_999).to_bytes(3, "little")
    elif raw[12:16] == b"VP8L":
        raw[21:25] = (15_999 | 11_999 << 14).to_bytes(4, "little")
    else:
        raw[26:30] = (16_000).to_bytes(2, "little") + (12_000).to_bytes(2, "little")
    with pytest.raises(ImageError, match=r"16000 x 12000 pixels, 192\.0 megapixels; expected at most 100"):
        probe_image(bytes(raw), max_megapixels=100)
    with pytest.raises(ImageError, match=r"too many pixels .* expected at most 179 megapixels"):
        probe_image(bytes(raw), max_megapixels=500)  # more than Pillow reads of this format


def test_the_format_is_told_by_the_bytes_of_real_photographs() -> None:
    path = next(iter(sorted(shared_data("fish_egu2017").glob("*/*.png"))))
    raw = path.read_bytes()
    with Image.open(path) as opened:
        assert probe_image(raw).sides == opened.size
    assert decode(raw, 96, Resize.PAD).std() > 10
