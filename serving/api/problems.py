"""Every refusal of the service as application/problem+json (RFC 9457).

A problem says what arrived, what was expected and what to do, in `detail` for people and as members of their
own for programs. It never holds a traceback.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from types import MappingProxyType

from pydantic import BaseModel, ConfigDict
from starlette.responses import Response

from vision.base.errors import TaxonError

MEDIA_TYPE = "application/problem+json"

GUARDING_HEADERS: Mapping[str, str] = MappingProxyType(
    {
        "x-content-type-options": "nosniff",
        "cache-control": "no-store",
        "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    }
)
"""What every answer tells a browser that shows it; the page of /docs has a policy of its own."""

PROBLEMS: Mapping[str, tuple[HTTPStatus, str]] = MappingProxyType(
    {
        "malformed-request": (HTTPStatus.BAD_REQUEST, "Headers that two programs could read differently."),
        "no-key": (HTTPStatus.UNAUTHORIZED, "No X-API-Key, or one that is none of this service's."),
        "scope": (HTTPStatus.FORBIDDEN, "The key is not for this."),
        "no-such-path": (HTTPStatus.NOT_FOUND, "The path does not exist."),
        "no-such-answer": (HTTPStatus.NOT_FOUND, "The log holds no answer of that prediction_id."),
        "wrong-method": (HTTPStatus.METHOD_NOT_ALLOWED, "The path has another method."),
        "slow-head": (HTTPStatus.REQUEST_TIMEOUT, "The headers did not arrive in time."),
        "too-slow": (HTTPStatus.REQUEST_TIMEOUT, "The body did not arrive in time."),
        "archive": (HTTPStatus.UNPROCESSABLE_ENTITY, "The archive is damaged, or holds too much."),
        "too-large": (HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "The body has too many bytes."),
        "content-type": (HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "The body is no multipart form."),
        "image-format": (HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "The file is no image of a format that is read."),
        "image-unusable": (HTTPStatus.UNPROCESSABLE_ENTITY, "The image is damaged or has too many pixels."),
        "form": (HTTPStatus.UNPROCESSABLE_ENTITY, "The form lacks a field, or holds something else."),
        "query": (HTTPStatus.UNPROCESSABLE_ENTITY, "The query holds something else than what may be asked."),
        "group": (HTTPStatus.UNPROCESSABLE_ENTITY, "The group is too long or not printable."),
        "no-known-images": (HTTPStatus.CONFLICT, "The model keeps no known images to compare with."),
        "box": (HTTPStatus.UNPROCESSABLE_ENTITY, "The box is no box, or holds nothing of the picture."),
        "not-told-apart": (
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "Too few pictures, not to be told from known classes, or none of the kind that was taught.",
        ),
        "enrolled-enough": (
            HTTPStatus.CONFLICT,
            "As many pictures of new classes are kept as may be; a training takes them, or forget some.",
        ),
        "busy": (HTTPStatus.TOO_MANY_REQUESTS, "Too many requests at a time; Retry-After says when again."),
        "too-often": (
            HTTPStatus.TOO_MANY_REQUESTS,
            "The key had its share of requests; Retry-After says when again.",
        ),
        "fault": (HTTPStatus.INTERNAL_SERVER_ERROR, "A fault of the service, told in its log."),
        "loading": (HTTPStatus.SERVICE_UNAVAILABLE, "The model is being loaded."),
        "refused": (
            HTTPStatus.SERVICE_UNAVAILABLE,
            "The model or a setting is refused; the operator has to act.",
        ),
        "overloaded": (HTTPStatus.SERVICE_UNAVAILABLE, "No thread became free in time."),
        "no-room": (HTTPStatus.SERVICE_UNAVAILABLE, "The archive cannot be kept while it is answered."),
        "not-logged": (HTTPStatus.SERVICE_UNAVAILABLE, "The prediction log is off or cannot be written."),
        "model-failed": (HTTPStatus.SERVICE_UNAVAILABLE, "The model gave values that are not finite."),
    }
)
"""Code of every problem -> its HTTP status, and when it is told."""


class Problem(BaseModel):
    """The body of a refusal."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: str
    title: str
    status: int
    detail: str
    arrived: str
    expected: str
    advice: str


class ProblemError(TaxonError):
    """A request cannot be answered; carries what the client is told."""

    def __init__(
        self,
        code: str,
        *,
        arrived: str,
        expected: str,
        advice: str,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Compose the problem.

        Args:
            code: one of PROBLEMS.
            arrived: a sentence without its full stop.
            expected: as it goes on after "expected".
            advice: a sentence without its full stop.
            headers: go with the answer.
        """
        detail = f"{arrived}; expected {expected}. {advice}."
        super().__init__(detail)
        status = PROBLEMS[code][0]
        self.status = status
        self.code = code
        self.headers = dict(headers or {})
        self.problem = Problem(
            type=f"urn:taxon:problem:{code}",
            title=status.phrase,
            status=status.value,
            detail=detail,
            arrived=arrived,
            expected=expected,
            advice=advice,
        )

    def to_response(self) -> Response:
        """The answer to send."""
        return Response(
            self.problem.model_dump_json(),
            self.status.value,
            headers={**GUARDING_HEADERS, **self.headers},
            media_type=MEDIA_TYPE,
        )
