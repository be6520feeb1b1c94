"""Where chunks of work are done."""

from __future__ import annotations

import re
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from vision.config.base import Settings

EXECUTOR_KEY = "executor"
"""In what a run states beside its steps' parameters."""


class ExecutorSettings(Settings):
    """What reads, decodes and answers images; also one word: `process`, `dask`, or a scheduler's address."""

    engine: Literal["process", "dask"] = Field(
        default="process", description="processes of this machine, or a Dask cluster"
    )
    workers: int | None = Field(
        default=None,
        ge=1,
        le=1024,
        description="processes; by default one a core, and threads of this process where images are few",
    )
    address: str | None = Field(
        default=None,
        description="of a Dask scheduler, tcp://HOST:8786; without one a cluster is started on this machine",
    )

    @model_validator(mode="before")
    @classmethod
    def _read_word(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        return {"engine": "dask", "address": value} if "://" in value else {"engine": value}

    @field_validator("address")
    @classmethod
    def _an_address_has_a_port(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"(\w+://)?.+:\d+/?", value):
            raise ValueError("should name a scheduler's host and port, as in tcp://HOST:8786")
        return value

    @model_validator(mode="after")
    def _an_address_is_of_a_cluster(self) -> Self:
        if self.address is not None and (self.engine != "dask" or self.workers is not None):
            raise ValueError(
                "address is that of a Dask scheduler, which has workers of its own; write engine: dask, and "
                "leave out workers"
            )
        return self
