"""What the defaults give on real photographs, and how often promises are broken on images held back.

    python -m benchmarks.truth --sets fish faces reef --seeds 200
    python -m benchmarks.truth --species --seeds 5
    python -m benchmarks.truth --probe

With `--probe` the fitted head is compared with a plain linear probe (logistic regression, C = 1, standardised
features) on the same four folds, grouped, of all known images. With `--species` every fish species is held
out in turn, and the near unknowns are all images of it.
Every set is split anew for every seed, by groups, and a head is fitted on the features of a frozen backbone.
`split` is the rule of a fine-tuned candidate (train, validation and calibration apart), `cross` that of a
frozen one (every image outside test is held out once). A promise is `broken` on a test split where the share
on test lies above it, which test noise alone does too; it is `beyond` chance where its exact lower bound does
(95%, images of a group counted by their design effect). The strength of the head's regularisation is the one
that the first split chooses.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.stats import beta
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from vision.backbones.efficientnet_lite import find_weights
from vision.base.outputs import FoldHeads, ModelOutputs
from vision.base.record import FloatArray
from vision.base.resampling import design_effect
from vision.config.data import FolderSource, ImageSettings, ReefSource, SplitSettings
from vision.config.decision import ReviewSettings, UnknownSettings
from vision.config.evaluation import BootstrapSettings
from vision.config.training import CandidateSettings
from vision.data.labelled import rows_of, select
from vision.data.records import Manifest, Split, Splits
from vision.data.sources import read_source
from vision.data.splitting.splits import assign_splits
from vision.data.store import build_store, open_images
from vision.decision.calibration import fit_temperature
from vision.decision.cross_fitting import hold_out
from vision.decision.predictor import decide
from vision.decision.records import OodDetector
from vision.decision.scores import OodScore, score_unknown
from vision.decision.thresholds import fit_rule
from vision.evaluation.comparison import paired_difference
from vision.evaluation.metrics import auroc
from vision.training.nets.fitting.batches import balance_weights
from vision.training.nets.heads import HeadTrial, assign_folds, choose_head, fit_heads, head_logits
from vision.training.nets.inference import measure_rows, run_layers
from vision.training.nets.models import EMBEDDING, build_model
from vision.training.nets.seeding import seeded

SHARED = (
    Path(os.environ.get("TAXON_SHARED", Path(__file__).resolve().parent.parent.parent / "shared")) / "data"
)
STRENGTHS = CandidateSettings.model_fields["head_regularisation"].default
BOOTSTRAP = BootstrapSettings()
SPLIT = SplitSettings()

SETS: dict[str, FolderSource | ReefSource] = {
    "fish": FolderSource(
        path=SHARED / "fish_egu2017", group_by="^(?P<group>.+)_frame", unknown_classes=("burbot",)
    ),
    "faces": FolderSource(path=SHARED / "glasses_celeba_89x109"),
    "reef": ReefSource(),
}


@dataclass(frozen=True)
class Prepared:
    """One set, read and run through the frozen backbone: features (n, d) and quality columns (n, q)."""

    manifest: Manifest
    features: FloatArray
    quality: FloatArray

    def outputs(self, head: HeadTrial) -> ModelOutputs:
        """What a head says of all images."""
        rows = np.arange(len(self.features))
        logits = self.features @ head.kernel + head.bias
        return ModelOutputs(rows, logits, self.features, self.quality, head.kernel, head.bias)


@dataclass(frozen=True)
class Trial:
    """One way of fitting on one split, judged on test. Shares are of known test images; NaN where of none."""

    kind: str
    accuracy: float
    target: float
    accepted: float
    wrong: float
    wrong_beyond: bool
    alpha: float
    called: float
    called_beyond: bool
    near_found: float
    near_gain: float


def prepare(name: str, work: Path) -> Prepared:
    """A set, embedded by the backbone of `configs/folder.yaml` at 160 px; kept in `work` by name."""
    kept = work / f"{name}.npz"
    manifest = read_source(SETS[name], work / name)
    if not kept.is_file():
        store = build_store(manifest, ImageSettings(size=160), work / name / "store")
        images = open_images(store)
        weights = find_weights()
        settings = CandidateSettings(backbone="efficientnet_lite0", strategy="frozen", weights=str(weights))
        rows = np.arange(len(images))
        with seeded(0):
            model = build_model(settings, len(manifest.class_names), 160, weights)
            (features,) = run_layers(model, (EMBEDDING,), images, rows)
        np.savez(kept, features=features, quality=measure_rows(images, rows))
    arrays = np.load(kept)
    return Prepared(manifest, arrays["features"], arrays["quality"])


def fit_head(
    data: Prepared, splits: Splits, used: Sequence[Split], strengths: Sequence[float], seed: int
) -> tuple[HeadTrial, FoldHeads]:
    """A head on the features of some splits, and the heads of its folds."""
    rows = np.sort(np.concatenate([splits.rows(each) for each in used]))
    labels, num_classes = splits.labels()[rows], len(splits.class_names)
    folds = assign_folds(labels, splits.group_array()[rows], seed)
    weights = balance_weights(labels, num_classes)
    trials = fit_heads(data.features[rows], labels, folds, weights, num_classes, strengths)
    head = trials[choose_head(trials)]
    return head, FoldHeads(rows, folds, head.fold_kernels, head.fold_biases)


def try_once(data: Prepared, splits: Splits, kind: str, strengths: Sequence[float], seed: int) -> Trial:
    """Fit head, temperature, detector and rule in one way, and judge them on test."""
    used = (Split.TRAIN,) if kind == "split" else (Split.TRAIN, Split.VALIDATION, Split.CALIBRATION)
    head, folds = fit_head(data, splits, used, strengths, seed)
    outputs = data.outputs(head).at(rows_of(splits, *Split))
    unknowns, review = UnknownSettings(), ReviewSettings()
    heads = folds if kind == "cross" else FoldHeads.none()
    detector, held = hold_out(outputs, heads, splits, unknowns.score, seed)
    known = held.for_fitting()
    temperature = fit_temperature(
        known.logits, known.labels, known.groups, BOOTSTRAP, np.random.default_rng(seed)
    )
    rule = fit_rule(held, splits.class_names, temperature, unknowns, review)
    test = select(outputs, splits, Split.TEST)
    seen = decide(rule, detector, test.outputs.logits, test.outputs.embeddings)
    right = seen.classes == test.labels
    near = select(outputs, splits, Split.TEST, unknown=True)
    found, gain = _judge_near(detector, test.outputs, near.outputs, rule.unknown.value)
    accepted = seen.accepted
    return Trial(
        kind=kind,
        accuracy=float(right.mean()),
        target=rule.review.target_risk if rule.review.attainable else np.nan,
        accepted=float(accepted.mean()),
        wrong=float((~right[accepted]).mean()) if accepted.any() else np.nan,
        wrong_beyond=_beyond(~right[accepted], test.groups[accepted], rule.review.target_risk),
        alpha=rule.unknown.alpha if rule.unknown.attainable else np.nan,
        called=float(seen.called_unknown.mean()),
        called_beyond=_beyond(seen.called_unknown, test.groups, rule.unknown.alpha),
        near_found=found if rule.unknown.attainable else 0.0,
        near_gain=gain,
    )


def _judge_near(
    detector: OodDetector, known: ModelOutputs, near: ModelOutputs, threshold: float
) -> tuple[float, float]:
    """Share of held-out images above the threshold, and AUROC of the deciding score less that of MSP."""
    if not len(near.rows):
        return np.nan, np.nan
    areas = {}
    for name in (None, OodScore.MSP):
        of_known, of_near = (
            score_unknown(detector, each.logits, each.embeddings, name) for each in (known, near)
        )
        areas[name] = auroc(of_known, of_near)
        if name is None:
            found = float(np.mean(of_near > threshold))
    return found, areas[None] - areas[OodScore.MSP]


def _beyond(broken: np.ndarray, groups: np.ndarray, promised: float) -> bool:
    """Whether the exact 95% lower bound of a share, in effective images, lies above the promise."""
    if not len(broken) or not broken.any():
        return False
    effect = design_effect(broken, groups, fallback=0.0)
    size, errors = len(broken) / effect, broken.sum() / effect
    return bool(beta.ppf(0.05, errors, size - errors + 1) > promised)


def resplit(name: str, work: Path, seeds: Sequence[int], kinds: Sequence[str]) -> list[Trial]:
    """The ways of fitting on every split of one set."""
    data = prepare(name, work)
    strengths: Sequence[float] = STRENGTHS
    trials = []
    for seed in seeds:
        splits = assign_splits(data.manifest, SPLIT, seed, None)
        if strengths is STRENGTHS:
            head, _ = fit_head(data, splits, (Split.TRAIN, Split.VALIDATION), strengths, seed)
            strengths = (head.strength,)
        trials += [try_once(data, splits, kind, strengths, seed) for kind in kinds]
    return trials


def probe(name: str, work: Path) -> str:
    """A row of the table: accuracy of the fitted head and of a linear probe on the same four folds."""
    data = prepare(name, work)
    splits = assign_splits(data.manifest, SPLIT, 0, None)
    rows = rows_of(splits, *Split)
    rows = rows[splits.labels()[rows] >= 0]
    features, labels, groups = data.features[rows], splits.labels()[rows], splits.group_array()[rows]
    num_classes = len(splits.class_names)
    right = np.zeros((2, len(rows)))
    folds = StratifiedGroupKFold(4, shuffle=True, random_state=0)
    for train, test in folds.split(features, labels, groups):
        inner = assign_folds(labels[train], groups[train], 0)
        weights = balance_weights(labels[train], num_classes)
        trials = fit_heads(features[train], labels[train], inner, weights, num_classes, STRENGTHS)
        ours = head_logits(features[test], trials[choose_head(trials)]).argmax(axis=1)
        plain = make_pipeline(StandardScaler(), LogisticRegression(max_iter=5000))
        right[0, test] = ours == labels[test]
        right[1, test] = plain.fit(features[train], labels[train]).predict(features[test]) == labels[test]
    gain = paired_difference(right[0], right[1], groups, BOOTSTRAP, np.random.default_rng(0))
    low, value, high = (100 * each for each in (gain.low, gain.value, gain.high))
    return (
        f"| {name} | {len(rows)} | {100 * right[0].mean():.1f} | {100 * right[1].mean():.1f} "
        f"| {value:+.1f} ({low:+.1f} to {high:+.1f}) |"
    )


def hold_out_class(manifest: Manifest, species: str) -> Manifest:
    """The manifest with one class held out and all others known."""
    known = tuple(name for name in sorted({each.class_name for each in manifest.entries}) if name != species)
    entries = tuple(
        entry.model_copy(update={"is_unknown": entry.class_name == species}) for entry in manifest.entries
    )
    return manifest.model_copy(
        update={"class_names": known, "unknown_class_names": (species,), "entries": entries}
    )


def judge_species(work: Path, seeds: Sequence[int]) -> None:
    """Print what the unknown score gains on maximum softmax for every species held out, with an interval."""
    data = prepare("fish", work)
    gains = {}
    for species in sorted({each.class_name for each in data.manifest.entries}):
        own = Prepared(hold_out_class(data.manifest, species), data.features, data.quality)
        trials = [
            try_once(own, assign_splits(own.manifest, SPLIT, seed, None), "cross", STRENGTHS, seed)
            for seed in seeds
        ]
        gains[species] = np.array([trial.near_gain for trial in trials])
        found = np.mean([trial.near_found for trial in trials])
        print(f"| {species} | {100 * gains[species].mean():+.1f} | {100 * found:.0f} |", flush=True)
    means = np.array([values.mean() for values in gains.values()])
    rng = np.random.default_rng(0)
    drawn = rng.choice(means, (10_000, len(means))).mean(axis=1)
    low, high = 100 * np.quantile(drawn, [0.025, 0.975])
    print(f"| all (species resampled) | {100 * means.mean():+.1f} ({low:+.1f} to {high:+.1f}) | |")


def render(name: str, trials: Sequence[Trial]) -> list[str]:
    """A row of the table for each way of fitting."""
    rows = []
    for kind in dict.fromkeys(trial.kind for trial in trials):
        own = [trial for trial in trials if trial.kind == kind]
        targets = sorted({trial.target for trial in own if trial.target == trial.target})
        mix = ", ".join(f"{100 * t:.0f}%: {sum(x.target == t for x in own)}" for t in targets) or "none"

        def mean(field: str, own: Sequence[Trial] = own) -> str:
            values = np.array([getattr(trial, field) for trial in own], float)
            return f"{100 * np.nanmean(values):.1f}" if np.isfinite(values).any() else "-"

        broken_wrong = np.mean([trial.wrong > trial.target for trial in own])
        broken_called = np.mean([trial.called > trial.alpha for trial in own])
        rows.append(
            f"| {name} | {kind} | {len(own)} | {mean('accuracy')} | {mean('accepted')} "
            f"| {100 * np.mean([trial.accepted >= 0.3 for trial in own]):.0f} | {mix} | {mean('wrong')} "
            f"| {100 * broken_wrong:.0f} / {100 * np.mean([t.wrong_beyond for t in own]):.0f} "
            f"| {mean('alpha')} | {mean('called')} "
            f"| {100 * broken_called:.0f} / {100 * np.mean([t.called_beyond for t in own]):.0f} "
            f"| {mean('near_found')} | {mean('near_gain')} |"
        )
    return rows


HEADER = (
    "| set | fitted by | splits | accuracy % | known accepted % | splits with 30% accepted and more, % "
    "| promised (splits) | wrong among accepted % | promise broken / beyond, % of splits | alpha % "
    "| known called unknown % | promise broken / beyond, % of splits | near unknowns found % "
    "| AUROC above msp, points |",
    "|" + "---|" * 14,
)


def main() -> None:
    """Measure and print a table in Markdown."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=list(SETS))
    parser.add_argument("--seeds", type=int, default=200)
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "taxon-truth")
    parser.add_argument("--kinds", nargs="+", default=["split", "cross"], choices=["split", "cross"])
    parser.add_argument("--species", action="store_true")
    parser.add_argument("--probe", action="store_true")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    if options.species:
        print("| held out | AUROC above msp, points | found % |", "|---|---|---|", sep="\n")
        with threadpool_limits(1):
            judge_species(options.work, range(1000, 1000 + options.seeds))
        return
    if options.probe:
        print(
            "| set | known images | head % | linear probe % | difference, points |",
            "|" + "---|" * 5,
            sep="\n",
        )
        with threadpool_limits(1):
            for name in options.sets:
                print(probe(name, options.work), flush=True)
        return
    print(*HEADER, sep="\n", flush=True)
    with threadpool_limits(1):
        for name in options.sets:
            seeds = range(1000, 1000 + options.seeds)
            print(*render(name, resplit(name, options.work, seeds, options.kinds)), sep="\n", flush=True)


if __name__ == "__main__":
    main()
