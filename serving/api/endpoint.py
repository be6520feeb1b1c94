"""What one endpoint declares: access, routes and the OpenAPI document follow from it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from serving.api.answering.state import ServiceState
from serving.api.keys import KeyScope

PICTURE_PROBLEMS = ("image-format", "image-unusable", "overloaded", "model-failed", "loading", "refused")
"""Codes of `serving.api.problems.PROBLEMS` that a handler may answer that has pictures looked at."""


class Access(StrEnum):
    """Who may ask for a path."""

    OPEN = "open"
    LOCAL_OR_KEY = "local or key"
    KEY = "key"


@dataclass(frozen=True)
class Endpoint:
    """One path.

    Attributes:
        path: exact, without a slash at its end.
        summary: what it gives, in one line.
        handler: answers an admitted request by a response, or by a body that becomes JSON.
        example: a command that works, with $KEY and $URL.
        methods: that are answered; the first is documented.
        access: who may ask.
        scope: that a key needs; None: any key will do.
        media_type: of the answer.
        answer: what the answer holds; None where that is no JSON of ours.
        problems: codes of `serving.api.problems.PROBLEMS` that the handler may answer, beside those that
            follow from access, scope, form and query.
        form: what a request's body holds as multipart/form-data; None where there is none.
        max_body: the setting that bounds its body, in bytes.
        query: what its query may hold; None where nothing is expected.
    """

    path: str
    summary: str
    handler: Callable[[ServiceState, Request], Awaitable[Response | BaseModel]]
    example: str
    methods: tuple[str, ...] = ("GET", "HEAD")
    access: Access = Access.OPEN
    scope: KeyScope | None = None
    media_type: str = "application/json"
    answer: type[BaseModel] | None = None
    problems: tuple[str, ...] = ()
    form: type[BaseModel] | None = None
    query: type[BaseModel] | None = None
    max_body: str = "max_body_bytes"

    @property
    def about_pictures(self) -> bool:
        """Whether its requests hold pictures, of which a key may send fewer in a minute."""
        return self.form is not None and not {"image", "archive"}.isdisjoint(self.form.model_fields)
