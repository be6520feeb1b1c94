"""How the service's log is written: a line of words and fields, or of JSON where TAXON_LOGS is json.

Everything is logged by `logging`, its fields by `extra`; structlog gives each line its form.
"""

from __future__ import annotations

import logging
import os

import structlog
from structlog.typing import EventDict, Processor

LOGS_VARIABLE = "TAXON_LOGS"


def _drop_colours(_logger: object, _method: str, event: EventDict) -> EventDict:
    """The event without uvicorn's copy of its text for terminals."""
    event.pop("color_message", None)
    return event


def set_up_logs(logger: str = "") -> None:
    """Write what `logger` and those below it are told to standard error, in the form of TAXON_LOGS."""
    told: list[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        _drop_colours,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if os.environ.get(LOGS_VARIABLE) == "json":
        written: list[Processor] = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    else:
        plain = structlog.dev.plain_traceback
        written = [structlog.dev.ConsoleRenderer(colors=False, exception_formatter=plain, pad_event_to=0)]
    handler = logging.StreamHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=told,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *written],
        )
    )
    chosen = logging.getLogger(logger)
    chosen.handlers, chosen.propagate = [handler], False
    chosen.setLevel(logging.INFO)
