"""From the champion in the registry to a service that answers as the pipeline does."""

from zenml import pipeline
from zenml.enums import ExecutionMode

from materializers.registry import Champion
from pipelines.caching import keyed
from pipelines.names import PipelineName
from steps.loop.deploy import deploy
from vision.config.serve import ServeSettings


@pipeline(name=PipelineName.DEPLOYMENT.value, execution_mode=ExecutionMode.FAIL_FAST)
def deployment(champion: Champion, version: str, serve: ServeSettings, home: str) -> None:
    """Build the Bento of the champion, try it on its own test images, serve it."""
    keyed(deploy)(
        champion.bundle(), champion.manifest(), champion.splits(), champion.digest, version, serve, home
    )
