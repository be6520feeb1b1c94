"""The executor that a run's configuration names: in the run's `extra`, which no cache key covers."""

from zenml.steps.step_context import StepContext

from vision.config.work import EXECUTOR_KEY, ExecutorSettings


def executor_of_run() -> ExecutorSettings:
    """The settings of the run that a step belongs to; the default ones of a step that is called by itself."""
    context = StepContext.get()
    told = context.pipeline_run.config.extra.get(EXECUTOR_KEY, {}) if context else {}
    return ExecutorSettings.model_validate(told)
