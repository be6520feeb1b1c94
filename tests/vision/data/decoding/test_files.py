"""Files as people have them: what is read, with which colours, what is refused and by which name."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from tests.vision.data.decoding.samples import (
    COLOURS,
    chunk,
    deep_png,
    eight,
    encode,
    noise,
    quadrants,
    swapped_profile,
)
from vision.base.errors import ImageError, ImageFormatError
from vision.config.data import Resize
from vision.data.decoding.colour import PAD_GREY
from vision.data.decoding.remarks import Remark
from vision.data.images import decode_image, probe_image

GREY = (PAD_GREY,) * 3


def colours_of(raw: bytes) -> np.ndarray:
    """(4, 3): the median colour inside each quadrant."""
    square = decode_image(raw, size=48, resize=Resize.STRETCH).astype(int)
    corners = [square[y : y + 12, x : x + 12] for y in (6, 30) for x in (6, 30)]
    return np.array([np.median(each.reshape(-1, 3), axis=0) for each in corners])


def assert_colours(raw: bytes, expected: object = COLOURS, most: int = 4) -> None:
    assert np.abs(colours_of(raw) - np.array(expected)).max() <= most


def greys(scale: int) -> np.ndarray:
    return quadrants()[..., 0] * np.uint16(scale)


GREYS = [(red,) * 3 for red, _, _ in COLOURS]


@pytest.mark.parametrize("form", ["GIF", "TIFF", "AVIF", "HEIF", "PPM", "JPEG2000", "BMP", "WEBP", "PNG"])
def test_every_format_gives_the_same_picture(form: str) -> None:
    options = {"quality": 95} if form in ("AVIF", "HEIF") else {}
    raw = encode(eight(quadrants()), form, **options)
    assert_colours(raw, most=9)
    assert probe_image(raw).sides == (48, 48)


class TestColour:
    @pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF"])
    def test_a_profile_becomes_srgb(self, form: str) -> None:
        options = {"quality": 95, "subsampling": 0} if form == "JPEG" else {}
        options |= {"lossless": True} if form == "WEBP" else {}
        raw = encode(eight(quadrants()), form, icc_profile=swapped_profile(), **options)
        assert_colours(raw, [colour[::-1] for colour in COLOURS])
        assert Remark.PROFILE in probe_image(raw).remarks

    def test_a_damaged_profile_is_ignored(self) -> None:
        assert_colours(encode(eight(quadrants()), "PNG", icc_profile=b"junk" * 50))

    def test_transparent_places_are_grey_whatever_the_profile(self) -> None:
        layered = eight(quadrants()).convert("RGBA")
        layered.paste((9, 9, 9, 0), (0, 0, 24, 24))
        raw = encode(layered, "PNG", icc_profile=swapped_profile())
        assert_colours(raw, [GREY, *(colour[::-1] for colour in COLOURS[1:])])

    def test_linear_light_is_brightened(self) -> None:
        linear = ((quadrants() / 255) ** 2.2 * 65_535).astype(np.uint16)
        assert_colours(deep_png(linear, (b"gAMA", struct.pack(">I", 100_000))))

    def test_the_usual_gamma_and_srgb_change_nothing(self) -> None:
        full = quadrants() * np.uint16(257)
        assert_colours(deep_png(full, (b"gAMA", struct.pack(">I", 45_455))), most=0)
        assert_colours(deep_png(full, (b"sRGB", b"\0"), (b"gAMA", struct.pack(">I", 100_000))), most=0)


class TestDepth:
    @pytest.mark.parametrize("bits", [10, 12, 14, 16])
    def test_few_bits_fill_the_range_in_grey_and_in_colour(self, bits: int) -> None:
        scale = ((1 << bits) - 1) // 255
        assert_colours(deep_png(greys(scale)), GREYS)
        raw = deep_png(quadrants() * np.uint16(scale))
        assert_colours(raw)
        assert (Remark.FEW_BITS in probe_image(raw).remarks) == (bits < 16)

    def test_a_dark_picture_of_true_sixteen_bits_stays_dark(self) -> None:
        dark = [[each // 8 for each in colour] for colour in COLOURS]
        assert_colours(deep_png(quadrants(colours=dark) * np.uint16(257)), dark, most=0)

    def test_the_files_own_word_on_its_bits_holds(self) -> None:
        assert_colours(deep_png(greys(32), (b"sBIT", b"\x0d")), GREYS)
        assert_colours(deep_png(greys(257), (b"sBIT", b"\x0c")), GREYS)

    @pytest.mark.parametrize("most", [1.0, 255.0, 65_535.0])
    def test_floating_point_numbers_fill_the_range(self, most: float) -> None:
        values = (quadrants()[..., 0] / 255 * most).astype(np.float32)
        assert_colours(encode(Image.fromarray(values), "TIFF"), GREYS)

    def test_other_floating_point_numbers_are_refused(self) -> None:
        with pytest.raises(ImageError, match="from -1 to"):
            probe_image(encode(Image.fromarray(greys(1).astype(np.float32) - 41), "TIFF"))

    @pytest.mark.parametrize("channels", [1, 3])
    def test_a_transparent_value_of_sixteen_bits_is_grey(self, channels: int) -> None:
        samples = quadrants() * np.uint16(4) if channels == 3 else greys(16)
        key = samples[0, 0].reshape(-1).astype(">u2").tobytes()
        expected = COLOURS if channels == 3 else GREYS
        assert_colours(deep_png(samples, (b"tRNS", key)), [GREY, *expected[1:]])


class TestTransparency:
    def test_a_wholly_transparent_picture_shows_its_colours(self) -> None:
        layered = eight(quadrants())
        layered.putalpha(0)
        raw = encode(layered, "PNG")
        assert_colours(raw, most=0)
        assert Remark.ALL_TRANSPARENT in probe_image(raw).remarks

    def test_an_empty_first_frame_is_passed_over(self) -> None:
        empty, shown = Image.new("RGBA", (48, 48)), eight(quadrants()).convert("RGBA")
        assert_colours(encode(empty, "WEBP", save_all=True, append_images=[shown], lossless=True))


def close(raw: bytes) -> bytes:
    return raw + b"\xff\xd9"


def zero_tail(raw: bytes, share: float = 0.5) -> bytes:
    kept = int(len(raw) * share)
    return raw[:kept] + bytes(len(raw) - kept)


JPEG = encode(noise(), "JPEG", quality=90)
PROGRESSIVE = encode(noise(), "JPEG", quality=90, progressive=True)
RESTARTS = encode(noise(), "JPEG", quality=90, restart_marker_rows=1)
PNG = encode(noise(), "PNG")
LOST_PACKET = RESTARTS[: len(RESTARTS) // 2] + RESTARTS[len(RESTARTS) * 6 // 10 :]


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(JPEG[: len(JPEG) * 6 // 10], id="jpeg cut short"),
        pytest.param(close(JPEG[: len(JPEG) * 6 // 10]), id="jpeg cut short and closed"),
        pytest.param(zero_tail(JPEG), id="jpeg with zeros at its end"),
        pytest.param(zero_tail(JPEG, 0.98), id="jpeg with few zeros at its end"),
        pytest.param(close(PROGRESSIVE[: len(PROGRESSIVE) // 3]), id="progressive jpeg"),
        pytest.param(LOST_PACKET, id="jpeg with restart markers"),
        pytest.param(zero_tail(encode(noise(), "WEBP", quality=80)), id="webp"),
        pytest.param(zero_tail(encode(noise(), "WEBP", lossless=True)), id="lossless webp"),
        pytest.param(zero_tail(encode(noise(), "AVIF")), id="avif"),
        pytest.param(zero_tail(encode(noise(), "HEIF")), id="heic"),
        pytest.param(zero_tail(encode(noise(), "GIF")), id="gif"),
        pytest.param(zero_tail(PNG), id="png"),
        pytest.param(encode(noise(), "TIFF", compression="tiff_lzw")[:-2000], id="tiff"),
        pytest.param(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(500), id="head of a heic"),
    ],
)
@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_damage_is_refused(raw: bytes) -> None:
    for read in (probe_image, lambda each: decode_image(each, size=48, resize=Resize.PAD)):
        with pytest.raises(ImageError, match="damaged or cut short"):
            read(raw)


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(JPEG[:-2], id="no end mark"),
        pytest.param(JPEG[:-2] + bytes(3000), id="zeros in place of the end mark"),
        pytest.param(JPEG[:-2] + bytes(3000) + b"\xff\xd9", id="zeros before the end mark"),
        pytest.param(JPEG + bytes(3000) + b"MotionPhoto" * 99, id="a film behind the picture"),
        pytest.param(PNG[:-12], id="png without its end"),
        pytest.param(
            encode(noise(), "WEBP", lossless=True, exif=Image.Exif().tobytes() + bytes(900)), id="webp, exif"
        ),
        pytest.param(PNG + bytes(4096), id="png padded to a sector"),
        pytest.param(
            PNG[:33] + chunk(b"zTXt", b"Work\0\0" + zlib.compress(b"{} " * 10**6)) + PNG[33:], id="long text"
        ),
    ],
)
def test_what_is_whole_is_read(raw: bytes) -> None:
    whole = JPEG if raw.startswith(b"\xff\xd8") else PNG
    expected = decode_image(whole, size=48, resize=Resize.PAD)
    assert np.array_equal(decode_image(raw, size=48, resize=Resize.PAD), expected)


def test_a_missing_end_mark_is_told() -> None:
    assert probe_image(JPEG[:-2]).remarks == {Remark.NO_END_MARK}
    assert probe_image(JPEG).remarks == set()


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"<!DOCTYPE html><html>", "web page"),
        (b"HTTP/1.1 200 OK\r\n\r\n" + JPEG, "HTTP"),
        (b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(99), "JPEG XL.*djxl"),
        (b"\xff\x0a" + bytes(99), "JPEG XL"),
        (b"II*\0\x10\0\0\0CR\2\0" + bytes(99), "raw file.*darktable"),
        (b"FUJIFILMCCD-RAW " + bytes(99), "raw file"),
        (b"II\x1a\0\0\0HEAPCCDR" + bytes(99), "raw file"),
        (b"\0\0\0\x18ftypcrx \0\0\0\1crx isom" + bytes(99), "raw file"),
        (b"MM\0*\0\0\0\x08\0\1\x00\xfe\0\4\0\0\0\1\0\0\0\1" + bytes(99), "raw file"),
        (b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + bytes(99), "video.*ffmpeg"),
        (b"version https://git-lfs.github.com/spec/v1", "git lfs pull"),
        (bytes(900), "zero bytes"),
        (b"PK\3\4", "ZIP"),
    ],
)
def test_what_is_no_picture_is_called_by_its_name(raw: bytes, words: str) -> None:
    with pytest.raises(ImageFormatError, match=words):
        probe_image(raw)


def test_the_limit_of_pixels_names_its_setting() -> None:
    with pytest.raises(ImageError, match=r"0\.1 megapixels; expected at most 0\.05 \(.*max_megapixels"):
        probe_image(encode(Image.new("L", (300, 300)), "JPEG"), max_megapixels=0.05)
