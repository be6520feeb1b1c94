"""One picture, one array: training, predict, the service and predict.py see the same under every policy."""

from __future__ import annotations

import io
import json
import pathlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps

from report.take_away.model import write_program
from serving.api.answering.answers import Answerer, Question
from serving.api.problems import ProblemError
from serving.api.schemas import ServedModel
from serving.api.settings import ServiceSettings
from tests.serving.toy import make_bundle
from vision.base.errors import ImageError
from vision.base.record import ImageArray
from vision.bundle.assembly import LoadedBundle, load_bundle
from vision.bundle.pictures import decode_for, tell_misfit
from vision.config.data import ImageSettings, Resize
from vision.config.sources.tables import CsvSource
from vision.data.decoding.cutting import cut_out
from vision.data.records import Box
from vision.data.sources import read_source
from vision.data.store import build_store, open_images
from vision.prediction.boxes import Boxes
from vision.prediction.listing import open_items

pytestmark = pytest.mark.slow

MARGIN = 0.25
BOXES = {
    "perch.jpg": (30.0, 20.0, 150.0, 60.0),
    "turned.jpg": (-9.0, 40.0, 80.0, 200.0),
    "chub.png": (250.0, 90.0, 99.0, 9.0),
}
POLICIES = [Resize.PAD, Resize.CROP, Resize.STRETCH]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Three photographs with boxes, one of them stored on its side, each of a class of its own."""
    rng = np.random.default_rng(3)
    for name in BOXES:
        small = Image.fromarray(rng.integers(0, 256, (12, 30, 3), np.uint8))
        exif = Image.Exif()
        exif[0x0112] = 6 if name == "turned.jpg" else 1
        small.resize((300, 120), Image.Resampling.BICUBIC).save(tmp_path / name, exif=exif)
    rows = [f"{name},{name.split('.')[0]},{','.join(map(str, box))}" for name, box in BOXES.items()]
    path = tmp_path / "boxes.csv"
    path.write_text("\n".join(["file,species,x,y,width,height", *rows]))
    return path


def load(resize: Resize, crop_margin: float | None = MARGIN) -> LoadedBundle:
    bundle = load_bundle(make_bundle().root, make_bundle().digest)
    update = {"resize": str(resize), "crop_margin": crop_margin}
    return replace(bundle, contract=bundle.contract.model_copy(update=update))


class Watched(Answerer):
    """A service's answerer that keeps what its network saw."""

    def _run(self, images: ImageArray, views: int = 1) -> Any:
        self.seen = images[0]
        return super()._run(images, views)


def answerer_of(bundle: LoadedBundle) -> Watched:
    return Watched(bundle, ServedModel(name="toy", version="1", digest=bundle.digest), ServiceSettings())


def ask(raw: bytes, box: Box | None) -> Question:
    return Question(raw, "a.jpg", "team", box=box)


def taken_away(bundle: LoadedBundle) -> Any:
    """`read_picture` of the program beside a model."""
    contract = bundle.contract
    text = write_program("toy", contract.rule, contract.resize, contract.crop_margin)
    scope: dict[str, Any] = {
        "np": np,
        "io": io,
        "json": json,
        "pathlib": pathlib,
        "SIZE": contract.image_size,
    }
    scope |= {"Image": Image, "ImageCms": ImageCms, "ImageOps": ImageOps}
    scope["SRGB"] = ImageCms.createProfile("sRGB")
    scope["TURNS"] = {2: 0, 3: 3, 4: 1, 5: 5, 6: 4, 7: 6, 8: 2}
    exec(text[text.index("def read_picture") : text.index("\ndef answer")], scope)
    return scope["read_picture"]


@pytest.mark.parametrize("resize", POLICIES)
@pytest.mark.parametrize("use", ["frames", "boxes"])
def test_training_predict_service_and_program_see_one_array(table: Path, resize: Resize, use: Any) -> None:
    margin = MARGIN if use == "boxes" else None
    columns = ("x", "y", "width", "height")
    source = CsvSource(path=table, box_columns=columns, use=use, margin=MARGIN)
    bundle = load(resize, margin)
    manifest = read_source(source, table.parent / "data")
    assert manifest.crop_margin == margin
    settings = ImageSettings(size=bundle.contract.image_size, resize=resize)
    store = open_images(build_store(manifest, settings, table.parent / "stores"))
    taught = {entry.class_name: image for entry, image in zip(manifest.entries, store, strict=True)}
    with open_items([table], boxes=Boxes(margin)) as listing:
        asked = {item.path: decode_for(bundle.contract, item.read(), 99.0) for item in listing.items}
    answerer, read_picture = answerer_of(bundle), taken_away(bundle)
    assert list(taught) == sorted(taught)
    for name, box in BOXES.items():
        expected = taught[name.split(".")[0]]
        np.testing.assert_array_equal(asked[name], expected)
        answer = answerer.answer(ask((table.parent / name).read_bytes(), box if margin else None))
        assert answer.warning is None
        np.testing.assert_array_equal(answerer.seen, expected)
        program = read_picture(table.parent / name, *([box] if margin else []))
        np.testing.assert_array_equal(program[0], expected)


def test_shares_are_pixels_of_the_picture_as_it_is_seen(table: Path) -> None:
    raw = (table.parent / "turned.jpg").read_bytes()
    assert cut_out(raw, (12.0, 30.0, 60.0, 75.0), 0.1, 9.0) == cut_out(raw, (0.1, 0.1, 0.5, 0.25), 0.1, 9.0)


@pytest.mark.parametrize("box", [(500.0, 0.0, 9.0, 9.0), (9.0, 9.0, 0.0, 5.0), (float("nan"), 0.0, 9.0, 9.0)])
def test_a_box_that_holds_nothing_is_refused_everywhere(table: Path, box: Box) -> None:
    photo = table.parent / "perch.jpg"
    with pytest.raises(ImageError, match="outside the picture, or has no area"):
        cut_out(photo.read_bytes(), box, 0.1, 9.0)
    with pytest.raises(ProblemError) as caught:
        answerer_of(load(Resize.PAD)).answer(ask(photo.read_bytes(), box))
    assert caught.value.code == "box"
    with pytest.raises(ValueError, match="outside the picture"):
        taken_away(load(Resize.PAD))(photo, box)


def test_the_answer_says_where_a_box_is_missing_or_was_not_used(table: Path) -> None:
    raw = (table.parent / "perch.jpg").read_bytes()
    whole = answerer_of(load(Resize.PAD)).answer(ask(raw, None))
    assert "taught what boxes hold" in (whole.warning or "")
    boxed = answerer_of(load(Resize.PAD, None)).answer(ask(raw, (0.0, 0.0, 0.5, 0.5)))
    assert "whole pictures" in (boxed.warning or "")
    assert "2 of these 7" in tell_misfit(load(Resize.PAD).contract, 5, 7)
