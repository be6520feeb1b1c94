"""What one endpoint declares: guard, routes and the OpenAPI document follow from it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

if TYPE_CHECKING:
    from serving.api.state import ServiceState


class Access(StrEnum):
    """Who may ask for a path."""

    OPEN = "open"
    LOCAL_OR_KEY = "local or key"
    KEY = "key"


Handler = Callable[["ServiceState", Request], Awaitable[Response]]


@dataclass(frozen=True)
class Endpoint:
    """One path.

    Attributes:
        path: exact, without a slash at its end.
        method: GET or POST; GET answers HEAD as well.
        access: who may ask.
        summary: what it gives, in one line.
        handler: answers a request that the guard let through.
        media_type: of the answer.
        answer: what the answer holds; None where that is no JSON of ours.
        problems: codes of `serving.api.problems.PROBLEMS` that it may answer, those of the guard left out.
        request: OpenAPI's requestBody, or None.
        parameters: OpenAPI's parameters.
        example: a command that works, with $KEY and $URL.
    """

    path: str
    method: str
    access: Access
    summary: str
    handler: Handler
    example: str
    media_type: str = "application/json"
    answer: type[BaseModel] | None = None
    problems: tuple[str, ...] = ()
    request: Mapping[str, Any] | None = None
    parameters: tuple[Mapping[str, Any], ...] = field(default=())

    @property
    def methods(self) -> tuple[str, ...]:
        """Every method that is answered."""
        return ("GET", "HEAD") if self.method == "GET" else (self.method,)


def to_json(body: BaseModel) -> Response:
    """A body as JSON, without what is None."""
    return Response(body.model_dump_json(exclude_none=True), media_type="application/json")
