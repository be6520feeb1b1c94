"""From images to a gated, registered bundle."""

from typing import Any

from zenml import pipeline
from zenml.enums import ExecutionMode

from materializers.registry import Champion
from pipelines.caching import keyed
from pipelines.names import PipelineName
from steps.data.explore import explore
from steps.data.ingest import ingest
from steps.data.split import split
from steps.data.validate import validate
from steps.decision.calibrate import calibrate
from steps.decision.fit_unknowns import fit_unknowns
from steps.decision.set_thresholds import set_thresholds
from steps.evaluation.compare import compare
from steps.evaluation.evaluate import evaluate
from steps.evaluation.fit_baselines import fit_baselines
from steps.evaluation.infer_test import infer_test
from steps.evaluation.measure_gains import measure_gains
from steps.evaluation.pick_winner import pick_winner
from steps.export.assemble import assemble
from steps.export.check_precisions import check_precisions
from steps.export.export import export
from steps.export.infer_exported import infer_exported
from steps.export.infer_precisions import infer_precisions
from steps.export.require_precision import require_precision
from steps.gate.promote import promote
from steps.gate.register import register
from steps.training.infer import infer
from steps.training.infer_teacher import infer_teacher
from steps.training.train import train
from vision.config.run import RunConfig
from vision.config.training import CHAMPION, Strategy
from vision.data.records import Split

KERAS = "keras"
OUTPUTS = 3
"""Where a candidate's outputs stand in what `train_candidate` gives."""


@pipeline(name=PipelineName.TRAINING.value, execution_mode=ExecutionMode.FAIL_FAST)
def training(
    config: RunConfig, source_digest: str, data_folder: str, store_folder: str, champion: Champion | None
) -> None:
    """Ingest, split, train every candidate, compare, export the winner, judge it, register it."""
    seed, bootstrap = config.seed, config.bootstrap
    champion_bundle = champion.bundle() if champion else None
    champion_splits = champion.splits() if champion else None

    manifest, dataset, splits = split_images(config, source_digest, data_folder, store_folder, champion)
    keyed(explore)(manifest, dataset, splits, config.gate, config.review, bootstrap, seed, champion_splits)

    evaluations, models, fold_heads, outputs, held_outs, rules, detectors = train_candidates(
        config, champion, champion_bundle, dataset, splits
    )
    comparison = keyed(compare)(
        evaluations, models, held_outs, rules, splits, config.comparison, bootstrap, seed
    )
    winner, model, heads, *trained = keyed(pick_winner)(
        comparison, models, fold_heads, outputs, rules, detectors
    )
    graphs = keyed(export)(model, dataset, splits, config.export.graphs())
    measured = keyed(infer_precisions)(graphs, dataset, splits)
    precisions = keyed(check_precisions)(graphs, measured, *trained, splits, config.export, bootstrap, seed)
    served = keyed(require_precision)(precisions)
    exported = keyed(infer_exported)(graphs, served, dataset, splits)
    detector, held_out, rule = _fit_rule(config, exported, heads, splits, "exported")
    # The test split is read here for the first time: every network, threshold and rule stands by now.
    tested, far = keyed(infer_test)(
        *(graphs, served, dataset, splits),
        *(config.unknowns.num_far, config.unknowns.strangers, seed),
        after=["set_thresholds_exported"],
    )
    frozen = _first_frozen(config, outputs)
    baselines = keyed(fit_baselines)(dataset, splits, seed, frozen, after=["infer_test"])
    test = keyed(evaluate, "evaluate_test")(
        *(winner, tested, splits, Split.TEST, served, rule, detector, bootstrap, seed, far),
        dropouts=config.training.dropouts(),
    )
    if config.evaluation.tta:
        keyed(measure_gains)(
            *(graphs, served, dataset, splits, config.unknowns, rule, detector),
            *(models, rules, detectors, config.evaluation, bootstrap, seed),
            after=["infer_test"],
        )
    bundle = keyed(assemble)(
        *(config.name, manifest, dataset, model, graphs, served, rule, detector, exported, held_out),
        *(splits, config.export.similar_per_class, test, precisions),
    )
    promotion = keyed(promote)(
        *(bundle, tested, rule, detector, far, baselines, manifest, splits, config, store_folder),
        *(champion_bundle, champion.digest if champion else None, champion_splits),
    )
    keyed(register)(config.name, bundle, splits, promotion, manifest)


def train_candidates(
    config: RunConfig, champion: Champion | None, champion_bundle: Any, dataset: Any, splits: Any
) -> tuple[list[Any], ...]:
    """What `train_candidate` gives, a list of each over the candidates as the config orders them."""
    rows: dict[str, tuple[Any, ...]] = {}
    teachers: dict[str, Any] = {}
    if champion and any(each.distil_from == CHAMPION for each in config.training.candidates.values()):
        teachers[CHAMPION] = keyed(infer_teacher)(champion_bundle, champion.digest, dataset, splits)
    for name, candidate in config.training.in_order().items():
        teacher = teachers.get(candidate.distil_from or "")
        rows[name] = train_candidate(config, name, dataset, splits, teacher)
        teachers[name] = rows[name][OUTPUTS]
    return tuple(
        list(each) for each in zip(*(rows[name] for name in config.training.candidates), strict=True)
    )


def _first_frozen(config: RunConfig, outputs: list[Any]) -> Any:
    """Outputs of the first candidate whose backbone stays frozen; None if there is none."""
    candidates = config.training.candidates.values()
    pairs = zip(candidates, outputs, strict=True)
    return next((output for each, output in pairs if each.strategy is Strategy.FROZEN), None)


def split_images(
    config: RunConfig, source_digest: str, data_folder: str, store_folder: str, champion: Champion | None
) -> tuple[Any, Any, Any]:
    """Manifest, decoded images and checked splits of a data set, those of the champion kept."""
    manifest, dataset = keyed(ingest)(config.dataset, config.images, source_digest, data_folder, store_folder)
    proposed = keyed(split)(manifest, config.split, config.seed, champion.splits() if champion else None)
    return manifest, dataset, keyed(validate)(manifest, proposed, config.checks)


def train_candidate(config: RunConfig, name: str, dataset: Any, splits: Any, teacher: Any) -> tuple[Any, ...]:
    """Evaluation, model, fold heads, outputs, held-out answers, rule and detector of one candidate."""
    candidate, seed = config.training.candidates[name], config.seed
    model, heads, _ = keyed(train, f"train_{name}")(
        *(name, candidate, dataset, splits, seed, teacher), after=["explore"]
    )
    output = keyed(infer, f"infer_{name}")(model, dataset, splits)
    detector, held_out, rule = _fit_rule(config, output, heads, splits, name)
    evaluation = keyed(evaluate, f"evaluate_{name}")(
        *(name, output, splits, Split.VALIDATION, KERAS, rule, detector, config.bootstrap, seed),
        held_out=held_out,
        dropouts=config.training.dropouts(),
    )
    return evaluation, model, heads, output, held_out, rule, detector


def _fit_rule(config: RunConfig, outputs: Any, heads: Any, splits: Any, name: str) -> tuple[Any, Any, Any]:
    """Detector, held-out answers and rule of one network's outputs."""
    detector, held_out = keyed(fit_unknowns, f"fit_unknowns_{name}")(
        outputs, heads, splits, config.unknowns.score, config.seed
    )
    temperature = keyed(calibrate, f"calibrate_{name}")(held_out, config.bootstrap, config.seed)
    rule = keyed(set_thresholds, f"set_thresholds_{name}")(
        held_out, splits, temperature, config.unknowns.for_rule(), config.review
    )
    return detector, held_out, rule
