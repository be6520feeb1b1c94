"""Seconds and memory of the monitoring command on 10,000 logged answers of a network of full width.

    python -m benchmarks.monitoring --output FILE.md

The champion is synthetic: 8 classes, embeddings of width 1,280 as MobileNetV2 has, 2,000 images of reference.
It is registered as a trained one would be, and the command runs as a user's, in a process of its own: once
with the default window and once with all 10,000 answers in one window. Say what else the machine was doing.
Without `--output` the table is printed alone. Cost: about 90 CPU seconds.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import yaml

from benchmarks.pages import page_path, write_page
from orchestration.session.environment import prepare_environment
from orchestration.session.paths import ProjectPaths
from serving.log.entries import LogEntry
from serving.log.prediction_log import PredictionLog
from vision.base.files import digest_file
from vision.base.record import FloatArray, Interval
from vision.bundle.assembly import write_bundle
from vision.bundle.head import HEAD_NAME
from vision.bundle.records import Bundle, Contract, ExportedGraphs
from vision.config.export import Precision
from vision.data.quality import QUALITY_COLUMNS
from vision.data.records import Manifest, Split, Splits
from vision.decision.records import (
    Decision,
    DecisionRule,
    OodDetector,
    ReviewThreshold,
    Temperature,
    UnknownThreshold,
)
from vision.drift.reference import DriftReference, round_embeddings

ROOT = Path(__file__).resolve().parent.parent
NAME = "bench"
CLASSES = tuple(f"class_{letter}" for letter in "abcdefgh")
WIDTH, FRAMES = 1_280, 4
REFERENCE_GROUPS, NUM_ANSWERS = 500, 10_000


@dataclass(frozen=True)
class Measured:
    """One run of the command."""

    window: int
    seconds: float
    peak_megabytes: float
    words: str


def draw(seed: int, num_groups: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Logits, embeddings and quality of frames of groups, which are alike within a group."""
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(num_groups), FRAMES)

    def alike(width: int) -> FloatArray:
        values: FloatArray = rng.normal(size=(num_groups, width))[groups]
        return (values + 0.3 * rng.normal(size=(len(groups), width))).astype(np.float32)

    labels = rng.integers(0, len(CLASSES), num_groups)[groups]
    logits = (6 * np.eye(len(CLASSES))[labels] + rng.normal(size=(len(groups), len(CLASSES)))).astype(
        np.float32
    )
    return logits, alike(WIDTH), alike(len(QUALITY_COLUMNS))


def make_bundle(folder: Path) -> Bundle:
    """A bundle whose reference, detector and rule are of full size; its graph is never run here."""
    graphs = folder / "graphs"
    graphs.mkdir(parents=True)
    names = (ExportedGraphs.file_name(Precision.FP16), HEAD_NAME)
    for name in names:
        (graphs / name).write_bytes(b"not run by monitoring")
    logits, embeddings, quality = draw(0, REFERENCE_GROUPS)
    reference = DriftReference(
        embeddings=round_embeddings(embeddings),
        quality=quality,
        logits=logits,
        called_unknown=np.zeros(len(logits), dtype=bool),
        groups=np.repeat(np.arange(REFERENCE_GROUPS), FRAMES),
        temperature=1.0,
        class_names=CLASSES,
        quality_columns=QUALITY_COLUMNS,
    )
    detector = OodDetector(
        "msp",
        {
            "fdbd_inverse_distances": np.zeros((len(CLASSES), len(CLASSES))),
            "embedding_mean": np.zeros(WIDTH),
        },
    )
    exported = ExportedGraphs(
        root=graphs,
        files={name: digest_file(graphs / name) for name in names},
        candidate="bench",
        image_size=96,
        num_parameters=1,
    )
    return write_bundle(folder / "bundle", exported, detector, reference, _make_contract())


def prepare(folder: Path) -> None:
    """Register the champion and fill its log; run in a process of its own, with TAXON_STATE set."""
    paths = ProjectPaths.of(ROOT)
    prepare_environment(paths)
    from zenml import save_artifact

    from materializers import FilesMaterializer, RecordMaterializer
    from materializers.names import ArtifactName
    from materializers.registry import register_champion

    bundle = make_bundle(folder / "made")
    splits = Splits(
        class_names=CLASSES,
        digests=("d",),
        groups=("g",),
        image_classes=CLASSES[:1],
        splits=(Split.TRAIN,),
    )
    manifest = Manifest(
        root=folder,
        source_digest="s",
        class_names=CLASSES,
        unknown_class_names=(),
        entries=(),
        quarantined=(),
    )
    register_champion(
        NAME,
        bundle.digest,
        save_artifact(bundle, ArtifactName.BUNDLE.value, materializer=FilesMaterializer),
        save_artifact(splits, ArtifactName.SPLITS.value, materializer=RecordMaterializer),
        save_artifact(manifest, ArtifactName.MANIFEST.value, materializer=RecordMaterializer),
        run_id=None,
    )
    fill_log(f"sqlite:///{paths.state / 'predictions.sqlite'}", bundle.digest)


def fill_log(url: str, digest: str) -> None:
    """10,000 answers of the champion, a second apart, one group for every four."""
    logits, embeddings, quality = draw(1, NUM_ANSWERS // FRAMES)
    start = datetime.now(UTC) - timedelta(seconds=NUM_ANSWERS)
    with closing(PredictionLog(url)) as log:
        for i in range(NUM_ANSWERS):
            log.append(
                LogEntry(
                    prediction_id=f"bench-{i}",
                    time=start + timedelta(seconds=i),
                    client="bench",
                    file_name=f"{i}.jpg",
                    latency_ms=10.0,
                    model_name=NAME,
                    model_version="1",
                    model_digest=digest,
                    group=f"group-{i // FRAMES}",
                    decision=Decision.ACCEPT,
                    class_name=CLASSES[int(logits[i].argmax())],
                    confidence=0.99,
                    unknown_score=0.01,
                    p_value=0.5,
                    logits=logits[i],
                    embedding=embeddings[i],
                    quality=quality[i],
                )
            )


def measure(folder: Path, config: Path, window: int) -> Measured:
    """The command on the filled log: wall seconds, peak resident memory, what it said."""
    command = [sys.executable, "run.py", "--pipeline", "monitoring", "--config", str(config)]
    command += ["--set", f"monitoring.window={window}"]
    log = folder / "output.txt"
    started = time.monotonic()
    with log.open("w") as sink:
        process = subprocess.Popen(command, cwd=ROOT, env=_environment(folder), stdout=sink, stderr=sink)
        _, status, usage = os.wait4(process.pid, 0)
    seconds = time.monotonic() - started
    words = log.read_text(encoding="utf-8")
    if os.waitstatus_to_exitcode(status) != 0:
        raise SystemExit(f"{' '.join(command)} failed:\n{words[-4000:]}")
    told = [line for line in words.splitlines() if line.startswith(("Quiet", "Drift", "Covariate", "Too"))]
    return Measured(window, seconds, usage.ru_maxrss / 1024, told[0] if told else "")


def main() -> None:
    """Prepare one project for each window, so that no run finds its answers judged already."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--prepare", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--output", type=page_path, help="Markdown; default: printed alone")
    options = parser.parse_args()
    if options.prepare:
        prepare(options.prepare)
        return
    lines = [
        f"{NUM_ANSWERS} logged answers, embeddings of width {WIDTH}, load {os.getloadavg()[0]:.1f}",
        "",
        "| window | seconds | peak memory | verdict |",
        "|---|---|---|---|",
    ]
    print("\n".join(lines))
    for window in (200, NUM_ANSWERS):
        with tempfile.TemporaryDirectory(prefix="bench-") as name:
            folder = Path(name)
            command = [sys.executable, "-m", "benchmarks.monitoring", "--prepare", str(folder)]
            subprocess.run(command, cwd=ROOT, env=_environment(folder), check=True)
            config = folder / "bench.yaml"
            config.write_text(yaml.safe_dump(_make_config(folder)), encoding="utf-8")
            each = measure(folder, config, window)
        lines.append(f"| {each.window} | {each.seconds:.1f} | {each.peak_megabytes:.0f} MB | {each.words} |")
        print(lines[-1], flush=True)
    if options.output:
        write_page(options.output, "\n".join(lines))


def _environment(folder: Path) -> dict[str, str]:
    return os.environ | {"TAXON_STATE": str(folder), "NO_COLOR": "1"}


def _make_config(folder: Path) -> dict[str, object]:
    """Monitoring reads neither data set nor candidates, but a configuration names them."""
    return {
        "name": NAME,
        "dataset": {"source": "folder", "path": str(folder)},
        "training": {"candidates": {"cnn": {"backbone": "cnn"}}},
    }


def _make_contract() -> Contract:
    nothing = Interval(value=0.0, low=0.0, high=0.0)
    evidence = {"num_images": 2_000, "num_groups": REFERENCE_GROUPS}
    rule = DecisionRule(
        class_names=CLASSES,
        temperature=Temperature(
            value=1.0,
            applied=False,
            fitted_value=1.0,
            nll_before=0.1,
            nll_after=0.1,
            gain=nothing,
            **evidence,
        ),
        unknown=UnknownThreshold(
            score_name="msp",
            value=0.9,
            attainable=True,
            alpha=0.05,
            delta=0.05,
            design_effect=1.0,
            effective_size=500.0,
            num_allowed=10,
            attainable_alpha=0.05,
            calibration_scores=(0.1, 0.2),
            **evidence,
        ),
        review=ReviewThreshold(
            value=0.5,
            attainable=True,
            target_risk=0.02,
            delta=0.1,
            coverage=0.9,
            risk=0.0,
            risk_bound=0.02,
            design_effect=1.0,
            **evidence,
        ),
    )
    return Contract(
        name=NAME,
        candidate="bench",
        backbone="none",
        class_names=CLASSES,
        unknown_class_names=(),
        image_size=96,
        resize="pad",
        precision=Precision.FP16,
        rule=rule,
        score_name="msp",
        quality_columns=QUALITY_COLUMNS,
        files={},
        data_digest="0" * 64,
        versions={},
    )


if __name__ == "__main__":
    main()
