"""Which pipelines run when: the settings of `run.py schedule`."""

from __future__ import annotations

import re
from typing import Annotated, Literal
from zoneinfo import available_timezones

from pydantic import AfterValidator, Field, field_validator

from orchestration.schedule.timetable import check_cron
from vision.base.names import find_near
from vision.config.base import Settings

JobName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,39}$")]


class JobSettings(Settings):
    """One pipeline that is started again and again."""

    pipeline: Literal["monitoring", "retraining", "training"]
    config: str = Field(min_length=1, description="looked up in configs/, then as a path")
    cron: Annotated[str, AfterValidator(check_cron)] = Field(
        max_length=200, description="five fields: minute hour day-of-month month day-of-week"
    )
    set: tuple[str, ...] = Field(default=(), description="overrides, each as in --set images.size=128")
    max_hours: float = Field(
        default=24.0, gt=0.0, le=24.0 * 14, allow_inf_nan=False, description="a longer run is stopped"
    )

    @field_validator("set")
    @classmethod
    def _overrides_have_a_key_and_a_value(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for override in value:
            if not re.match(r"[^=\s]+=", override):
                raise ValueError(f"{override!r}: expected dotted.key=value, as in images.size=128")
        return value


class ScheduleConfig(Settings):
    """All jobs of a scheduler."""

    jobs: dict[JobName, JobSettings] = Field(min_length=1, description="by a name of your own")
    timezone: str = Field(default="UTC", description="IANA name, in which the cron expressions are read")
    stop_seconds: int = Field(
        default=30, ge=1, le=3600, description="what a run gets to end when told to stop"
    )
    retry_seconds: int = Field(
        default=60, ge=1, le=3600, description="pause before a job is tried again while another run is going"
    )
    max_log_megabytes: float = Field(
        default=10.0, gt=0.0, le=10_000.0, allow_inf_nan=False, description="larger logs are rotated"
    )
    keep_runs: int | None = Field(
        default=50,
        ge=0,
        le=100_000,
        description="after each job all but the newest so many runs are removed, as run.py clean does: "
        "champions keep all they need. null: none is, which a shared ZenML server needs",
    )
    num_old_logs: int = Field(default=3, ge=1, le=100, description="of each job; older ones are removed")

    @field_validator("timezone")
    @classmethod
    def _timezone_is_known(cls, value: str) -> str:
        if value not in available_timezones():
            near = find_near(value[:50], available_timezones())
            hint = f"did you mean {near}?" if near else "expected an IANA name such as Europe/Berlin"
            raise ValueError(f"unknown time zone; {hint}")
        return value
