"""Real photographs: fine-tuned network against logistic regression, and held-out fish species.

    python -m benchmarks.real_photographs --output docs/results.md

Needs the shared real images (`../shared`, or TAXON_SHARED). Both sides of a comparison see the same training
images and are judged on the same test images. Over several splits each group's differences are averaged
first; then groups are resampled once. The frozen backbone is run once per data set, since its features do not
depend on the split. About half an hour on two idle cores.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.pages import page_path, write_page
from vision.base.outputs import ModelOutputs
from vision.base.record import FloatArray, ImageArray, Interval
from vision.base.softmax import nll_per_image
from vision.config.data import FolderSource
from vision.config.evaluation import BootstrapSettings
from vision.config.loading import load_config
from vision.config.run import RunConfig
from vision.config.training import CandidateSettings
from vision.data.labelled import Labelled, rows_of, select
from vision.data.records import Manifest, Split, Splits
from vision.data.sources import read_source
from vision.data.splits import assign_splits
from vision.data.store import build_store, open_images
from vision.decision.fitting import fit_detector
from vision.decision.scores import OodScore, score_unknown
from vision.evaluation.comparison import paired_difference_over_splits
from vision.evaluation.metrics import auroc
from vision.training.nets.batches import balance_weights
from vision.training.nets.fit import train_candidate
from vision.training.nets.heads import choose_head, fit_heads, head_logits
from vision.training.nets.inference import measure_rows, run_layers, run_model
from vision.training.nets.models import EMBEDDING, build_model
from vision.training.nets.seeding import seeded

ROOT = Path(__file__).resolve().parent.parent
GRID = (0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
BOOTSTRAP_SEED = 0
BOOTSTRAP = BootstrapSettings(resamples=10_000)


@dataclass(frozen=True)
class Prepared:
    """One data set, read and decoded."""

    config: RunConfig
    manifest: Manifest
    images: ImageArray
    frozen_features: FloatArray
    quality: FloatArray

    @property
    def tuned(self) -> CandidateSettings:
        """The candidate of the example config."""
        return next(iter(self.config.training.candidates.values()))


@dataclass(frozen=True)
class Versus:
    """One split: per test image, tuned network minus logistic regression."""

    groups: NDArray[np.str_]
    accuracy_difference: NDArray[np.float64]
    nll_difference: NDArray[np.float64]
    tuned_accuracy: float
    linear_accuracy: float
    seconds: float


@dataclass(frozen=True)
class Fold:
    """One held-out species on one split."""

    species: str
    scores: dict[str, float]


def prepare(config_name: str, work: Path, *, hold_out: bool) -> Prepared:
    """Read the data of an example config; without `hold_out`, all its classes are known."""
    config = load_config(ROOT / "configs" / "examples" / config_name)
    source = config.dataset
    assert isinstance(source, FolderSource)
    shared = Path(os.environ.get("TAXON_SHARED", ROOT.parent / "shared"))
    path = shared / "data" / source.path.name
    update: dict[str, Any] = {"path": path} if hold_out else {"path": path, "unknown_classes": ()}
    manifest = read_source(source.model_copy(update=update), work)
    store = build_store(manifest, config.images, work / "images")
    candidates = {
        name: settings.model_copy(
            update={"weights": str(shared / "data" / "keras_weights" / Path(settings.weights).name)}
        )
        for name, settings in config.training.candidates.items()
    }
    training = config.training.model_copy(update={"candidates": candidates})
    config, images = config.model_copy(update={"training": training}), open_images(store)
    features, quality = embed(next(iter(candidates.values())), len(manifest.class_names), images)
    return Prepared(config, manifest, images, features, quality)


def embed(settings: CandidateSettings, num_classes: int, images: ImageArray) -> tuple[FloatArray, FloatArray]:
    """Features (n, d) of the pretrained backbone before any training, and quality columns (n, q)."""
    rows = np.arange(len(images))
    with seeded(0):
        model = build_model(settings, num_classes, images.shape[1], Path(settings.weights))
        (features,) = run_layers(model, (EMBEDDING,), images, rows)
        del model
    return features, measure_rows(images, rows)


def run_frozen(data: Prepared, splits: Splits, seed: int) -> ModelOutputs:
    """What strategy `frozen` gives on everything: the fixed features and a head fitted on train."""
    rows, train = rows_of(splits, *Split), splits.rows(Split.TRAIN)
    labels, num_classes = splits.labels()[train], len(splits.class_names)
    trials = fit_heads(
        data.frozen_features[train],
        labels,
        splits.group_array()[train],
        balance_weights(labels, num_classes),
        num_classes,
        data.tuned.head_regularisation,
        seed,
    )
    head = trials[choose_head(trials)]
    return ModelOutputs(
        rows=rows,
        logits=head_logits(data.frozen_features[rows], head),
        embeddings=data.frozen_features[rows],
        quality=data.quality[rows],
        kernel=head.kernel,
        bias=head.bias,
    )


def run_candidate(
    data: Prepared, settings: CandidateSettings, splits: Splits, seed: int, work: Path
) -> ModelOutputs:
    """Train a candidate and run it on everything."""
    with tempfile.TemporaryDirectory(dir=work) as folder:
        model, _ = train_candidate("candidate", settings, data.images, splits, seed, Path(folder))
        return run_model(model, data.images, rows_of(splits, *Split))


def fit_linear(train: Labelled, validation: Labelled, test: Labelled) -> NDArray[np.float64]:
    """Log-probabilities (m, k) on test of logistic regression, its regularisation tuned on validation."""
    best, best_nll = None, np.inf
    for c in GRID:
        model = make_pipeline(StandardScaler(), LogisticRegression(C=c, max_iter=500))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(train.outputs.embeddings, train.labels)
        log_probs = model.predict_log_proba(validation.outputs.embeddings)
        loss = float(nll_per_image(log_probs, validation.labels).mean())
        if loss < best_nll:
            best, best_nll = model, loss
    assert best is not None
    return np.asarray(best.predict_log_proba(test.outputs.embeddings))


def versus(data: Prepared, seed: int, work: Path) -> Versus:
    """Tuned network against logistic regression on frozen features: one seed, one split."""
    started = time.monotonic()
    splits = assign_splits(data.manifest, data.config.split, seed, None)
    features = run_frozen(data, splits, seed)
    tuned = run_candidate(data, data.tuned, splits, seed, work)
    test = select(features, splits, Split.TEST)
    linear = fit_linear(
        select(features, splits, Split.TRAIN), select(features, splits, Split.VALIDATION), test
    )
    logits = select(tuned, splits, Split.TEST).outputs.logits
    own, other = logits.argmax(axis=1) == test.labels, linear.argmax(axis=1) == test.labels
    return Versus(
        groups=test.groups,
        accuracy_difference=own.astype(float) - other.astype(float),
        nll_difference=nll_per_image(linear, test.labels) - nll_per_image(logits, test.labels),
        tuned_accuracy=float(own.mean()),
        linear_accuracy=float(other.mean()),
        seconds=time.monotonic() - started,
    )


def hold_out_in_turn(data: Prepared, seeds: Sequence[int]) -> Iterator[Fold]:
    """Every species held out once per seed; frozen backbone."""
    names = (*data.manifest.class_names, *data.manifest.unknown_class_names)
    for species in sorted(names):
        manifest = hold_out_class(data.manifest, species)
        for seed in seeds:
            splits = assign_splits(manifest, data.config.split, seed, None)
            yield Fold(species, judge_fold(data, splits, seed))


def hold_out_class(manifest: Manifest, species: str) -> Manifest:
    """The manifest with one class held out and all others known."""
    known = tuple(name for name in sorted({e.class_name for e in manifest.entries}) if name != species)
    entries = tuple(
        entry.model_copy(update={"is_unknown": entry.class_name == species}) for entry in manifest.entries
    )
    return manifest.model_copy(
        update={"class_names": known, "unknown_class_names": (species,), "entries": entries}
    )


def judge_fold(data: Prepared, splits: Splits, seed: int) -> dict[str, float]:
    """AUROC of every score: known test images against all images of the held-out species."""
    outputs = run_frozen(data, splits, seed)
    train, validation = select(outputs, splits, Split.TRAIN), select(outputs, splits, Split.VALIDATION)
    detector = fit_detector(
        train.outputs, train.labels, train.groups, validation.outputs, OodScore.EWK.value, seed
    )
    known = select(outputs, splits, Split.TEST).outputs
    held_rows = np.flatnonzero((splits.labels() < 0) & np.array([s is not None for s in splits.splits]))
    held = outputs.take(held_rows)
    return {
        score.value: auroc(
            score_unknown(detector, known.logits, known.embeddings, known.quality, score),
            score_unknown(detector, held.logits, held.embeddings, held.quality, score),
        )
        for score in OodScore
    }


# --- writing --------------------------------------------------------------------------------------------


def render_versus(name: str, runs: Sequence[Versus]) -> list[str]:
    """One row of the table for each data set."""
    accuracy = _over_splits([(run.groups, run.accuracy_difference) for run in runs])
    loss = _over_splits([(run.groups, run.nll_difference) for run in runs])
    num_groups = len({group for run in runs for group in run.groups})
    return [
        f"| {name} | {len(runs)} | {num_groups} | {np.mean([r.tuned_accuracy for r in runs]):.3f} "
        f"| {np.mean([r.linear_accuracy for r in runs]):.3f} | {_signed(accuracy)} | {_signed(loss)} "
        f"| {_verdict(accuracy)} |"
    ]


def render_folds(folds: Sequence[Fold]) -> list[str]:
    """AUROC by species and score, with the paired difference of ewk to msp."""
    scores = [score.value for score in OodScore]
    species = sorted({fold.species for fold in folds})
    lines = ["| held-out species | " + " | ".join(scores) + " |", "|---|" + "---|" * len(scores)]
    means = {s: _mean_scores([f for f in folds if f.species == s], scores) for s in species}
    for name in species:
        lines.append(f"| {name} | " + " | ".join(f"{value:.3f}" for value in means[name]) + " |")
    overall = np.mean(list(means.values()), axis=0)
    lines.append("| **mean** | " + " | ".join(f"**{value:.3f}**" for value in overall) + " |")
    gains = np.array([means[s][scores.index("ewk")] - means[s][scores.index("msp")] for s in species])
    rng = np.random.default_rng(BOOTSTRAP_SEED)
    drawn = gains[rng.integers(0, len(gains), (10_000, len(gains)))].mean(axis=1)
    low, high = np.quantile(drawn, [0.025, 0.975])
    gain = Interval(value=float(gains.mean()), low=float(low), high=float(high))
    return [
        *lines,
        "",
        f"ewk minus maximum softmax: {_signed(gain)}; the {len(gains)} species resampled, their splits "
        f"averaged first. Better for {int((gains > 0).sum())} of {len(gains)} species.",
    ]


def _over_splits(parts: Sequence[tuple[NDArray[np.str_], NDArray[np.float64]]]) -> Interval:
    return paired_difference_over_splits(parts, BOOTSTRAP, np.random.default_rng(BOOTSTRAP_SEED))


def _mean_scores(folds: Sequence[Fold], scores: Sequence[str]) -> list[float]:
    return [float(np.mean([fold.scores[score] for fold in folds])) for score in scores]


def _signed(interval: Interval) -> str:
    return f"{interval.value:+.3f} ({interval.low:+.3f} to {interval.high:+.3f})"


def _verdict(interval: Interval) -> str:
    if interval.low > 0:
        return "better"
    return "worse" if interval.high < 0 else "not told apart"


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    parser.add_argument("--fold-seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--output", type=page_path, default=str(ROOT / "docs" / "results.md"))
    options = parser.parse_args()
    started = time.monotonic()
    lines = [
        "# Results on real photographs",
        "",
        "Produced by `python -m benchmarks.real_photographs`. Intervals are 95%, groups resampled.",
        "",
        "## Fine-tuned network against logistic regression on the same frozen features",
        "",
        "Both see the same training images, use the same validation images for tuning, and are judged on the "
        "same test images. Differences are tuned minus linear; positive favours the network.",
        "",
        "| data | splits | test groups | tuned accuracy | linear accuracy | accuracy difference "
        "| NLL improvement | accuracy verdict |",
        "|---|---|---|---|---|---|---|---|",
    ]
    with tempfile.TemporaryDirectory(prefix="photographs-") as folder:
        work = Path(folder)
        prepared = {name: prepare(f"{name}.yaml", work, hold_out=False) for name in ("fish", "spectacles")}
        for name, data in prepared.items():
            runs = []
            for seed in options.seeds:
                runs.append(versus(data, seed, work))
                print(
                    f"{name} seed {seed}: {runs[-1].tuned_accuracy:.3f} against "
                    f"{runs[-1].linear_accuracy:.3f}, {runs[-1].seconds:.0f} s",
                    flush=True,
                )
            lines += render_versus(name, runs)
        lines += ["", "## One fish species held out in turn", ""]
        lines += [f"Frozen backbone, {len(options.fold_seeds)} splits; AUROC, unknown positive.", ""]
        fish = prepared["fish"]
        folds = []
        for fold in hold_out_in_turn(fish, options.fold_seeds):
            folds.append(fold)
            print(f"{fold.species}: ewk {fold.scores['ewk']:.3f}, msp {fold.scores['msp']:.3f}", flush=True)
        lines += render_folds(folds)
    minutes = (time.monotonic() - started) / 60
    lines += ["", f"The whole took {minutes:.0f} minutes on {os.cpu_count()} CPU cores."]
    write_page(options.output, "\n".join(lines))
    print(f"Wrote {options.output}.")


if __name__ == "__main__":
    main()
