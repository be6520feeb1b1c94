"""A model as a folder of its own: graph with its labels, arrays and contract, and a program that asks it."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from report.take_away.templates import render_text
from vision.base.arrays import pack_arrays
from vision.base.files import digest_file, storage_errors, write_atomically
from vision.bundle.assembly import load_detector, verify_bundle
from vision.bundle.records import ONNX_NAME, Bundle, Contract, ExportedGraphs
from vision.decision.formulas import NUM_NEIGHBOURS
from vision.decision.records import DecisionRule, OodDetector
from vision.decision.scores import COMBINATIONS, OodScore, combine_parts, stack_parts
from vision.decision.strangers import measure_strangers

GRAPH, LABELS, CONTRACT, ARRAYS, PROGRAM = (
    "model.tflite",
    "labels.txt",
    "contract.json",
    "detector.npz",
    "predict.py",
)
_EPOCH = (1980, 1, 1, 0, 0, 0)


def write_model(bundle: Bundle, folder: Path, onnx: Path | None = None) -> Contract:
    """Write the model of a bundle, and the same network as ONNX if there is one, into `folder`; its contract.

    Raises:
        BundleError: the bundle is not, byte for byte, the one that was registered.
        StorageError: a file cannot be written.
    """
    contract = verify_bundle(bundle.root, bundle.digest)
    graph = bundle.root / ExportedGraphs.file_name(contract.precision)
    with storage_errors(graph, "read"):
        content = graph.read_bytes()
    detector = load_detector(bundle.root / Bundle.DETECTOR_NAME)
    labels = "".join(f"{name}\n" for name in contract.class_names)
    write_atomically(folder / GRAPH, add_labels(content, labels))
    write_atomically(folder / LABELS, labels)
    write_atomically(folder / ARRAYS, pack_arrays(list_needed(detector, contract.rule)))
    names = [GRAPH, LABELS, ARRAYS]
    if onnx is not None:
        with storage_errors(onnx, "read"):
            write_atomically(folder / ONNX_NAME, onnx.read_bytes())
        names.append(ONNX_NAME)
    program = write_program(
        contract.name, contract.rule, contract.resize, contract.crop_margin, onnx=onnx is not None
    )
    write_atomically(folder / PROGRAM, program)
    files = {name: digest_file(folder / name) for name in names}
    own = contract.model_copy(update={"files": files})
    write_atomically(folder / CONTRACT, f"{own.model_dump_json(indent=1)}\n")
    return own


def add_labels(graph: bytes, labels: str) -> bytes:
    """A TFLite graph with `labels.txt` in a zip behind it, where tools of TensorFlow Lite look for it."""
    buffer = io.BytesIO(graph)
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.writestr(zipfile.ZipInfo(LABELS, _EPOCH), labels)
    return buffer.getvalue()


def write_program(
    name: str, rule: DecisionRule, resize: str, crop_margin: float | None = None, *, onnx: bool = False
) -> str:
    """`predict.py`: the product's decisions of this rule, with numpy, Pillow and LiteRT alone.

    With `onnx`, ONNX Runtime and `model.onnx` where LiteRT is not installed.
    """
    score = OodScore(rule.unknown.score_name)
    combined = COMBINATIONS.get(score, ())
    return render_text(
        "predict.py.j2",
        name=name,
        score=score.value,
        parts={part.value for part in combined or (score,)},
        combined=[part.value for part in combined],
        rule=rule,
        resize=resize,
        crop_margin=crop_margin,
        onnx=onnx,
        num_neighbours=NUM_NEIGHBOURS,
    )


def list_needed(detector: OodDetector, rule: DecisionRule) -> dict[str, NDArray[Any]]:
    """The arrays that the deciding score and the stranger score of a rule read; the others stay behind."""
    arrays = detector.arrays
    asked = _Asked(arrays)
    score = OodScore(detector.score_name)
    logits = np.zeros((1, len(rule.class_names)))
    embeddings = np.zeros((1, len(arrays["embedding_mean"])))
    parts = stack_parts(asked, score, logits, embeddings)
    if score in COMBINATIONS:
        combine_parts(asked, score, parts)
    if rule.stranger is not None:
        measure_strangers(asked, np.zeros((1, len(arrays["stranger_centre"]))))
    return {name: arrays[name] for name in sorted(asked.names)}


class _Asked(dict[str, NDArray[Any]]):
    """Arrays that remember which of them were asked for."""

    def __init__(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        super().__init__(arrays)
        self.names: set[str] = set()

    def __getitem__(self, name: str) -> NDArray[Any]:
        self.names.add(name)
        return super().__getitem__(name)
