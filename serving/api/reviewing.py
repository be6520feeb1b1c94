"""The queue of answers that wait for a person, as the service tells it."""

from __future__ import annotations

import base64

from serving.api.schemas import Queue, UndoAnswer, Waiting
from serving.log.prediction_log import PredictionLog
from serving.log.review import list_doubts, take_back
from vision.base.errors import ImageError
from vision.data.thumbnails import make_thumbnail

SIDE = 480
"""Pixels of the longer side of a picture in the queue."""


def tell_waiting(log: PredictionLog, model_name: str, client: str, number: int) -> Queue:
    """The newest answers that this client has not corrected or confirmed.

    Raises:
        LogError: the log cannot be read.
    """
    found = list_doubts(log, model_name, client, number) if log.exists() else []
    return Queue(
        waiting=tuple(
            Waiting(
                prediction_id=each.prediction_id,
                time=each.time,
                file_name=each.file_name,
                group=each.group,
                decision=each.decision,
                unknown_kind=each.unknown_kind,
                class_name=each.class_name,
                confidence=each.confidence,
                picture_jpeg=_shrink(each.image),
                num_said=len(said),
            )
            for each, said in found
        )
    )


def undo_correction(log: PredictionLog, prediction_id: str, client: str) -> UndoAnswer:
    """Delete a client's correction.

    Raises:
        LogError: the log cannot be written.
    """
    gone = log.exists() and take_back(log, prediction_id, client)
    return UndoAnswer(prediction_id=prediction_id, taken_back=gone)


def _shrink(image: bytes | None) -> str | None:
    """The picture as a small JPEG in base64; None where none is kept, or it cannot be drawn."""
    try:
        return None if image is None else base64.b64encode(make_thumbnail(image, SIDE)).decode("ascii")
    except ImageError:
        return None
