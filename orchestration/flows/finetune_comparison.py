"""One pretrained network of the configuration under each strategy: a table, a page, and what it took."""

from __future__ import annotations

from materializers.names import ArtifactName
from materializers.registry import find_champion
from orchestration.flows.running.artifacts import RunArtifacts, find_run
from orchestration.flows.running.runner import NO_VERDICT, Finished, FolderFlow, Outcome, Plan, Run
from orchestration.flows.training import find_source, resolve_candidates
from orchestration.session.paths import ProjectPaths
from pipelines.finetune_comparison import finetune_comparison
from pipelines.names import PipelineName
from report.pages.strategies import (
    StrategyRow,
    describe_strategies,
    gather_rows,
    name_by_strategy,
    write_strategies,
)
from vision.backbones import BACKBONES
from vision.base.errors import ConfigError
from vision.base.files import write_atomically
from vision.config.run import RunConfig
from vision.config.training import UNREAD, CandidateSettings, Strategy
from vision.evaluation.records import Comparison

NOT_COMPARED = ("distil_from", "distil_temperature", "distil_weight")
"""Settings that name another candidate, or belong to one that does."""

Compared = tuple[Comparison, tuple[StrategyRow, ...]]


class FinetuneComparisonFlow(FolderFlow[Compared | None]):
    """Train the first pretrained candidate under each strategy that it has."""

    name = PipelineName.FINETUNE_COMPARISON

    def prepare(self, run: Run) -> Plan:
        """The DAG of one candidate a strategy.

        Raises:
            ConfigError: no candidate has pretrained weights, or this machine lacks them.
            DataError: the source has no usable images.
        """
        machine = resolve_candidates(spread_strategies(run.config))
        config, champion = machine.config, find_champion(run.config.name)
        source = find_source(run, config)
        arguments = config, *source, champion
        return Plan(finetune_comparison, arguments, config, source[0], machine.left_out, machine.weights)

    def project(self, run_name: str, paths: ProjectPaths) -> Compared | None:
        """Write strategies.html and summary.json."""
        run = RunArtifacts(find_run(run_name))
        folder = paths.runs / run.name
        comparison = run.load("compare", ArtifactName.COMPARISON)
        if not isinstance(comparison, Comparison):
            write_atomically(folder / "summary.json", run.describe_failure())
            return None
        trained = tuple(run.load_each("train", ArtifactName.HISTORY).values())
        comparison, histories = name_by_strategy(comparison, trained)
        rows = gather_rows(comparison, histories)
        write_strategies(run.config.name, comparison, histories, rows, folder / "strategies.html")
        write_atomically(folder / "summary.json", comparison.model_dump_json(indent=1))
        return comparison, rows

    def tell(self, done: Finished[Compared | None]) -> Outcome:
        """The strategy that one would take, and the table."""
        if done.written is None:
            return done.run.outcome(1, NO_VERDICT)
        first, *others = describe_strategies(*done.written)
        return done.run.outcome(0, first, sentences=tuple(others))


FLOW = FinetuneComparisonFlow()


def spread_strategies(config: RunConfig) -> RunConfig:
    """The configuration with its first pretrained candidate under each strategy in place of its candidates.

    The candidate's own strategy keeps its name, so that its training is not done again.

    Raises:
        ConfigError: no candidate has pretrained weights.
    """
    candidates = config.training.candidates
    name = next((name for name, each in candidates.items() if each.weights != "none"), None)
    if name is None:
        raise ConfigError(
            "training.candidates has no pretrained network, so there is no part that could stay as it is. "
            "Expected one with weights: auto, for example backbone: efficientnet_lite0, strategy: frozen."
        )
    base = candidates[name]
    given = base.model_dump(exclude_unset=True, exclude={"strategy", *NOT_COMPARED})
    spread: dict[str, CandidateSettings] = {}
    for strategy in Strategy:
        if strategy is Strategy.PARTIAL and BACKBONES[base.backbone].cut is None:
            continue
        read = {key: value for key, value in given.items() if key not in UNREAD[strategy]}
        own = strategy is base.strategy and base.distil_from is None
        spread[name if own else f"{name[: 39 - len(strategy)]}_{strategy}"] = (
            base if own else CandidateSettings.model_validate({**read, "strategy": strategy})
        )
    training = config.training.model_copy(update={"candidates": spread})
    return config.model_copy(update={"training": training})
