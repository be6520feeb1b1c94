"""One answered image as the prediction log keeps it, and what a log must be able to do."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from vision.records import Decision, FloatArray


@dataclass(frozen=True, eq=False)
class LogEntry:
    """What monitoring and a later question about one answer need.

    Attributes:
        prediction_id: as the client was told.
        time: UTC, when the answer was made.
        client: name of the API key.
        file_name: of the upload, cleaned.
        latency_ms: from the request's arrival to the decision.
        model_name: of the served model.
        model_version: in the registry.
        model_digest: of the bundle.
        group: as the client gave it; None where it gave none.
        decision: accept, review or unknown.
        class_name: most probable known class.
        confidence: its calibrated probability.
        unknown_score: higher is more unknown.
        p_value: share of calibration images at least this unknown.
        logits: (k,) float32, not divided by the temperature.
        embedding: (d,) float32, stored as float16.
        quality: (q,) float32, columns of `vision.quality.QUALITY_COLUMNS`.
        image: the uploaded bytes, only where `keep_images` says so.
    """

    prediction_id: str
    time: datetime
    client: str
    file_name: str
    latency_ms: float
    model_name: str
    model_version: str
    model_digest: str
    group: str | None
    decision: Decision
    class_name: str
    confidence: float
    unknown_score: float
    p_value: float
    logits: FloatArray
    embedding: FloatArray
    quality: FloatArray
    image: bytes | None


class AnswerLog(Protocol):
    """Where answers are written down."""

    def append(self, entry: LogEntry) -> object:
        """Commit one entry; what it returns is not looked at.

        Raises:
            LogError: the database is locked, gone or full; the entry is not kept.
        """
