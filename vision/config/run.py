"""One data set's whole configuration."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from vision.backbones import BACKBONES
from vision.config.base import Seed, Settings
from vision.config.cluster import ClusterSettings
from vision.config.data import Addition, CheckSettings, ImageSettings, SplitSettings, check_addition_names
from vision.config.decision import ReviewSettings, UnknownSettings
from vision.config.evaluation import BootstrapSettings, ComparisonSettings, EvaluationSettings
from vision.config.export import ExportSettings
from vision.config.gate import GateSettings
from vision.config.monitoring import DriftSettings
from vision.config.prediction import BatchSettings
from vision.config.retraining import RetrainingSettings
from vision.config.serve import ServeSettings
from vision.config.sources.registry import SourceSettings
from vision.config.training import TrainingSettings
from vision.config.tuning import TuningSettings
from vision.config.work import ExecutorSettings


class RunConfig(Settings):
    """Everything about one data set: how its models are trained, served, watched and trained again."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_-]{0,62}$", description="the data set's and the model's name")
    seed: Seed = 7
    dataset: SourceSettings
    images: ImageSettings = ImageSettings()
    checks: CheckSettings = CheckSettings()
    split: SplitSettings = SplitSettings()
    training: TrainingSettings
    bootstrap: BootstrapSettings = BootstrapSettings()
    unknowns: UnknownSettings = UnknownSettings()
    review: ReviewSettings = ReviewSettings()
    comparison: ComparisonSettings = ComparisonSettings()
    evaluation: EvaluationSettings = EvaluationSettings()
    export: ExportSettings = ExportSettings()
    gate: GateSettings = GateSettings()
    deploy: bool = Field(default=False, description="serve a promoted bundle at the end of training")
    serve: ServeSettings = ServeSettings()
    monitoring: DriftSettings = DriftSettings()
    retraining: RetrainingSettings = RetrainingSettings()
    prediction: BatchSettings = BatchSettings()
    tuning: TuningSettings = TuningSettings()
    cluster: ClusterSettings = ClusterSettings()
    tracking: Literal["mlflow"] | None = Field(
        default=None, description="write every training that is judged into an MLflow store in the project"
    )

    executor: ExecutorSettings = Field(
        default=ExecutorSettings(),
        exclude=True,  # what comes out does not depend on it, so no cache key and no record has it
        description="who reads and decodes images: process, dask, or the address of a Dask scheduler",
    )

    @model_validator(mode="after")
    def _new_images_fit_to_the_additions(self) -> Self:
        check_addition_names(self._all_additions())
        return self

    @model_validator(mode="after")
    def _what_is_forgotten_is_not_named(self) -> Self:
        named = {each.name for each in self._all_additions()} & set(self.retraining.forget)
        if named:
            raise ValueError(
                f"retraining.forget names {', '.join(sorted(named))}, which dataset.additions or "
                "retraining.new_images names as well; take it out of one of them"
            )
        return self

    @model_validator(mode="after")
    def _networks_fit_to_images_and_precisions(self) -> Self:
        for name, candidate in self.training.candidates.items():
            backbone, where = BACKBONES[candidate.backbone], f"training.candidates.{name}"
            if self.images.size < backbone.min_size:
                raise ValueError(
                    f"{where}: {backbone.name} takes images of {backbone.min_size} px and more; images.size "
                    f"is {self.images.size}. Raise it, or choose another backbone"
                )
            for precision in self.export.graphs().precisions:
                if precision in backbone.refused:
                    raise ValueError(
                        f"{where}: {backbone.name} is not exported as {precision}: "
                        f"{backbone.refused[precision]}. Remove {precision} (or precision: fastest) "
                        "from export, or the candidate"
                    )
        return self

    def with_new_images(self) -> RunConfig:
        """This configuration with `retraining.new_images` among the data set's additions."""
        additions = self._all_additions()
        if additions == self.dataset.additions:
            return (
                self  # a copy counts as another in cache keys: it says outright what was left to its default
            )
        dataset = self.dataset.model_copy(update={"additions": additions})
        return self.model_copy(update={"dataset": dataset})

    def _all_additions(self) -> tuple[Addition, ...]:
        """Additions of both lists; one that is in both counts once."""
        return tuple(dict.fromkeys([*self.dataset.additions, *self.retraining.new_images]))
