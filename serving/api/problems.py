"""What the service refuses, it refuses in one form: application/problem+json (RFC 9457).

A problem says what arrived, what was expected and what to do, in `detail` for people and as members of their
own for programs. It never holds a traceback.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

from pydantic import BaseModel, ConfigDict
from starlette.responses import Response

from vision.base.errors import TaxonError

MEDIA_TYPE = "application/problem+json"


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
        status: HTTPStatus,
        code: str,
        *,
        arrived: str,
        expected: str,
        advice: str,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Compose the problem.

        Args:
            status: of HTTP.
            code: what went wrong in a few words with hyphens; stable, for programs.
            arrived: a sentence without its full stop.
            expected: as it goes on after "expected".
            advice: a sentence without its full stop.
            headers: go with the answer.
        """
        detail = f"{arrived}; expected {expected}. {advice}."
        super().__init__(detail)
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
            self.problem.model_dump_json(), self.status.value, headers=self.headers, media_type=MEDIA_TYPE
        )
