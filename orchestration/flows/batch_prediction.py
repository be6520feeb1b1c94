"""A batch of pictures is answered by the champion: answers as artifacts, and in the run folder."""

from __future__ import annotations

import shutil

from materializers.names import ArtifactName
from materializers.registry import find_production
from orchestration.flows.running.artifacts import RunArtifacts, find_run
from orchestration.flows.running.runner import NO_VERDICT, Finished, FolderFlow, Outcome, Plan, Run
from orchestration.session.paths import ProjectPaths
from orchestration.store.history import missing_champion
from pipelines.batch_prediction import batch_prediction
from pipelines.names import PipelineName
from report.pages.prediction_words import tell_counts
from serving.log.url import resolve_log_url
from vision.base.errors import ConfigError
from vision.base.files import storage_errors, write_atomically
from vision.prediction.listing import find_place
from vision.prediction.records import BatchSummary, PredictionFiles

STATE_FOLDER = "answers"
"""Below `state`: batches that were stopped."""


class BatchPredictionFlow(FolderFlow[BatchSummary | None]):
    """Answer the pictures that the configuration names."""

    name = PipelineName.BATCH_PREDICTION

    def prepare(self, run: Run) -> Plan:
        """The DAG of the model in production.

        Raises:
            ConfigError: nothing is to be answered, or no model of this name is in production.
            SourceError: what is to be answered is not there.
        """
        config, settings = run.config, run.config.prediction
        if settings.path is None:
            raise ConfigError(
                "prediction.path is not set, so there is nothing to answer. Expected a picture, a folder, a "
                "CSV or a ZIP: --set prediction.path=photos"
            )
        find_place(settings.path)
        production = find_production(config.name)
        if production is None:
            raise missing_champion(config.name, "there is nothing that could answer")
        log_url = resolve_log_url(config.serve.log.url, run.paths.home) if settings.log else None
        group_by = getattr(config.dataset, "group_by", None)
        state = str(run.paths.state / STATE_FOLDER)
        model = production.champion, (config.name, production.version)
        arguments = (*model, str(settings.path), settings, group_by, log_url, state)
        return Plan(batch_prediction, arguments, config)

    def project(self, run_name: str, paths: ProjectPaths) -> BatchSummary | None:
        """Write tables, contact sheet and summary.json; of a run that failed, why it did."""
        run = RunArtifacts(find_run(run_name))
        folder = paths.runs / run.name
        files = run.load("answer_batch", ArtifactName.PREDICTIONS)
        summary = run.load("answer_batch", ArtifactName.PREDICTION_SUMMARY)
        if not isinstance(files, PredictionFiles) or not isinstance(summary, BatchSummary):
            write_atomically(folder / "summary.json", run.describe_failure())
            return None
        with storage_errors(folder):
            for name in files.files:
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(files.path(name), folder / name)
        return summary

    def tell(self, done: Finished[BatchSummary | None]) -> Outcome:
        """How many pictures got which answer."""
        if done.written is None:
            return done.run.outcome(0, NO_VERDICT)
        first, *others = tell_counts(done.written)
        return done.run.outcome(0, first, sentences=tuple(others))


FLOW = BatchPredictionFlow()
