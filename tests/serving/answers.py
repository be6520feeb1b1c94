"""Answers to log: every field may be set, the rest is plausible and differs from answer to answer."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from serving.log.entries import LogEntry
from vision.decision.records import Decision

START = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
DIGEST = "d" * 64


def make_entry(serial: int = 0, **fields: Any) -> LogEntry:
    """Answer `serial` of a series: one second after the one before."""
    rng = np.random.default_rng(serial)
    plain: dict[str, Any] = {
        "prediction_id": f"id-{serial}",
        "time": START + serial * timedelta(seconds=1),
        "client": "harbour",
        "file_name": f"fish_{serial}.jpg",
        "latency_ms": 12.5 + serial,
        "model_name": "reef",
        "model_version": "3",
        "model_digest": DIGEST,
        "group": f"fish-{serial // 2}",
        "decision": Decision.ACCEPT,
        "class_name": "royal_gramma",
        "confidence": 0.1 + 0.2,
        "unknown_score": -1 / 3,
        "p_value": 1 / 7,
        "logits": rng.normal(size=8).astype(np.float32),
        "embedding": rng.normal(size=64).astype(np.float16),
        "quality": rng.normal(size=8).astype(np.float32),
    }
    return LogEntry(**(plain | fields))
