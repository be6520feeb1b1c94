"""Every setting: type, bounds, default. `load_config` reports all faults at once, before anything runs.

Settings are frozen and refuse unknown keys. Each step receives its own section, so that its cache key holds
only what it reads. What depends on the machine (are weights at hand?) is resolved before the pipeline starts.
"""

from vision.config.base import Settings
from vision.config.data import (
    Addition,
    CheckSettings,
    FolderSource,
    ImageSettings,
    LeakPolicy,
    ReefSource,
    Resize,
    SourceSettings,
    SplitSettings,
)
from vision.config.loading import find_config, load_config, load_settings
from vision.config.loop import DriftSettings, PredictionLogSettings, RetrainingSettings, ServeSettings
from vision.config.run import RunConfig
from vision.config.training import (
    UNREAD,
    AugmentSettings,
    BackboneName,
    CandidateSettings,
    Strategy,
    TrainingSettings,
)
from vision.config.truth import (
    BootstrapSettings,
    ComparisonSettings,
    ExportSettings,
    GateSettings,
    GraphSettings,
    ReviewSettings,
    ToleranceSettings,
    UnknownSettings,
)

__all__ = [
    "UNREAD",
    "Addition",
    "AugmentSettings",
    "BackboneName",
    "BootstrapSettings",
    "CandidateSettings",
    "CheckSettings",
    "ComparisonSettings",
    "DriftSettings",
    "ExportSettings",
    "FolderSource",
    "GateSettings",
    "GraphSettings",
    "ImageSettings",
    "LeakPolicy",
    "PredictionLogSettings",
    "ReefSource",
    "Resize",
    "RetrainingSettings",
    "ReviewSettings",
    "RunConfig",
    "ServeSettings",
    "Settings",
    "SourceSettings",
    "SplitSettings",
    "Strategy",
    "ToleranceSettings",
    "TrainingSettings",
    "UnknownSettings",
    "find_config",
    "load_config",
    "load_settings",
]
