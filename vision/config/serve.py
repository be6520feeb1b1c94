"""Where the service answers, and where its answers are kept."""

from __future__ import annotations

import re
from ipaddress import ip_address

from pydantic import Field, field_validator

from vision.config.base import Settings

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
