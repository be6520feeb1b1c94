"""A student that learns from a teacher, against the same student trained plainly, in one table.

    python -m benchmarks.distillation --teacher efficientnet_lite0 --student cnn_residual [--seeds 3]

Teacher and student are candidates of a training run of this project: the teacher's outputs are those of the
run, the student is trained twice for each seed. Both are judged on the run's test images, which neither saw;
differences are paired and have intervals over groups. Figures of an image are means over the seeds.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

from orchestration.session.environment import import_quickly, prepare_environment
from orchestration.session.paths import ProjectPaths
from vision.base.outputs import ModelOutputs
from vision.base.record import FloatArray, ImageArray, Interval
from vision.base.softmax import nll_per_image
from vision.config.run import RunConfig
from vision.config.training import CandidateSettings
from vision.data.labelled import select
from vision.data.records import Split, Splits
from vision.data.store import open_images
from vision.evaluation.comparison import paired_difference
from vision.training.nets.fitting.fit import train_candidate
from vision.training.nets.inference import run_model

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    """Train, judge, print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--teacher", required=True)
    parser.add_argument("--student", required=True)
    parser.add_argument("--run", default="latest")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, help="of the student; default: as in the run")
    parser.add_argument("--temperature", type=float, default=2.0)
    parser.add_argument("--weight", type=float, default=0.5)
    options = parser.parse_args()
    prepare_environment(ProjectPaths.of(ROOT))
    with import_quickly():
        from materializers.names import ArtifactName
        from orchestration.flows.running.artifacts import RunArtifacts, find_newest_training, find_run
    run = RunArtifacts(find_newest_training() if options.run == "latest" else find_run(options.run))
    splits = run.load("validate", ArtifactName.SPLITS)
    images = open_images(run.load("ingest", ArtifactName.DATASET))
    teacher = run.load(f"infer_{options.teacher}", ArtifactName.OUTPUTS)
    plain = run.config.training.candidates[options.student]
    plain = plain.model_copy(update={"epochs": options.epochs or plain.epochs})
    distilled = plain.model_copy(
        update={
            "distil_from": options.teacher,
            "distil_temperature": options.temperature,
            "distil_weight": options.weight,
        }
    )
    ways = {"plain": (plain, None), f"from {options.teacher}": (distilled, teacher)}
    judged: dict[str, list[tuple[FloatArray, FloatArray]]] = {name: [] for name in ways}
    for seed in range(options.seeds):
        for name, (settings, its_teacher) in ways.items():
            started = time.perf_counter()
            judged[name].append(judge(settings, images, splits, seed, its_teacher))
            right = judged[name][-1][0].mean()
            print(
                f"seed {seed}, {name}: {right:.1%} right, {time.perf_counter() - started:.0f} s", flush=True
            )
    tell(options.student, judged, splits, run.config)


def judge(
    settings: CandidateSettings, images: ImageArray, splits: Splits, seed: int, teacher: ModelOutputs | None
) -> tuple[FloatArray, FloatArray]:
    """Whether each known test image is right, and its NLL, of a student that is trained here."""
    with tempfile.TemporaryDirectory() as folder:
        model, _, _ = train_candidate("student", settings, images, splits, seed, Path(folder), None, teacher)
        outputs = run_model(model, images, splits.rows(Split.TEST))
    known = select(outputs, splits, Split.TEST)
    right = (known.outputs.logits.argmax(axis=1) == known.labels).astype(np.float64)
    return right, nll_per_image(known.outputs.logits, known.labels, 1.0)


def tell(
    student: str, judged: dict[str, list[tuple[FloatArray, FloatArray]]], splits: Splits, config: RunConfig
) -> None:
    """Print accuracy and NLL of both ways, and the paired differences."""
    means = {name: np.mean(each, axis=0) for name, each in judged.items()}
    (_, plain), (_, taught) = means.items()
    groups = splits.group_array()[splits.rows(Split.TEST)]
    rng = np.random.default_rng(config.seed)
    print(
        f"\n{student}, {len(groups)} test images of {len(set(groups))} groups, {len(judged['plain'])} seeds"
    )
    for name, (right, loss) in means.items():
        print(f"  {name:>24}: accuracy {right.mean():.3f}, NLL {loss.mean():.3f}")
    gain = paired_difference(taught[0], plain[0], groups, config.bootstrap, rng)
    less = paired_difference(plain[1], taught[1], groups, config.bootstrap, rng)
    print(f"  gain: accuracy {_spread(gain)}, NLL {_spread(less)}")


def _spread(interval: Interval) -> str:
    return f"{interval.value:+.3f} ({interval.low:+.3f} to {interval.high:+.3f})"


if __name__ == "__main__":
    main()
