"""A monitoring run: the champion's newest answers are judged, once each."""

from __future__ import annotations

import json
import shutil
from typing import Any

from materializers.names import ArtifactName
from materializers.registry import find_champion
from orchestration.flows.running.artifacts import RunArtifacts, find_run, load_output
from orchestration.flows.running.runner import NO_VERDICT, Finished, FolderFlow, Outcome, Plan, Run
from orchestration.session.paths import ProjectPaths
from orchestration.store.history import missing_champion
from orchestration.store.windows import find_last_trimming, find_windows
from pipelines.monitoring import monitoring
from pipelines.names import PipelineName
from report.figures.drift import title_drift
from report.pages.drift import MonitoringStory, write_drift_page
from report.sections.values import to_plain
from report.story import MACHINE
from serving.log.url import resolve_log_url
from vision.base.files import storage_errors, write_atomically
from vision.base.wording import count_of
from vision.config.monitoring import DriftSettings
from vision.drift.records import ColumnDrift, DriftPage, DriftReport, DriftStatus

PAGE_NAME = "drift.html"


class MonitoringFlow(FolderFlow[MonitoringStory]):
    """Judge the champion's newest answers; the exit code is 0 whatever the verdict."""

    name = PipelineName.MONITORING

    def prepare(self, run: Run) -> Plan:
        """The DAG of the champion's log.

        Raises:
            ConfigError: no model of this name is in production; the log's URL is of a kind that is not
                supported.
        """
        config = run.config
        log_url = resolve_log_url(config.serve.log.url, run.paths.home)
        champion = find_champion(config.name)
        if champion is None:
            raise missing_champion(config.name, "there are no answers to judge")
        previous = next(iter(find_windows(config.name, 1, champion.digest)), None)
        return Plan(monitoring, (config, log_url, champion, previous, find_last_trimming()), config)

    def project(self, run_name: str, paths: ProjectPaths) -> MonitoringStory:
        """Write summary.json, drift.html, and Evidently's page beside it."""
        run = RunArtifacts(find_run(run_name))
        story = tell_monitoring(run)
        folder = paths.runs / run.name
        with storage_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            if story.evidently is not None:
                shutil.copyfile(story.evidently, folder / DriftPage.FILE_NAME)
        write_drift_page(story, folder / PAGE_NAME)
        summary = json.dumps(summarise_monitoring(story, run.circumstances), indent=2, allow_nan=False)
        write_atomically(folder / "summary.json", summary)
        return story

    def tell(self, done: Finished[MonitoringStory]) -> Outcome:
        """The verdict in one line, and the reasons below it."""
        run, story = done.run, done.written
        report = story.report if story else load_output(run.name, "monitor", ArtifactName.DRIFT_REPORT)
        if report is None:
            return run.outcome(1, NO_VERDICT)
        told = "\n".join([title_drift(report), *(f"- {each}" for each in report.reasons)])
        return run.outcome(0, told, following=(find_following(report, run.config.monitoring),))


FLOW = MonitoringFlow()


def find_following(report: DriftReport, settings: DriftSettings) -> tuple[str, str]:
    """The command that a verdict asks for, and what for."""
    groups = ", `group` with every picture" if report.num_ungrouped else ""
    if report.status is DriftStatus.DRIFT:
        return "python run.py retrain NAME", (
            "if pictures stay like this: label some and name their folder in retraining.new_images first"
        )
    if report.num_reference_groups < settings.min_groups:
        return (
            "python run.py train NAME",
            "with pictures of more groups: the model has too few to compare with",
        )
    needed = (report.missing_images, "more picture"), (report.missing_groups, "more group")
    missing = " in ".join(count_of(num, what) for num, what in needed if num)
    return "python run.py monitor NAME", f"again after {missing or 'the next answers'}{groups}"


def tell_monitoring(run: RunArtifacts) -> MonitoringStory:
    """Everything that page and summary are told from."""
    page = run.load("monitor", ArtifactName.DRIFT_PAGE)
    drawn = isinstance(page, DriftPage) and DriftPage.FILE_NAME in page.files
    return MonitoringStory(
        run_name=run.name,
        config=run.config,
        failure=run.failure,
        failed_step=run.failed(),
        span=run.load("read_window", ArtifactName.LOGGED_SPAN),
        report=run.load("monitor", ArtifactName.DRIFT_REPORT),
        evidently=page.path(DriftPage.FILE_NAME) if drawn else None,
        trimming=run.load("trim_log", ArtifactName.LOG_TRIMMING),
        step_seconds=run.seconds(),
        versions=json.loads(run.circumstances.get("versions", "{}")),
    )


def summarise_monitoring(story: MonitoringStory, circumstances: dict[str, Any]) -> dict[str, Any]:
    """The summary of a monitoring run as JSON values; what is undefined is null."""
    report = story.report
    return to_plain(
        {
            "run": story.run_name,
            "pipeline": PipelineName.MONITORING.value,
            "model": story.config.name,
            "failure": story.failure,
            "failed_step": story.failed_step,
            "window": story.span.model_dump(mode="json", exclude={"schema_version"}) if story.span else None,
            "verdict": _verdict(report) if report else None,
            "log": story.trimming.model_dump(mode="json", exclude={"schema_version"})
            if story.trimming
            else None,
            "versions": story.versions,
            "machine": {key: circumstances.get(key) for key in MACHINE},
            "peak_memory_mb": circumstances.get("peak_memory_mb"),
            "seconds": {"total": circumstances.get("seconds"), "steps": story.step_seconds},
        }
    )


def _verdict(report: DriftReport) -> dict[str, Any]:
    """The report without what only pictures need, and without pictures' points."""
    figures = report.model_dump(
        mode="json", exclude={"schema_version", "columns", "reference_points", "window_points"}
    )
    return figures | {"columns": [_column(column) for column in report.columns]}


def _column(column: ColumnDrift) -> dict[str, Any]:
    return column.model_dump(exclude={"reference_quantiles", "window_quantiles"})
