"""Every setting: type, bounds, default. `load_config` reports all faults at once, before anything runs.

Settings are frozen and refuse unknown keys. Each step receives its own section, so that its cache key holds
only what it reads. What depends on the machine (are weights at hand?) is resolved before the pipeline starts.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar, get_args

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from vision.errors import ConfigError
from vision.records import Precision

Fraction = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]
OpenFraction = Annotated[float, Field(gt=0.0, lt=1.0, allow_inf_nan=False)]
PositiveFloat = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]
Seed = Annotated[int, Field(ge=0, lt=2**31)]


class Settings(BaseModel):
    """Base of every section: frozen, no unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_enum_values=False)


class Resize(StrEnum):
    """How an image becomes a square: pad keeps all and the aspect, crop the centre, stretch neither."""

    PAD = "pad"
    CROP = "crop"
    STRETCH = "stretch"


class BackboneName(StrEnum):
    """Networks that can be trained."""

    CNN = "cnn"
    CNN_RESIDUAL = "cnn_residual"
    MOBILENET_V2 = "mobilenet_v2"
    EFFICIENTNET_B0 = "efficientnet_b0"


class Strategy(StrEnum):
    """Which part of a backbone is trained."""

    FROZEN = "frozen"
    PARTIAL = "partial"
    FULL = "full"
    TWO_PHASE = "two_phase"


class LeakPolicy(StrEnum):
    """What happens to a duplicate that lies in two of the user's own trees."""

    FAIL = "fail"
    DROP = "drop"


# --- data -----------------------------------------------------------------------------------------------


def _check_group_pattern(value: str) -> str:
    try:
        pattern = re.compile(value)
    except re.error as error:
        raise ValueError(f"{value!r} is not a regular expression: {error}") from error
    if "group" not in pattern.groupindex:
        raise ValueError(f"{value!r} has no part named (?P<group>…), which marks the group")
    return value


GroupPattern = Annotated[str, AfterValidator(_check_group_pattern)]
"""Regular expression on a file name; the part `(?P<group>…)` is the group."""


class Addition(Settings):
    """A folder of further labelled images, one folder per class, that joins a source.

    In YAML a path alone is enough; everything else has a default.
    """

    path: Path
    name: str = Field(
        pattern=r"^[^./\\\x00-\x1f][^/\\\x00-\x1f]{0,99}$",
        description="its own among all additions; default: the last part of the path. Opens the images' "
        "paths (+NAME/...) and the names of their groups, so keep it when the folder moves",
    )
    group_by: GroupPattern | None = Field(
        default=None, description="regular expression on the file name; the part `(?P<group>…)` is the group"
    )
    shared_groups: bool = Field(
        default=False,
        description="groups of one name here and in the source are one (the same individuals again)",
    )
    unknown_classes: tuple[str, ...] = Field(default=(), description="class folders held out as unknown")
    max_megapixels: PositiveFloat = Field(default=100.0, description="larger images are quarantined")

    @model_validator(mode="before")
    @classmethod
    def _take_a_path_alone(cls, value: Any) -> Any:
        given = {"path": value} if isinstance(value, str | Path) else value
        if not isinstance(given, dict) or "name" in given or not isinstance(given.get("path"), str | Path):
            return given
        name = Path(given["path"]).name
        if name in ("", ".."):
            raise ValueError(f"the path {str(given['path'])!r} ends in no folder name; add a name")
        return {**given, "name": name}


def _check_addition_names(additions: Sequence[Addition]) -> None:
    """Refuse two additions of one name; names that differ only in case count as one."""
    seen: dict[str, Addition] = {}
    for each in additions:
        other = seen.setdefault(each.name.casefold(), each)
        if other is not each:
            raise ValueError(
                f"two additions are called {each.name!r} ({other.path} and {each.path}); give each a name of "
                "its own"
            )


class _GrowingSource(Settings):
    """Base of every source: folders of further labelled images may join it."""

    additions: tuple[Addition, ...] = Field(
        default=(), description="folders of further labelled images, one folder per class"
    )

    @field_validator("additions")
    @classmethod
    def _additions_have_names_of_their_own(cls, value: tuple[Addition, ...]) -> tuple[Addition, ...]:
        _check_addition_names(value)
        return value


class ReefSource(_GrowingSource):
    """Painted fish: a data set that needs no download. Deterministic from `seed`."""

    source: Literal["reef"] = "reef"
    seed: Seed = 11
    images_per_class: int = Field(default=200, ge=2, le=20_000)
    unknown_images_per_class: int = Field(default=60, ge=0, le=20_000)
    frames_per_individual: int = Field(default=2, ge=1, le=50, description="largest number of frames")
    duplicates: int = Field(default=0, ge=0, description="files copied byte for byte")
    wrong_labels: int = Field(default=0, ge=0, description="files moved to another class's folder")
    corrupt_files: int = Field(default=0, ge=0, description="files cut short or filled with junk")
    exif_rotated: int = Field(default=0, ge=0, description="files turned, with an EXIF tag that says so")
    turbidity: Fraction = Field(default=0.0, description="drift: 0 the reef's own water, 1 very turbid, dim")


class FolderSource(_GrowingSource):
    """A folder of images: `train/`, `val/`, `test/` trees of class folders, or one folder per class."""

    source: Literal["folder"] = "folder"
    path: Path
    group_by: GroupPattern | None = Field(
        default=None, description="regular expression on the file name; the part `(?P<group>…)` is the group"
    )
    unknown_classes: tuple[str, ...] = Field(default=(), description="class folders held out as unknown")
    max_megapixels: PositiveFloat = Field(default=100.0, description="larger images are quarantined")


SourceSettings = Annotated[ReefSource | FolderSource, Field(discriminator="source")]


class ImageSettings(Settings):
    """How files become arrays."""

    size: int = Field(default=96, ge=16, le=1024, description="pixels; the network's square input")
    resize: Resize = Resize.PAD


class CheckSettings(Settings):
    """When the data cannot carry a training."""

    max_quarantined: Fraction = Field(default=0.1, description="larger share of unusable files fails the run")
    min_images_per_class: int = Field(default=8, ge=4)
    min_groups_per_class: int = Field(default=4, ge=4, description="one for each of the four splits")


class SplitSettings(Settings):
    """Shares of the four splits. They must add up to 1."""

    train: OpenFraction = 0.55
    validation: OpenFraction = 0.15
    calibration: OpenFraction = 0.15
    test: OpenFraction = 0.15
    on_leak: LeakPolicy = LeakPolicy.FAIL

    @model_validator(mode="after")
    def _fractions_add_up(self) -> Self:
        total = self.train + self.validation + self.calibration + self.test
        if abs(total - 1.0) > 1e-6:
            raise ValueError(f"train + validation + calibration + test is {total:.4f}; expected 1")
        return self


# --- training -------------------------------------------------------------------------------------------


class AugmentSettings(Settings):
    """Random changes of training images. All 0 or False: none."""

    flip: bool = True
    translation: Fraction = Field(default=0.08, description="largest shift, share of the side")
    rotation_degrees: float = Field(default=10.0, ge=0.0, le=180.0)
    zoom: Fraction = 0.1
    brightness: Fraction = Field(default=0.15, description="largest change, share of the range")
    contrast: Fraction = 0.15


UNREAD: dict[Strategy, tuple[str, ...]] = {
    Strategy.FROZEN: (
        "epochs",
        "batch_size",
        "learning_rate",
        "weight_decay",
        "label_smoothing",
        "patience",
        "augment",
        "mixed_precision",
    ),
    Strategy.PARTIAL: ("head_regularisation", "augment", "mixed_precision"),
    Strategy.FULL: ("head_regularisation",),
    Strategy.TWO_PHASE: (),
}
"""Settings of a candidate that a strategy does not read."""


class CandidateSettings(Settings):
    """One network to train and compare."""

    backbone: BackboneName
    strategy: Strategy = Strategy.FULL
    weights: str = Field(default="none", description="imagenet, none, auto, or a path of no_top weights")
    weights_digest: str | None = Field(
        default=None, description="SHA-256 of the weights file; filled in before the pipeline starts"
    )
    width: PositiveFloat = Field(
        default=1.0,
        le=4.0,
        description="multiplies the channels of cnn (64-128-256-512), cnn_residual "
        "(32-64-128-256) and mobilenet_v2 (its alpha)",
    )
    dropout: float = Field(default=0.2, ge=0.0, lt=1.0, allow_inf_nan=False)
    epochs: int = Field(default=20, ge=1, le=1000)
    batch_size: int = Field(default=32, ge=2, le=1024)
    learning_rate: float = Field(default=1e-3, gt=0.0, le=1.0, allow_inf_nan=False)
    weight_decay: float = Field(default=1e-4, ge=0.0, le=1.0, allow_inf_nan=False)
    head_regularisation: tuple[PositiveFloat, ...] = Field(
        default=(0.001, 0.003, 0.01, 0.03, 0.1, 0.3),
        min_length=1,
        description="frozen: inverse L2 strengths of which grouped cross-validated NLL chooses one",
    )
    label_smoothing: float = Field(default=0.0, ge=0.0, lt=1.0, allow_inf_nan=False)
    patience: int = Field(default=6, ge=1, description="epochs without a better validation loss")
    augment: AugmentSettings = AugmentSettings()
    mixed_precision: bool = Field(
        default=False,
        description="full, two_phase: train in float16 where it is safe; filled in before the pipeline "
        "starts where a GPU is found, unless it is given",
    )

    @model_validator(mode="after")
    def _settings_are_read(self) -> Self:
        """Only values other than the default count, so that settings that are written come back."""
        fields = type(self).model_fields
        unread = [name for name in UNREAD[self.strategy] if getattr(self, name) != fields[name].default]
        if unread:
            raise ValueError(f"strategy {self.strategy} does not read {', '.join(unread)}; remove this")
        if self.backbone is BackboneName.EFFICIENTNET_B0 and self.width != 1.0:
            raise ValueError(f"efficientnet_b0 has one width, 1.0; got {self.width}")
        return self

    @model_validator(mode="after")
    def _weights_fit_the_backbone(self) -> Self:
        own = self.backbone in (BackboneName.CNN, BackboneName.CNN_RESIDUAL)
        if own and self.weights != "none":
            raise ValueError(
                f"{self.backbone} is trained from scratch; weights is {self.weights!r}, expected 'none'"
            )
        if self.weights == "none" and self.weights_digest is not None:
            raise ValueError(
                "weights_digest is given, but weights is 'none', which has no file to check; remove it (the "
                "program fills it in)"
            )
        if self.strategy is not Strategy.FULL and self.weights == "none":
            raise ValueError(
                f"strategy {self.strategy} with weights 'none' would keep random features fixed; "
                "use strategy full, or weights imagenet, auto or a path"
            )
        if self.backbone is BackboneName.MOBILENET_V2 and self.width not in (0.35, 0.5, 0.75, 1.0, 1.3, 1.4):
            raise ValueError(f"mobilenet_v2 has widths 0.35, 0.5, 0.75, 1.0, 1.3 and 1.4; got {self.width}")
        return self


class TrainingSettings(Settings):
    """The candidates, by a name of your own."""

    candidates: dict[str, CandidateSettings] = Field(min_length=1)

    @field_validator("candidates")
    @classmethod
    def _names_are_plain(cls, value: dict[str, CandidateSettings]) -> dict[str, CandidateSettings]:
        for name in value:
            if not re.fullmatch(r"[a-z][a-z0-9_]{0,39}", name):
                raise ValueError(f"candidate name {name!r}: expected lower-case letters, digits and _")
            if name in ("exported", "test"):
                raise ValueError(f"candidate name {name!r} is taken by steps of the pipeline; choose another")
        return value


# --- truth ----------------------------------------------------------------------------------------------


class BootstrapSettings(Settings):
    """How intervals are made: groups are resampled."""

    resamples: int = Field(default=1000, ge=100, le=100_000)
    level: OpenFraction = 0.95


class UnknownSettings(Settings):
    """The unknown score and its promise: at most `alpha` of known images are called unknown."""

    score: Literal[
        "ewk", "fwk", "msp", "entropy", "energy", "mahalanobis", "knn", "vim", "fdbd", "whitened_prototype"
    ] = "ewk"
    alpha: OpenFraction = 0.05
    delta: OpenFraction = Field(default=0.05, description="probability that the promise is broken")
    num_far: int = Field(default=200, ge=20, le=5000, description="far unknowns of each kind that are made")


class ReviewSettings(Settings):
    """The promise on accepted answers: at most `target_risk` of them are wrong."""

    target_risk: OpenFraction = 0.02
    delta: OpenFraction = 0.1


class ComparisonSettings(Settings):
    """How the winner is chosen on validation."""

    metric: Literal["accuracy", "macro_f1", "nll"] = "accuracy"


class ToleranceSettings(Settings):
    """How far an exported precision may stray from the trained model on validation."""

    decision_disagreement: Fraction = 0.05
    mean_probability_difference: Fraction = 0.01
    max_probability_difference: Fraction = 0.25
    ece_difference: Fraction = 0.02
    unknown_auroc_difference: Fraction = 0.02


class GraphSettings(Settings):
    """What the exported graphs are made from."""

    precisions: tuple[Precision, ...] = (Precision.FP32, Precision.FP16, Precision.INT8)
    num_calibration_images: int = Field(default=128, ge=16, description="training images for int8 ranges")

    @field_validator("precisions")
    @classmethod
    def _precisions_differ(cls, value: tuple[Precision, ...]) -> tuple[Precision, ...]:
        if len(set(value)) < len(value):
            raise ValueError(f"a precision is named twice ({', '.join(value)}); expected each once")
        return value


class ExportSettings(GraphSettings):
    """What is exported and which precision is served."""

    precision: Precision = Field(default=Precision.FP16, description="served; named before it is measured")
    tolerance: ToleranceSettings = ToleranceSettings()

    def graphs(self) -> GraphSettings:
        """What the graphs depend on, without what is done with them."""
        return GraphSettings(precisions=self.precisions, num_calibration_images=self.num_calibration_images)

    @model_validator(mode="after")
    def _served_precision_is_exported(self) -> Self:
        if self.precision not in self.precisions:
            listed = ", ".join(self.precisions)
            raise ValueError(f"precision {self.precision} is not among the exported precisions ({listed})")
        return self


class GateSettings(Settings):
    """What a challenger must show: floors, by the unfavourable end of an interval on test, and the duel."""

    min_accuracy: Fraction = 0.5
    min_gain_over_majority: Fraction = Field(default=0.05, description="accuracy above the majority class")
    min_gain_over_pixels: Fraction = Field(
        default=0.0, description="accuracy above logistic regression on raw 32x32 pixels"
    )
    max_known_called_unknown: Fraction = Field(default=0.2, description="upper bound on test")
    min_test_groups: int = Field(default=10, ge=2, le=100_000, description="fewer groups are no evidence")
    max_loss_on_original: Fraction = Field(
        default=0.01,
        description="accuracy that a challenger may lose on the champion's own test groups without counting "
        "as worse",
    )
    loss_per_gain: Fraction = Field(
        default=0.05,
        description="what may be lost there beyond that, for each unit of accuracy that is gained beyond "
        "doubt on the other test images",
    )
    sure_from: OpenFraction = Field(
        default=0.9, description="calibrated confidence from which the champion's word weighs against a label"
    )
    ordinary_from: Fraction = Field(
        default=0.2, description="p-value from which a new image looks ordinary to the champion"
    )
    max_contradicted: Fraction = Field(
        default=0.2,
        description="share of groups of new images, in all or of a class, whose labels a sure champion may "
        "contradict; the lower bound decides; 1 once a person has seen that the labels are right",
    )


# --- retraining -----------------------------------------------------------------------------------------


class RetrainingSettings(Settings):
    """What asks for a retraining, and how often one may start by itself."""

    force: bool = Field(default=False, description="retrain whatever speaks against it, pause and budget too")
    new_images: tuple[Addition, ...] = Field(
        default=(), description="folders that are added to dataset.additions when a retraining is decided"
    )
    forget: tuple[str, ...] = Field(
        default=(),
        description="names of additions that the champion learned from and that no training is to use again",
    )
    min_new_images: int = Field(default=100, ge=1, description="known images that the champion has not seen")
    min_new_groups: int = Field(default=20, ge=1, description="groups of which it has seen no image")
    min_new_images_on_drift: int = Field(default=30, ge=1, description="the same once a drift is confirmed")
    min_new_groups_on_drift: int = Field(default=10, ge=1, description="the same once a drift is confirmed")
    max_age_days: PositiveFloat | None = Field(
        default=180.0,
        le=36_500,
        description="since the last training of the champion, or against it; null: never",
    )
    cool_down_hours: float = Field(
        default=24.0, ge=0.0, le=8784, description="pause after any retraining before one starts by itself"
    )
    budget: int = Field(default=4, ge=0, le=1000, description="retrainings by themselves in budget_days")
    budget_days: PositiveFloat = Field(default=30.0, le=3660)

    @field_validator("new_images")
    @classmethod
    def _folders_have_names_of_their_own(cls, value: tuple[Addition, ...]) -> tuple[Addition, ...]:
        _check_addition_names(value)
        return value

    @model_validator(mode="after")
    def _drift_asks_for_no_more(self) -> Self:
        for noun in ("images", "groups"):
            always, on_drift = getattr(self, f"min_new_{noun}"), getattr(self, f"min_new_{noun}_on_drift")
            if on_drift > always:
                raise ValueError(
                    f"min_new_{noun}_on_drift is {on_drift}; expected at most min_new_{noun}, {always}"
                )
        return self


# --- prediction log -------------------------------------------------------------------------------------


class PredictionLogSettings(Settings):
    """Where the service keeps its answers, and for how long (docs/privacy.md)."""

    url: str = Field(
        default="sqlite:///state/predictions.sqlite",
        description="sqlite:///PATH or postgresql://USER:PASSWORD@HOST/DATABASE",
    )
    wait_s: float = Field(default=0.5, gt=0, le=10, description="longest wait for other writers, in seconds")
    keep_images: bool = Field(default=False, description="store the bytes of images: personal data")
    keep_days: float = Field(default=90, gt=0, allow_inf_nan=False, description="older answers are deleted")
    keep_answers: int = Field(default=1_000_000, ge=1, description="all but so many newest are deleted")


class DriftSettings(Settings):
    """When a window of answers is judged, and how sure a verdict is."""

    window: int = Field(default=200, ge=50, le=100_000, description="newest answers that are judged together")
    min_images: int = Field(default=100, ge=50, description="fewer are insufficient")
    min_groups: int = Field(default=15, ge=10, description="fewer are insufficient, in the reference too")
    alpha: float = Field(
        default=0.01, gt=0.0, le=0.05, description="each of the four tests fires at a p-value of at most this"
    )
    permutations: int = Field(default=999, ge=99, le=9_999, description="of groups, for each p-value")
    burst_gap_seconds: PositiveFloat = Field(
        default=300.0,
        le=86_400.0,
        description="answers to one client without a group belong together until it pauses for longer",
    )
    max_images: int = Field(
        default=2_000, ge=200, le=5_000, description="of a longer window, frames and then groups are drawn"
    )
    bootstrap: BootstrapSettings = BootstrapSettings()

    @model_validator(mode="after")
    def _permutations_reach_alpha(self) -> Self:
        if self.alpha * (self.permutations + 1) < 1.0:
            raise ValueError(
                f"{self.permutations} permutations give no p-value below {1 / (self.permutations + 1):.2g}; "
                f"alpha is {self.alpha}. Raise permutations"
            )
        return self

    @model_validator(mode="after")
    def _window_reaches_its_minimum(self) -> Self:
        if self.window < self.min_images:
            raise ValueError(
                f"window {self.window} is below min_images {self.min_images}: every window would be "
                "insufficient"
            )
        return self


class ServeSettings(Settings):
    """Where the champion answers, and where its answers are kept."""

    host: str = Field(default="127.0.0.1", description="address to listen on; this machine alone by default")
    port: int = Field(default=3000, ge=1, le=65_535)
    check_images: int = Field(
        default=40,
        ge=1,
        le=1_000,
        description="test images that a new service must answer as training did",
    )
    check_tolerance: float = Field(
        default=1e-4, ge=0, le=0.1, description="largest difference of a probability in that comparison"
    )
    log: PredictionLogSettings = PredictionLogSettings()


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
    export: ExportSettings = ExportSettings()
    gate: GateSettings = GateSettings()
    deploy: bool = Field(default=False, description="serve a promoted bundle at the end of training")
    serve: ServeSettings = ServeSettings()
    monitoring: DriftSettings = DriftSettings()
    retraining: RetrainingSettings = RetrainingSettings()

    @model_validator(mode="after")
    def _new_images_fit_to_the_additions(self) -> Self:
        _check_addition_names(self._all_additions())
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


# --- loading --------------------------------------------------------------------------------------------


# What PyYAML raises on text that it cannot turn into values: more digits than `int` takes, a thirteenth
# month, an empty `!!int`, thousands of brackets.
_YAML_FAULTS = (yaml.YAMLError, ValueError, LookupError, AttributeError, RecursionError)


Kind = TypeVar("Kind", bound=Settings)


def find_config(name: str, folder: Path) -> Path:
    """Where the config `name` lies: first in `folder` (and below it), then as a path.

    Raises:
        ConfigError: there is no such file.
    """
    try:
        for candidate in (folder / name, folder / f"{name}.yaml", Path(name)):
            if candidate.is_file():
                return candidate
    except OSError as error:
        raise ConfigError(f"{name}: no such config, {error.strerror}. Expected a name or a path.") from error
    known = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*.yaml"))
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    raise ConfigError(f"{name}: no such config{hint} Expected a path, or one of: {', '.join(known)}.")


def load_config(path: Path, overrides: Sequence[str] = ()) -> RunConfig:
    """The configuration of a training run; see `load_settings`."""
    return load_settings(RunConfig, path, overrides)


def load_settings(kind: type[Kind], path: Path, overrides: Sequence[str] = ()) -> Kind:
    """The settings of one kind in a YAML file with `dotted.key=value` overrides applied.

    Raises:
        ConfigError: every fault of the file, one a line: unknown keys (with the nearest known one), wrong
            types, values out of bounds, settings that contradict each other.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error
    try:
        tree = _parse_yaml(text, str(path))
    except _YAML_FAULTS as error:
        raise ConfigError(f"{path}: not YAML: {error}") from error
    if not isinstance(tree, dict):
        required = [f"{name}:" for name, field in kind.model_fields.items() if field.is_required()]
        expected = " and ".join(required[:2])
        raise ConfigError(f"{path}: holds {type(tree).__name__}; expected keys such as {expected}")
    for override in overrides:
        _apply_override(tree, override)
    try:
        return kind.model_validate(tree)
    except ValidationError as error:
        faults = "\n".join(_describe_fault(kind, fault, path) for fault in error.errors())
        raise ConfigError(faults) from error


class _Loader(yaml.SafeLoader):
    """The safe loader, which also refuses a key that one mapping has twice."""

    def compose_mapping_node(self, anchor: dict[str, yaml.Node]) -> yaml.MappingNode:
        """Compose a mapping; merge keys (`<<`), which come later, may repeat what it says."""
        node = super().compose_mapping_node(anchor)
        lines: dict[tuple[str, str], int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag == "tag:yaml.org,2002:merge":
                continue
            line = key.start_mark.line + 1
            if (key.tag, key.value) in lines:
                raise ConfigError(
                    f"{self.name}: line {line}: the key {key.value!r} is given twice (first in line "
                    f"{lines[key.tag, key.value]}); keep one of them"
                )
            lines[key.tag, key.value] = line
        return node


def _parse_yaml(text: str, name: str) -> Any:
    """The value of a YAML text; `name` tells in errors where it came from."""
    loader = _Loader(text)
    loader.name = name
    try:
        return loader.get_single_data()
    finally:
        loader.dispose()


def _apply_override(tree: dict[str, Any], override: str) -> None:
    key, separator, text = override.partition("=")
    if not separator or not key:
        raise ConfigError(f"--set {override}: expected dotted.key=value, as in --set images.size=128")
    try:
        value = _parse_yaml(text, f"--set {override}")
    except _YAML_FAULTS as error:
        raise ConfigError(f"--set {override}: {text!r} is not a YAML value: {error}") from error
    node = tree
    *parents, last = key.split(".")
    for parent in parents:
        child = node.setdefault(parent, {})
        if not isinstance(child, dict):
            raise ConfigError(f"--set {override}: {parent} holds {child!r}; expected a section with keys")
        node = child
    node[last] = value


def _describe_fault(kind: type[Settings], fault: Mapping[str, Any], path: Path) -> str:
    location = list(fault["loc"])
    if location[:1] == ["dataset"]:
        del location[1:2]  # the kind of source, which is no key
    dotted = ".".join(str(part) for part in location)
    where = f"{path}: {dotted}: " if dotted else f"{path}: "
    if fault["type"] == "extra_forbidden":
        known = _known_keys(kind, fault["loc"][:-1])
        near = difflib.get_close_matches(str(fault["loc"][-1]), known, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]}?" if near else f"known keys: {', '.join(sorted(known))}"
        return f"{where}unknown key; {hint}"
    message = str(fault["msg"]).removeprefix("Value error, ")
    if fault["type"] == "missing":
        return f"{where}is missing and has no default"
    if isinstance(fault["input"], dict):
        return f"{where}{message}"
    try:
        return f"{where}{message}; got {fault['input']!r}"
    except ValueError:  # a hexadecimal number of more digits than Python writes in decimal
        return f"{where}{message}; got a number of thousands of digits"


def _known_keys(kind: type[Settings], location: Sequence[Any]) -> list[str]:
    """Keys that the section at `location` knows, walking the settings classes."""
    node: Any = kind
    for part in location:
        if isinstance(node, type) and issubclass(node, Settings):
            field = node.model_fields.get(str(part))
            if field is None:
                return []
            node = field.annotation
        elif getattr(node, "__origin__", None) is dict:
            node = get_args(node)[1]
        elif getattr(node, "__origin__", None) is tuple:
            node = get_args(node)[0]
        elif part in ("reef", "folder"):
            node = {"reef": ReefSource, "folder": FolderSource}[str(part)]
    return list(node.model_fields) if isinstance(node, type) and issubclass(node, Settings) else []
