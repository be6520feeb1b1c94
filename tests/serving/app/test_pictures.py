"""What is sent is what was dropped, unless the service would refuse it; what is shown is small."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from serving.app.pictures import SENT_SIDE, fit_picture, lay_heat
from serving.app.visit import SHOWN_SIDE
from tests.serving.app.test_words import MODEL
from tests.serving.toy import RED, paint
from vision.base.errors import ImageError, ImageFormatError
from vision.config.data import Resize
from vision.data.images import decode_image
from vision.data.thumbnails import make_thumbnail


def photograph(width: int = 3000, height: int = 2000) -> bytes:
    """A noisy JPEG of several megabytes, bright at its right."""
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 200, (height, width, 3), dtype=np.uint8)
    picture[:, width // 2 :] += 55
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


def test_a_small_picture_is_sent_as_it_is() -> None:
    assert fit_picture(paint(RED), MODEL) == paint(RED)


@pytest.mark.parametrize("resize", [each for each in Resize if each is not Resize.AUTO])
def test_a_large_photograph_is_shrunk_to_what_the_model_would_have_seen(resize: Resize) -> None:
    content, model = photograph(), MODEL.model_copy(update={"resize": resize})
    assert len(content) > model.max_body_bytes
    sent = fit_picture(content, model)
    assert len(sent) < model.max_body_bytes / 2
    assert Image.open(io.BytesIO(sent)).size == (SENT_SIDE, SENT_SIDE)
    seen = [decode_image(each, size=128, resize=resize).astype(int) for each in (content, sent)]
    assert np.abs(seen[0] - seen[1]).mean() < 2.0


def test_too_many_pixels_are_shrunk_as_too_many_bytes_are() -> None:
    model = MODEL.model_copy(update={"max_megapixels": 1.0})
    large = paint(RED, "PNG", (2000, 1000))
    assert fit_picture(large, model) != large


@pytest.mark.parametrize("sides", [(3000, 100), (40, 900), (64, 64)])
def test_a_thumbnail_is_the_whole_picture_without_padding(sides: tuple[int, int]) -> None:
    shown = Image.open(io.BytesIO(make_thumbnail(paint(RED, "PNG", sides), SHOWN_SIDE)))
    assert max(shown.size) == min(SHOWN_SIDE, max(sides))
    assert shown.size[0] / shown.size[1] == pytest.approx(sides[0] / sides[1], rel=0.02)
    assert np.asarray(shown)[..., 0].min() > 200


def test_what_is_no_picture_is_refused() -> None:
    with pytest.raises(ImageFormatError):
        fit_picture(b"junk", MODEL)
    with pytest.raises(ImageError):
        make_thumbnail(photograph(300, 200)[:2000], SHOWN_SIDE)


def test_a_heat_map_is_laid_over_its_picture_as_strongly_as_asked() -> None:
    drawn = paint((55, 200, 0), "PNG", (32, 32))  # what the service drew over the red picture
    middles = [
        np.asarray(lay_heat(paint(RED, "PNG", (64, 64)), drawn, "stretch", strength))[16, 16].tolist()
        for strength in (0.0, 0.5, 1.0)
    ]
    assert middles == [[255, 0, 0], [155, 100, 0], [55, 200, 0]]
