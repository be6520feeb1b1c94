"""What may be asked in an address, read by its schema; anything else is refused."""

from __future__ import annotations

from typing import TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import Request

from serving.api.problems import ProblemError

Query = TypeVar("Query", bound=BaseModel)


def _list_once(given: list[tuple[str, str]]) -> dict[str, str]:
    if len(dict(given)) < len(given):
        raise ValueError("a parameter twice")
    return dict(given)


def read_query(schema: type[Query], request: Request) -> Query:
    """The query of a request.

    Raises:
        ProblemError: another parameter or value arrived, or one twice (422).
    """
    given = request.query_params.multi_items()
    fields = schema.model_fields
    try:
        return schema.model_validate(_list_once(given))
    except ValueError as error:
        wrong = [str(each["loc"][0]) for each in error.errors()] if isinstance(error, ValidationError) else []
        named = [name for name in wrong if name in fields] or list(fields)
        raise ProblemError(
            "query",
            arrived=f"The query {str(request.url.query)[:80]!r} arrived",
            expected="; ".join(f"{name}: {fields[name].description}" for name in named),
            advice="Leave the rest out",
        ) from error
