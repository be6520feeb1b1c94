"""How the service is asked from Python: one image by POST /predict, without any proxy."""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, BinaryIO, TypeVar

import httpx
from pydantic import BaseModel, ValidationError

from serving.api.schemas import (
    BatchRow,
    CorrectionAnswer,
    EnrolledAnswer,
    ModelDescription,
    PredictionAnswer,
    PredictionQuery,
    Queue,
    Ready,
    UndoAnswer,
)
from serving.api.traffic_bodies import Traffic
from vision.base.errors import ServiceError

TIMEOUT_SECONDS = 30.0
READY_SECONDS = 5.0
BATCH_SECONDS = 120.0
"""Longest wait for a row of a batch."""

_NO_AUTHORITIES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""The service speaks plain HTTP; reading the machine's authorities would take 37 ms of every question."""


class RefusedError(ServiceError):
    """The service answered that it will not; `code` is one of `serving.api.problems.PROBLEMS`, or empty."""

    def __init__(self, message: str, code: str) -> None:
        """Say what was refused and why."""
        super().__init__(message)
        self.code = code

    @classmethod
    def entry(cls) -> str:
        """The anchor of a service's errors."""
        return ServiceError.entry()


Body = TypeVar("Body", bound=BaseModel)


def ask_service(
    url: str,
    key: str,
    image: bytes,
    file_name: str = "image",
    *,
    group: str | None = None,
    query: PredictionQuery | None = None,
) -> PredictionAnswer:
    """The service's answer to one image.

    Args:
        url: of the service, `http://HOST:PORT`.
        key: API key.
        image: content of the file.
        file_name: as the log is to name it.
        group: what monitoring counts: a camera, an individual, a visit; None: not known.
        query: how it is looked at, and what else is told; None: as it is, and the answer alone.

    Raises:
        ServiceError: it does not answer, refuses (with its reason), or answers something else.
    """
    shown = file_name.encode("ascii", "replace").decode().translate({34: "_", 92: "_", 10: "_", 13: "_"})
    return _ask(
        PredictionAnswer,
        url,
        key,
        "POST /predict",
        shown,
        params=query.model_dump(exclude_defaults=True) if query else {},
        files={"image": (shown, image, "application/octet-stream")},
        data={} if group is None else {"group": group},
    )


def list_waiting(url: str, key: str, number: int) -> Queue:
    """The newest answers that wait for this key's word.

    Raises:
        ServiceError: as of `ask_service`.
    """
    asked = {"number": str(number)}
    return _ask(Queue, url, key, "GET /review", "the question for what waits", params=asked)


def undo_correction(url: str, key: str, prediction_id: str) -> UndoAnswer:
    """Take this key's correction of an answer back.

    Raises:
        ServiceError: as of `ask_service`.
    """
    texts = {"prediction_id": (None, prediction_id)}
    return _ask(UndoAnswer, url, key, "POST /corrections/undo", "an undo", files=texts)


def enrol_class(url: str, key: str, class_name: str, images: Sequence[tuple[str, bytes]]) -> EnrolledAnswer:
    """Make a new class of pictures (file name and content) that the service answers provisionally.

    Raises:
        ServiceError: as of `ask_service`.
    """
    files = [("image", (f"{number}", content)) for number, (_, content) in enumerate(images)]
    subject, texts = f"the new class {class_name}", {"class_name": class_name}
    return _ask(EnrolledAnswer, url, key, "POST /enrol", subject, data=texts, files=files)


def answer_archive(url: str, key: str, archive: BinaryIO) -> Iterator[BatchRow]:
    """A row for each file of a ZIP archive, in its order, as the service makes them.

    Raises:
        ServiceError: as of `ask_service`; also where the rows end before the archive does.
    """
    files = {"archive": ("pictures.zip", archive, "application/zip")}
    with (
        _open_client(url, key, BATCH_SECONDS) as client,
        client.stream("POST", f"{url}/predict_batch", files=files) as response,
    ):
        if response.status_code != httpx.codes.OK:
            response.read()
        _check_status(response, url, "the archive")
        for line in response.iter_lines():
            yield _parse(BatchRow, line, url, "the archive")


def describe_model(url: str, key: str) -> ModelDescription:
    """What the service serves: classes, thresholds and their promises.

    Raises:
        ServiceError: it does not answer, refuses (with its reason), or answers something else.
    """
    return _ask(ModelDescription, url, key, "GET /model", "the question for its model")


def ask_ready(url: str) -> Ready:
    """What a ready service says of itself.

    Raises:
        ServiceError: it is not ready; a RefusedError of code `refused` where it never will be.
    """
    return _ask(Ready, url, "", "GET /readyz", "the question whether it is ready", timeout=READY_SECONDS)


def read_traffic(url: str, key: str, hours: int) -> Traffic:
    """What the service answered in the last hours, and what monitoring said of it.

    Raises:
        ServiceError: as of `ask_service`.
    """
    asked = {"hours": str(hours)}
    return _ask(Traffic, url, key, "GET /traffic", "the question for its traffic", params=asked)


def correct_answer(url: str, key: str, prediction_id: str, class_name: str) -> CorrectionAnswer:
    """Tell the service what an answer should have been; what it wrote down.

    Raises:
        ServiceError: as of `ask_service`.
    """
    texts = {"prediction_id": (None, prediction_id), "class_name": (None, class_name)}
    return _ask(CorrectionAnswer, url, key, "POST /corrections", "a correction", files=texts)


def _ask(
    kind: type[Body],
    url: str,
    key: str,
    route: str,
    subject: str,
    **parts: Any,
) -> Body:
    """The answer of one kind to a question, such as `GET /model`; `subject` names it in errors.

    Raises:
        ServiceError: as of `ask_service`.
    """
    method, path = route.split()
    with _open_client(url, key, TIMEOUT_SECONDS) as client:
        response = client.request(method, f"{url}{path}", **parts)
    _check_status(response, url, subject)
    return _parse(kind, response.content, url, subject)


@contextmanager
def _open_client(url: str, key: str, timeout_seconds: float) -> Iterator[httpx.Client]:
    """A client whose faults are ServiceError."""
    try:
        with httpx.Client(
            trust_env=False, verify=_NO_AUTHORITIES, timeout=timeout_seconds, headers={"X-API-Key": key}
        ) as client:
            yield client
    except httpx.InvalidURL as error:
        raise ServiceError(
            f"{url!r} is no URL of a service ({error}). Expected http://HOST:PORT, with [] around IPv6."
        ) from error
    except httpx.HTTPError as error:
        raise ServiceError(f"{url} did not answer ({error}). See: python run.py service logs") from error


def _check_status(response: httpx.Response, url: str, subject: str) -> None:
    if response.status_code != httpx.codes.OK:
        reason, code = _read_reason(response)
        raise RefusedError(f"{url} refused {subject} with {response.status_code}: {reason}", code)


def _parse(kind: type[Body], content: bytes | str, url: str, subject: str) -> Body:
    try:
        return kind.model_validate_json(content)
    except ValidationError as error:
        raise ServiceError(
            f"{url} answered {subject} with something else than an answer of this version of Taxon: "
            f"{error.errors()[0]['msg']}. Deploy the service again."
        ) from error


def _read_reason(response: httpx.Response) -> tuple[str, str]:
    """`detail` and code of a problem document, or how another body begins and no code."""
    try:
        problem = response.json()
        return str(problem["detail"]), str(problem["type"]).rpartition(":")[2]
    except (ValueError, KeyError, TypeError):
        return repr(response.content[:200]), ""
