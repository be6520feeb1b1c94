"""One thing to do, in the same form on every page: what was found, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """How pressing an advice is."""

    ERROR = "error"
    WARNING = "warning"
    NOTICE = "notice"


@dataclass(frozen=True)
class Advice:
    """One thing to do.

    Attributes:
        severity: error where no model came of the run, warning where a promise cannot be kept or was broken.
        answer: what the model answers because of the finding; empty where it changes no answer.
    """

    finding: str
    action: str
    severity: Severity = Severity.NOTICE
    answer: str = ""
