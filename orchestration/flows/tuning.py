"""Tuning: trials of settings for one candidate, their page, and a config with the best of them."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import yaml

from materializers.names import ArtifactName
from materializers.registry import Champion, find_champion
from orchestration.flows.running.artifacts import RunArtifacts, find_run
from orchestration.flows.running.runner import NO_VERDICT, Finished, FolderFlow, Outcome, Plan, Run
from orchestration.flows.training import find_source, resolve_candidates
from orchestration.session.paths import ProjectPaths
from pipelines.names import PipelineName
from pipelines.tuning import tuning
from report.pages.tuning import describe_tuning, write_tuning
from vision.base.errors import ConfigError
from vision.base.files import write_atomically
from vision.config.run import RunConfig
from vision.config.training import CandidateSettings, Strategy
from vision.training.records import TuningRecord
from vision.training.trials import apply_trial
from vision.training.weights import IMAGENET, default_cache_folder

STUDIES = "tuning"
"""Folder of `state` with the study of every search."""


@dataclass(frozen=True)
class Tuned:
    """A search, and the config that was written from it; None where nothing was better."""

    record: TuningRecord
    config: Path | None


class TuningFlow(FolderFlow[Tuned | None]):
    """Search the settings of one candidate of the configuration."""

    name = PipelineName.TUNING

    def prepare(self, run: Run) -> Plan:
        """The DAG, with the study that an equal search may have left.

        Raises:
            ConfigError: there is no such candidate, or it cannot be trained on this machine.
            DataError: the source has no usable images.
        """
        name = choose_candidate(run.config)
        chosen = run.config.training.model_copy(
            update={"candidates": {name: run.config.training.candidates[name]}}
        )
        machine = resolve_candidates(run.config.model_copy(update={"training": chosen}))
        config, champion = machine.config, find_champion(run.config.name)
        source = find_source(run, config)
        study = run.paths.relative(
            run.paths.state / STUDIES / f"{digest_search(config, source[0], champion)}.db"
        )
        return Plan(tuning, (config, name, *source, study, champion), config, source[0], (), machine.weights)

    def project(self, run_name: str, paths: ProjectPaths) -> Tuned | None:
        """Write tuning.html, summary.json and, where a trial was better, `NAME-tuned.yaml`."""
        run = RunArtifacts(find_run(run_name))
        folder = paths.runs / run.name
        record = run.load("tune", ArtifactName.TUNING)
        if not isinstance(record, TuningRecord):
            write_atomically(folder / "summary.json", run.describe_failure())
            return None
        config = run.config
        written = None
        if record.best.number >= 0:
            written = folder / f"{config.name}-tuned.yaml"
            write_atomically(written, draft_tuned(config, record, written))
        command = None if written is None else command_of(written)
        write_tuning(config.name, record, command, folder / "tuning.html")
        write_atomically(folder / "summary.json", record.model_dump_json(indent=1))
        return Tuned(record, written)

    def tell(self, done: Finished[Tuned | None]) -> Outcome:
        """What the best settings reached, and where they stand."""
        if done.written is None:
            return done.run.outcome(1, NO_VERDICT)
        first, *others = describe_tuning(done.written.record)
        config = done.written.config
        if config is not None:
            others.append(f"Train with it: {command_of(config)}")
        return done.run.outcome(0, first, sentences=tuple(others))


FLOW = TuningFlow()


def choose_candidate(config: RunConfig) -> str:
    """The candidate whose settings are searched.

    Raises:
        ConfigError: there is none of that name, or nothing of the only one is varied.
    """
    candidates, wanted = config.training.candidates, config.tuning.candidate
    if wanted is not None and wanted not in candidates:
        raise ConfigError(
            f"tuning.candidate is {wanted}. Expected one of {', '.join(candidates)}, the names under "
            "training.candidates."
        )
    trained = [name for name, each in candidates.items() if each.strategy is not Strategy.FROZEN]
    name = wanted or next(iter(trained or candidates))
    if candidates[name].distil_from is not None:
        raise ConfigError(
            f"Candidate {name} learns from a teacher ({candidates[name].distil_from}), which a search does "
            "not run. Expected a candidate without distil_from: --set tuning.candidate=NAME"
        )
    strategies = config.tuning.space.strategies or (candidates[name].strategy,)
    if set(strategies) == {Strategy.FROZEN}:
        raise ConfigError(
            f"Candidate {name} trains the head of a frozen network alone, whose only setting (how strongly "
            "it is regularised) every training finds by itself. Expected strategies that train by epochs: "
            "--set 'tuning.space.strategies=[frozen, two_phase]'"
        )
    return name


def digest_search(config: RunConfig, source_digest: str, champion: Champion | None) -> str:
    """Name of a study: the same for a longer search of the same settings over the same images and splits."""
    parts = (config.dataset, config.training, config.tuning.space, config.images, config.split, config.checks)
    kept_splits = champion.digest if champion else ""
    told = [source_digest, kept_splits, str(config.seed), *(each.model_dump_json() for each in parts)]
    return sha256("\0".join(told).encode()).hexdigest()[:16]


def draft_tuned(config: RunConfig, record: TuningRecord, path: Path) -> str:
    """The configuration with the best settings as a further candidate beside those that were configured."""
    base = config.training.candidates[record.candidate]
    best = apply_trial(base, record.best)
    tuned = f"{record.candidate[:34]}_tuned"
    candidates = {record.candidate: _dump(base), tuned: _dump(best)}
    tree = config.model_dump(mode="json", exclude_defaults=True, exclude={"training", "tuning"})
    tree["dataset"] = {"source": config.dataset.source, **tree["dataset"]}
    tree |= {"name": config.name, "training": {"candidates": candidates}}
    tried = len(record.trials)
    head = (
        f"# Purpose   {record.candidate} as configured, and {tuned}, the best of {tried} trials.\n"
        "# Cost      That of both trainings.\n"
        "# Expect    Training compares them on validation; the gate judges the better one on test.\n"
        f"# Command   {command_of(path)}\n"
    )
    return head + yaml.safe_dump(tree, sort_keys=False, allow_unicode=True, width=110)


def command_of(path: Path) -> str:
    """What trains a configuration that lies elsewhere than in `configs/`."""
    return f"python run.py --pipeline training --config {shlex.quote(str(path))}"


def _dump(settings: CandidateSettings) -> dict[str, object]:
    told = _without_files(settings).model_dump(mode="json", exclude_defaults=True)
    return {"backbone": str(settings.backbone), "strategy": str(settings.strategy), **told}


def _without_files(settings: CandidateSettings) -> CandidateSettings:
    """Without what is filled in before every run: the digest of the weights, and their place in the cache."""
    cached = Path(settings.weights).parent == default_cache_folder()
    weights = IMAGENET if cached else settings.weights
    return settings.model_copy(update={"weights": weights, "weights_digest": None, "mixed_precision": False})
