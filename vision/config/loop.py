"""What follows a training: serving, the log of answers, monitoring, retraining."""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import Self

from pydantic import Field, field_validator, model_validator

from vision.config.base import PositiveFloat, Settings
from vision.config.data import Addition, check_addition_names
from vision.config.truth import BootstrapSettings

_LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
_LONGEST_NAME = 253


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

    @field_validator("host")
    @classmethod
    def _check_host(cls, host: str) -> str:
        labels = host.split(".")
        named = all(_LABEL.fullmatch(label) for label in labels) and not labels[-1].isdigit()
        if not (_is_address(host) or (named and len(host) <= _LONGEST_NAME)):
            raise ValueError(
                f"{host!r} is no address to listen on; expected an IPv4 address such as 127.0.0.1, an IPv6 "
                "address such as ::1 (without brackets or a zone), or a host name, and the port in serve.port"
            )
        return host


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return "%" not in host


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
    max_verdict_age_days: PositiveFloat = Field(
        default=30.0, le=3660, description="since the end of a window; older drift verdicts do not count"
    )
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
        check_addition_names(value)
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
