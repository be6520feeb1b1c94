"""What an orchestrator that keeps schedules starts: a job, as the command line would run it."""

from zenml import pipeline
from zenml.enums import ExecutionMode

from pipelines.names import PipelineName
from steps.loop.run_command import run_command


@pipeline(name=PipelineName.SCHEDULED.value, enable_cache=False, execution_mode=ExecutionMode.FAIL_FAST)
def scheduled(arguments: list[str], max_hours: float, stop_seconds: int) -> None:
    """Run run.py with these arguments. What a run rests on (champion, last verdict, time) is asked then."""
    run_command(arguments, max_hours, stop_seconds)
