"""Size and speed of every backbone as it is served: `python -m benchmarks.backbones`.

Random weights, which cost the same as trained ones; LiteRT, one thread, the precisions one after the other
in every round so that other load falls on all of them. Some ten minutes on two idle cores.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np

from vision.backbones import BACKBONES
from vision.base.outputs import ModelFile
from vision.bundle.engine import Engine
from vision.bundle.records import ExportedGraphs
from vision.bundle.speed import time_engines
from vision.config.export import GraphSettings, Precision
from vision.config.training import CandidateSettings

HEAD = """| backbone | parameters | fp16 file | fp32 | fp16 | int8 |
|---|---|---|---|---|---|"""
_SHOWN = [Precision.FP32, Precision.FP16, Precision.INT8]


def measure(name: str, size: int, rounds: int, precisions: set[Precision], folder: Path) -> str:
    """One row: parameters, megabytes of fp16, milliseconds an image in fp16 and the other precisions."""
    wanted = {Precision.FP16, *precisions} - {Precision(each) for each in BACKBONES[name].refused}
    pays = tuple(each for each in _SHOWN if each in wanted)
    file, graphs, times = time_backbone(name, size, rounds, pays, folder)
    shown = " | ".join(f"{times[each]:.0f} ms" if each in pays else "" for each in _SHOWN)
    megabytes = graphs.path(graphs.file_name(Precision.FP16)).stat().st_size / 1e6
    return f"| `{name}` | {file.num_parameters / 1e6:.1f} M | {megabytes:.1f} MB | {shown} |"


def time_backbone(
    name: str, size: int, rounds: int, pays: tuple[Precision, ...], folder: Path
) -> tuple[ModelFile, ExportedGraphs, dict[Precision, float]]:
    """A network of random weights, its graphs in these precisions, and milliseconds an image of each."""
    import keras

    from vision.training.nets.export import export_graphs
    from vision.training.nets.models import EMBEDDING, build_model

    weights = "none" if BACKBONES[name].weights is None else "auto"
    keras.utils.set_random_seed(1)
    model = build_model(CandidateSettings(backbone=name, weights=weights), 10, size)
    model.save(folder / ModelFile.FILE_NAME)
    file = ModelFile(
        root=folder,
        files={},
        candidate=name,
        backbone=name,
        num_parameters=model.count_params(),
        embedding_width=int(model.get_layer(EMBEDDING).output.shape[1]),
    )
    images = np.random.default_rng(0).integers(0, 256, (2, size, size, 3), dtype=np.uint8)
    graphs = export_graphs(file, images, np.arange(2), GraphSettings(precisions=pays), folder / "graphs")
    paths = {each: graphs.path(graphs.file_name(each)) for each in pays}
    times = time_engines({each: Engine(path) for each, path in paths.items()}, images, rounds)
    return file, graphs, times


def main() -> None:
    """Print the table of docs/training.md, row by row."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("names", nargs="*", default=list(BACKBONES), help="backbones; default all")
    parser.add_argument("--size", type=int, default=160, help="pixels")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--precisions", nargs="*", type=Precision, default=_SHOWN)
    arguments = parser.parse_args()
    precisions = set(arguments.precisions)
    print(HEAD)
    for name in arguments.names:
        with tempfile.TemporaryDirectory(prefix="taxon-backbones-") as folder:
            row = measure(name, arguments.size, arguments.rounds, precisions, Path(folder))
            print(row, flush=True)


if __name__ == "__main__":
    main()
