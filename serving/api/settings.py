"""What the service may be told from outside: one frozen class, read from the variables TAXON_*."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from limits import parse_many
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator

from serving.api.keys import CHECK_CLIENT, ApiKey, parse_keys, read_keys_file
from vision.base.errors import ConfigError

PREFIX = "TAXON_"
"""Field `max_body_bytes` is read from the variable TAXON_MAX_BODY_BYTES, and so on."""


class ServiceSettings(BaseModel):
    """Every setting of the service with its bounds and default; secrets are never printed."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    api_keys: SecretStr = Field(default=SecretStr(""), description="name:key,name:key; none: never ready")
    api_keys_file: Path | None = Field(default=None, description="file with more of them, one a line")
    log_url: SecretStr | None = Field(
        default=None, description="database of the prediction log; none: no log"
    )
    log_wait_s: float = Field(default=0.5, gt=0, le=10, description="longest wait for other writers")
    keep_images: bool = Field(default=False, description="keep the bytes of the images in the log")
    instance: str = Field(
        default="", max_length=64, description="told by /readyz, so that a starter knows its own child"
    )
    logs: Literal["text", "json"] = Field(default="text", description="form of the service's log")
    restarts: int = Field(default=0, ge=0, description="times that the worker was started again")
    max_body_bytes: int = Field(default=5_000_000, ge=1_000, le=100_000_000)
    max_megapixels: float = Field(default=40.0, gt=0, le=500, allow_inf_nan=False)
    max_in_flight: int = Field(default=32, ge=1, le=10_000, description="requests held at a time")
    max_in_flight_per_key: int | None = Field(
        default=None,
        ge=1,
        le=10_000,
        description="of them, of one key; none: all where there is one key, else three quarters",
    )
    rate_limit: str | None = Field(
        default=None,
        description="requests of one key, such as 60/minute, or none; without it 60/minute for every key "
        "but that of this machine",
    )
    predict_rate_limit: str | None = Field(
        default=None, description="of them, about pictures; without it 30/minute, as above"
    )
    rate_limit_storage: SecretStr = Field(
        default=SecretStr("memory://"),
        description="where they are counted: memory://, sqlite:///PATH for several workers, redis://HOST",
    )
    body_seconds: float = Field(default=15.0, gt=0, le=600, description="time to send a body in")
    max_batch_bytes: int = Field(default=200_000_000, ge=1_000, description="of an archive of images")
    max_batch_unpacked_bytes: int = Field(default=1_000_000_000, ge=1_000, description="of all its files")
    max_batch_files: int = Field(default=10_000, ge=1, le=1_000_000)
    max_enrolled_images: int = Field(default=1_000, ge=1, description="kept of all new classes of a model")
    max_enrolled_bytes: int = Field(default=100_000_000, ge=1_000, description="of them together")
    batch_seconds: float = Field(
        default=900.0, gt=0, description="time to send an archive in, and again to let its rows wait"
    )
    queue_seconds: float = Field(default=30.0, gt=0, le=600, description="longest wait for a thread")
    threads: int = Field(default=2, ge=1, le=64, description="images decoded at a time")
    engine_threads: int = Field(default=1, ge=1, le=64, description="threads of one run of the graph")
    top_k: int = Field(default=5, ge=1, le=100, description="classes in an answer")

    @field_validator("rate_limit", "predict_rate_limit")
    @classmethod
    def _check_rate(cls, text: str | None) -> str | None:
        if text is not None and text != "none" and len(parse_many(text)) != 1:
            raise ValueError("several limits; expected one, such as 60/minute")
        return text

    def read_keys(self) -> dict[str, ApiKey]:
        """Every client's key, from the variable and from the file.

        Raises:
            ConfigError: an entry is wrong, or the file cannot be read.
        """
        more = read_keys_file(self.api_keys_file) if self.api_keys_file is not None else ""
        return parse_keys(f"{self.api_keys.get_secret_value()},{more}")

    @property
    def places_per_key(self) -> int:
        """Requests of one key held at a time, so that slow uploads by one shut no other key out."""
        if self.max_in_flight_per_key is not None:
            return self.max_in_flight_per_key
        several = len(self.read_keys().keys() - {CHECK_CLIENT}) > 1
        return max(1, self.max_in_flight * 3 // 4) if several else self.max_in_flight


def read_settings(environment: Mapping[str, str]) -> ServiceSettings:
    """The settings that environment variables give; variables of other names are not looked at.

    Raises:
        ConfigError: every fault, one a line, by the variable's name; values are not repeated, as some are
            secrets.
    """
    names = {PREFIX + field.upper(): field for field in ServiceSettings.model_fields}
    given = {field: environment[name] for name, field in names.items() if environment.get(name)}
    try:
        return ServiceSettings.model_validate(given)
    except ValidationError as error:
        faults = [f"{PREFIX}{str(fault['loc'][0]).upper()}: {fault['msg']}" for fault in error.errors()]
        raise ConfigError(
            "\n".join([*faults, "Correct these environment variables, or unset them for the defaults."])
        ) from error
