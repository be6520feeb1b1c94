"""The OpenAPI 3.1 document, made from the endpoints' declarations and the schemas of their answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from serving.api.endpoint import Access, Endpoint
from serving.api.problems import MEDIA_TYPE, PROBLEMS, Problem

VERSION = "1"
COMMON_PROBLEMS = ("malformed-request", "too-large", "slow-head", "wrong-method")
"""What may be answered at any path, whatever its handler does."""
FORM_PROBLEMS = ("content-type", "form", "too-slow", "busy")
"""And where a form is read."""

_REF = "#/components/schemas/{model}"
_TEXT = (
    "Image in, decision out. `accept`: the class can be relied on as the model promises (GET /model). "
    "`review`: a person should look. `unknown`: none of the classes. Refusals are application/problem+json "
    "(RFC 9457); `type` ends in one of the codes listed with each path."
)


def describe_api(endpoints: Sequence[Endpoint]) -> dict[str, Any]:
    """The document, as what becomes JSON."""
    models = dict.fromkeys(each.answer for each in endpoints if each.answer is not None) | {Problem: None}
    inputs: list[tuple[type[BaseModel], JsonSchemaMode]] = [(model, "serialization") for model in models]
    _, schemas = models_json_schema(inputs, ref_template=_REF)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Taxon", "version": VERSION, "description": _TEXT},
        "paths": {each.path: {each.methods[0].lower(): _describe(each)} for each in endpoints},
        "components": {
            "schemas": schemas["$defs"],
            "securitySchemes": {"key": {"type": "apiKey", "in": "header", "name": "X-API-Key"}},
        },
    }


def _describe(endpoint: Endpoint) -> dict[str, Any]:
    told: dict[str, Any] = {
        "summary": endpoint.summary,
        "operationId": endpoint.path.strip("/").replace(".", "_"),
        "responses": {"200": _answer(endpoint)} | _refusals(endpoint),
        "x-codeSamples": [{"lang": "Shell", "source": endpoint.example}],
    }
    if endpoint.access is Access.KEY:
        told["security"] = [{"key": []}]
    elif endpoint.access is Access.LOCAL_OR_KEY:
        told["security"] = [{"key": []}, {}]
        told["description"] = "The machine that serves may ask without a key."
    if endpoint.scope is not None:
        told["description"] = f"{told.get('description', '')} The key needs `{endpoint.scope}`.".strip()
        told["x-scope"] = endpoint.scope.value
    if endpoint.query is not None:
        fields = endpoint.query.model_json_schema()["properties"]
        told["parameters"] = [
            {"name": name, "in": "query", "description": field.pop("description"), "schema": field}
            for name, field in fields.items()
        ]
    if endpoint.form is not None:
        schema = endpoint.form.model_json_schema()
        told["requestBody"] = {"required": True, "content": {"multipart/form-data": {"schema": schema}}}
    return told


def _answer(endpoint: Endpoint) -> dict[str, Any]:
    if endpoint.answer is None:
        return {"description": endpoint.summary, "content": {endpoint.media_type: {}}}
    schema = {"$ref": _REF.format(model=endpoint.answer.__name__)}
    described = (endpoint.answer.__doc__ or endpoint.summary).strip()
    return {"description": described, "content": {endpoint.media_type: {"schema": schema}}}


def _refusals(endpoint: Endpoint) -> dict[str, Any]:
    """Status -> which problems it stands for, each with its code."""
    codes = [*endpoint.problems, *COMMON_PROBLEMS, "fault"]
    if endpoint.form is not None:
        codes += FORM_PROBLEMS
    if endpoint.query is not None:
        codes.append("query")
    if endpoint.access is not Access.OPEN:
        codes += ["no-key", "too-often"]
    if endpoint.scope is not None:
        codes.append("scope")
    by_status: dict[int, list[str]] = {}
    for code in codes:
        by_status.setdefault(PROBLEMS[code][0].value, []).append(code)
    schema = {"$ref": _REF.format(model=Problem.__name__)}
    return {
        str(status): {
            "description": " ".join(f"`{code}`: {PROBLEMS[code][1]}" for code in listed),
            "content": {MEDIA_TYPE: {"schema": schema}},
        }
        for status, listed in sorted(by_status.items())
    }
