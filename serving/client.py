"""How the service is asked from Python: one image by POST /predict, without any proxy."""

from __future__ import annotations

import http.client
import json
import secrets
from urllib.parse import urlsplit

from pydantic import ValidationError

from serving.schemas import PredictionAnswer
from vision.errors import ServiceError

TIMEOUT_SECONDS = 30.0
_LONGEST_ANSWER = 10_000_000


def ask_service(
    url: str, key: str, image: bytes, file_name: str = "image", timeout_seconds: float = TIMEOUT_SECONDS
) -> PredictionAnswer:
    """The service's answer to one image.

    Args:
        url: of the service, `http://HOST:PORT`.
        key: API key.
        image: content of the file.
        file_name: as the log is to name it.
        timeout_seconds: longest wait for any one part of the answer.

    Raises:
        ServiceError: it does not answer, refuses (with its reason), or answers something else.
    """
    boundary = secrets.token_hex(16)
    shown = file_name.encode("ascii", "replace").decode().translate({34: "_", 92: "_", 10: "_", 13: "_"})
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="image"; filename="{shown}"\r\n\r\n'
    body = head.encode() + image + f"\r\n--{boundary}--\r\n".encode()
    headers = {"X-API-Key": key, "Content-Type": f"multipart/form-data; boundary={boundary}"}
    address = urlsplit(url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=timeout_seconds)
    try:
        connection.request("POST", "/predict", body, headers)
        response = connection.getresponse()
        status, content = response.status, response.read(_LONGEST_ANSWER)
    except (OSError, http.client.HTTPException) as error:
        raise ServiceError(
            f"{url} did not answer ({error}). See: python run.py service status, python run.py service logs"
        ) from error
    finally:
        connection.close()
    if status != http.client.OK:
        raise ServiceError(f"{url} refused {shown} with {status}: {_read_reason(content)}")
    try:
        return PredictionAnswer.model_validate_json(content)
    except ValidationError as error:
        raise ServiceError(
            f"{url} answered {shown} with something else than an answer of this version of Taxon: "
            f"{error.errors()[0]['msg']}. Deploy the service again."
        ) from error


def _read_reason(content: bytes) -> str:
    """The `detail` of a problem document, or how another body begins."""
    try:
        return str(json.loads(content)["detail"])
    except (ValueError, KeyError, TypeError):
        return repr(content[:200])
