"""The program beside a model that is taken away decides as the product does, on the same bytes."""

from __future__ import annotations

import importlib.util
import os
import runpy
import subprocess
import sys
import venv
import zipfile
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from report.take_away.model import (
    ARRAYS,
    CONTRACT,
    GRAPH,
    LABELS,
    PROGRAM,
    list_needed,
    write_model,
    write_program,
)
from tests.vision.bundle.test_assembly import make_contract, make_tiny_reference
from tests.vision.decision.test_predictor import make_rule
from tests.vision.decision.test_scores import make_detector, make_inputs
from tests.vision.training.nets.toy import (
    KERAS_WARNINGS,
    NAMES,
    SIZE,
    export_tiny,
    export_tiny_onnx,
    make_images,
)
from vision.base.errors import BundleError
from vision.bundle.assembly import load_bundle, write_bundle
from vision.bundle.engine import Engine, run_engine
from vision.bundle.records import ONNX_NAME, Bundle
from vision.config.data import Resize
from vision.config.export import Precision
from vision.data.images import decode_image
from vision.data.records import Split
from vision.decision.fitting import fit_detector
from vision.decision.predictor import Predictor
from vision.decision.records import DecisionRule, OodDetector, WeakClass
from vision.decision.scores import OodScore, score_unknown
from vision.decision.strangers import measure_strangers

MOST_LINES = 92
PACKAGES = ("numpy", "pillow", "ai-edge-litert")

slow = [pytest.mark.slow, KERAS_WARNINGS]


def rule_of(score: OodScore, **values: Any) -> DecisionRule:
    rule = make_rule(**values)
    return rule.model_copy(update={"unknown": rule.unknown.model_copy(update={"score_name": score.value})})


@pytest.mark.parametrize("score", OodScore)
def test_every_score_is_the_products_on_the_arrays_that_come_along(score: OodScore) -> None:
    detector, (logits, embeddings) = make_detector(score), make_inputs(20)
    rule = rule_of(score)
    text = write_program("toy", rule, "pad")
    formula = text[text.index("def measure_unknown") : text.index("\nif __name__")]
    scope: dict[str, Any] = {"np": np, "ARRAYS": list_needed(detector, rule)}
    exec(formula, scope)
    own = [scope["measure_unknown"](z.astype(float), f) for z, f in zip(logits, embeddings, strict=True)]
    np.testing.assert_allclose(own, score_unknown(detector, logits, embeddings), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("score", OodScore)
@pytest.mark.parametrize("resize", [each for each in Resize if each is not Resize.AUTO])
@pytest.mark.parametrize("attainable", [(True, True), (False, False)])
def test_the_program_is_short_and_leaves_the_arrays_of_other_scores_behind(
    score: OodScore, resize: Resize, attainable: tuple[bool, bool]
) -> None:
    rule = rule_of(score, attainable=attainable)
    rule = rule.model_copy(update={"stranger": rule.unknown})
    text = write_program("toy", rule, resize)
    assert len(text.splitlines()) <= MOST_LINES
    compile(text, PROGRAM, "exec")
    for package in ("vision", "tensorflow", "keras", "sklearn"):
        assert f"import {package}" not in text
    plain = list_needed(make_detector(score), rule_of(score))
    assert ("bank" in plain) == (score in (OodScore.KNN, OodScore.EWK, OodScore.FWK))


# --- with a graph ---------------------------------------------------------------------------------------


@cache
def fitted() -> tuple[OodDetector, DecisionRule]:
    """A detector of the tiny network, and a rule that gives all three answers on its images."""
    images, splits = make_images()
    engine = Engine.of(export_tiny(), Precision.FP16)
    train, validation = (
        run_engine(engine, images, splits.rows(split)) for split in (Split.TRAIN, Split.VALIDATION)
    )
    rows = train.rows
    detector = fit_detector(
        train, splits.labels()[rows], splits.group_array()[rows], validation, OodScore.EWK, 3
    )
    scores = score_unknown(detector, validation.logits, validation.embeddings)
    assert validation.early is not None
    strangers = measure_strangers(detector.arrays, validation.early)
    rule = rule_of(
        OodScore.EWK, names=NAMES, unknown=float(np.quantile(scores, 0.8)), review=0.9, temperature=1.7
    )
    limit = rule.unknown.model_copy(update={"value": float(np.quantile(strangers, 0.95))})
    return detector, rule.model_copy(update={"stranger": limit})


def write(folder: Path, resize: Resize = Resize.PAD, onnx: Path | None = None) -> tuple[Path, Predictor]:
    """A model that is taken away, and the product's own predictor of it."""
    detector, rule = fitted()
    contract = make_contract().model_copy(
        update={
            "rule": rule,
            "score_name": detector.score_name,
            "resize": resize.value,
            "weak_classes": (WeakClass(class_name=NAMES[0], num_right=1, num_images=9),),
        }
    )
    bundle = write_bundle(folder / "bundle", export_tiny(), detector, make_tiny_reference(), contract)
    write_model(bundle, folder / "model", onnx)
    return folder / "model", load_bundle(bundle.root, bundle.digest).predictor()


def load_program(folder: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("predict_of_a_model", folder / PROGRAM)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def save_pictures(folder: Path, number: int) -> list[Path]:
    """Pictures of all common kinds: turned, grey, transparent, CMYK, with a palette, with a profile."""
    folder.mkdir()
    images, _ = make_images()
    rng = np.random.default_rng(8)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    paths = []
    for index in range(number):
        sides = int(rng.integers(20, 260)), int(rng.integers(20, 260))
        picture = Image.fromarray(images[index % len(images)]).resize(sides)
        kind = ("plain", "turned", "L", "LA", "CMYK", "P", "RGBA", "profile")[index % 8]
        ending = ".jpg"
        options: dict[str, Any] = {}
        if kind == "turned":
            exif = Image.Exif()
            exif[0x0112] = 1 + index // 8 % 8
            options["exif"] = exif
        elif kind == "profile":
            ending, options["icc_profile"] = ".png", profile
        elif kind != "plain":
            ending = ".jpg" if kind in ("L", "CMYK") else ".png"
            picture = picture.convert(kind)
            if kind in ("LA", "RGBA"):
                picture.putalpha(Image.linear_gradient("L").resize(sides))
        path = folder / f"{index:03d}_{kind}{ending}"
        picture.save(path, **options)
        paths.append(path)
    return paths


def ask(predictor: Predictor, path: Path, resize: Resize) -> tuple[str, str, float, float]:
    image = decode_image(path.read_bytes(), size=SIZE, resize=resize)
    given = predictor.predict(image[None])[0]
    return given.decision.value, given.class_name, given.confidence, given.unknown_score


def agree(own: tuple[Any, ...], product: tuple[Any, ...]) -> bool:
    return own[:2] == product[:2] and bool(np.allclose(own[2:], product[2:], rtol=1e-4, atol=1e-5))


class TestWithGraph:
    pytestmark = slow

    @pytest.mark.parametrize("resize", [each for each in Resize if each is not Resize.AUTO])
    def test_the_program_answers_as_the_product_whatever_the_picture(
        self, tmp_path: Path, resize: Resize
    ) -> None:
        folder, predictor = write(tmp_path, resize)
        program = load_program(folder)
        decisions = set()
        for path in save_pictures(tmp_path / "pictures", 80):
            product = ask(predictor, path, resize)
            assert agree(tuple(program.answer(path).values()), product), path.name
            decisions.add(product[0])
        assert decisions == {"accept", "review", "unknown"}

    def test_the_graph_carries_its_labels_and_still_runs(self, tmp_path: Path) -> None:
        folder, _ = write(tmp_path)
        images, _ = make_images()
        with zipfile.ZipFile(folder / GRAPH) as archive:
            assert archive.read(LABELS).decode().split() == list(NAMES)
        assert (folder / LABELS).read_text().split() == list(NAMES)
        np.testing.assert_array_equal(
            Engine(folder / GRAPH).forward(images[:3]).logits,
            Engine.of(export_tiny(), Precision.FP16).forward(images[:3]).logits,
        )
        assert {path.name for path in folder.iterdir()} == {GRAPH, LABELS, CONTRACT, ARRAYS, PROGRAM}

    def test_a_pipe_is_no_picture_and_a_damaged_part_ends_the_program(self, tmp_path: Path) -> None:
        folder, _ = write(tmp_path)
        os.mkfifo(tmp_path / "pipe.jpg")
        with pytest.raises(ValueError, match=r"is no file; expected pictures, as in FOLDER/\*\.jpg"):
            load_program(folder).answer(tmp_path / "pipe.jpg")
        graph = (folder / GRAPH).read_bytes()
        (folder / GRAPH).write_bytes(graph[:-9])
        with pytest.raises(SystemExit, match=r"model\.tflite is damaged"):
            load_program(folder)

    def test_it_says_which_class_was_mostly_missed_where_it_names_that(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        folder, _ = write(tmp_path)
        pictures = [str(each) for each in save_pictures(tmp_path / "pictures", 30)]
        for given, code in ((pictures[:1], 0), ([str(tmp_path), *pictures], 1)):
            monkeypatch.setattr("sys.argv", [PROGRAM, *given])
            with pytest.raises(SystemExit) as ended:
                runpy.run_path(str(folder / PROGRAM), run_name="__main__")
            assert ended.value.code == code
        told = capsys.readouterr()
        rows = [line.split("\t") for line in told.out.splitlines()]
        number = sum(row[1] != "unknown" and row[2] == NAMES[0] for row in rows)
        assert all(row[2].startswith("nearest ") == (row[1] == "unknown") for row in rows if len(row) > 3)
        assert number
        assert f"Do not rely on {NAMES[0]} (1 of 9 right on test): {number} of" in told.err

    def test_without_litert_the_program_asks_the_onnx_graph(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        folder, predictor = write(tmp_path, onnx=export_tiny_onnx().path(ONNX_NAME))
        monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
        program = load_program(folder)
        for path in save_pictures(tmp_path / "pictures", 16):
            _, named, *figures = ask(predictor, path, Resize.PAD)
            own = tuple(program.answer(path).values())
            assert own[1] == named
            np.testing.assert_allclose(own[2:], figures, atol=0.05)  # fp16 is what is served

    def test_an_altered_bundle_is_not_taken_away(self, tmp_path: Path) -> None:
        write(tmp_path)
        root = tmp_path / "bundle"
        bundle = Bundle(root=root, files={"contract.json": "0" * 64}, name="toy")
        with pytest.raises(BundleError):
            write_model(bundle, tmp_path / "again")

    @pytest.mark.long
    def test_three_packages_are_enough_for_the_products_decisions_on_200_pictures(
        self, tmp_path: Path
    ) -> None:
        folder, predictor = write(tmp_path)
        pictures = save_pictures(tmp_path / "pictures", 200)
        venv.create(tmp_path / "venv", with_pip=True)
        python = tmp_path / "venv" / "bin" / "python"
        subprocess.run([python, "-m", "pip", "install", "-q", *PACKAGES], check=True)
        done = subprocess.run(
            [python, folder / PROGRAM, *pictures], check=True, capture_output=True, text=True
        )
        lines = [line.split("\t") for line in done.stdout.splitlines()]
        assert len(lines) == 200
        for path, (name, decision, named, *figures) in zip(pictures, lines, strict=True):
            assert name == str(path)
            assert named.startswith("nearest ") == (decision == "unknown"), path.name
            own = (decision, named.removeprefix("nearest "), *map(float, figures))
            assert agree(own, ask(predictor, path, Resize.PAD)), path.name
