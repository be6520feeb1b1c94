"""An orchestrator that keeps schedules, as clusters do: a component that ZenML registers, loads and calls."""

from typing import Any

from zenml.orchestrators import BaseOrchestratorConfig, SubmissionResult
from zenml.orchestrators.local.local_orchestrator import (
    LocalOrchestrator,
    LocalOrchestratorConfig,
    LocalOrchestratorFlavor,
)


class KeepingConfig(LocalOrchestratorConfig):
    """Says that it keeps schedules."""

    @property
    def is_schedulable(self) -> bool:
        """It does."""
        return True


class KeepingOrchestrator(LocalOrchestrator):
    """Runs what has no schedule; what has one is left in the store."""

    def submit_pipeline(self, snapshot: Any, *arguments: Any, **options: Any) -> SubmissionResult | None:
        """Run what has no schedule."""
        return None if snapshot.schedule else super().submit_pipeline(snapshot, *arguments, **options)


class KeepingFlavor(LocalOrchestratorFlavor):
    """Its flavor."""

    @property
    def name(self) -> str:
        """Of the flavor."""
        return "keeping"

    @property
    def config_class(self) -> type[BaseOrchestratorConfig]:
        """Of its settings."""
        return KeepingConfig

    @property
    def implementation_class(self) -> type[LocalOrchestrator]:
        """Of itself."""
        return KeepingOrchestrator
