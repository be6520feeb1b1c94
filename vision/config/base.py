"""What all settings share."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

Fraction = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]
OpenFraction = Annotated[float, Field(gt=0.0, lt=1.0, allow_inf_nan=False)]


def _auto_or_share(value: Any) -> Any:
    number = isinstance(value, int | float) and 0.0 < value < 1.0
    if value != "auto" and not number:
        raise ValueError("expected auto, or a number above 0 and below 1")
    return value


AutoFraction = Annotated[float | Literal["auto"], BeforeValidator(_auto_or_share)]
PositiveFloat = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]
Seed = Annotated[int, Field(ge=0, lt=2**31)]


class Settings(BaseModel):
    """Base of every section: frozen, no unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_enum_values=False)
