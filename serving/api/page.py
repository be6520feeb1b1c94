"""The OpenAPI document as one page: no scripts, nothing from elsewhere, readable on a phone."""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import escape
from typing import Any

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8882; --accent: #0b6e77; }
@media (prefers-color-scheme: dark) { :root { --accent: #5fc7d1; } }
* { box-sizing: border-box; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 52rem; margin: 0 auto; padding: 1.5rem 1rem 4rem; }
h1 { margin: 0; } section { border-top: 1px solid var(--line); margin-top: 2rem; }
h2 { font-size: 1.2rem; overflow-wrap: anywhere; } h2 b { color: var(--accent); }
h3 { font-size: 1rem; margin: 1.2rem 0 .3rem; }
pre { background: var(--soft); padding: .7rem; overflow-x: auto; border-radius: .4rem; white-space: pre-wrap;
  overflow-wrap: anywhere; }
code { background: var(--soft); padding: 0 .25rem; border-radius: .25rem; }
a { color: var(--accent); }
dl { display: grid; grid-template-columns: minmax(6rem, 11rem) 1fr; gap: .35rem 1rem; margin: 0; }
dt { overflow-wrap: anywhere; } dd { margin: 0; overflow-wrap: anywhere; } small { opacity: .75; }
details { margin-top: 1rem; } summary { cursor: pointer; font-weight: 600; }
@media (max-width: 30rem) { dl { grid-template-columns: 1fr; gap: 0; } dd { margin-bottom: .5rem; } }
"""


def render_page(document: Mapping[str, Any]) -> str:
    """The page of an OpenAPI document that `serving.api.openapi` made."""
    info, schemas = document["info"], document["components"]["schemas"]
    sections = [
        _section(path, method, told, schemas)
        for path, methods in document["paths"].items()
        for method, told in methods.items()
    ]
    links = " · ".join(f'<a href="#{_anchor(path)}">{escape(path)}</a>' for path in document["paths"])
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Taxon: the service</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{_STYLE}</style></head><body><h1>{escape(info['title'])}</h1>"
        f"<p>{_text(info['description'])}</p><p>{links}</p>{''.join(sections)}</body></html>"
    )


def _section(path: str, method: str, told: Mapping[str, Any], schemas: Mapping[str, Any]) -> str:
    example = escape(told["x-codeSamples"][0]["source"])
    needs = (
        "Needs a key" if told.get("security") == [{"key": []}] else "For the machine that serves, or a key"
    )
    needs += f" for <code>{scope}</code>" if (scope := told.get("x-scope")) else ""
    access = f"<p><small>{needs if 'security' in told else 'For everybody'}.</small></p>"
    fields = _inputs(told)
    answer = told["responses"]["200"]["content"]
    schema = next(iter(answer.values())).get("schema")
    given = f"<h3>It answers</h3>{_list(_fields(schema, schemas))}" if schema else ""
    refusals = "".join(
        f"<dt>{status}</dt><dd>{_text(each['description'])}</dd>"
        for status, each in told["responses"].items()
        if status != "200"
    )
    return (
        f'<section id="{_anchor(path)}"><h2><b>{method.upper()}</b> {escape(path)}</h2>'
        f"<p>{escape(told['summary'])}.</p>{access}<pre>{example}</pre>{fields}{given}"
        f"<details><summary>Refusals</summary><dl>{refusals}</dl></details></section>"
    )


def _inputs(told: Mapping[str, Any]) -> str:
    """What may be sent: fields of the form and parameters of the query."""
    rows = []
    if "requestBody" in told:
        form = told["requestBody"]["content"]["multipart/form-data"]["schema"]
        for name, field in form["properties"].items():
            kind = "form, needed" if name in form["required"] else "form"
            rows.append((name, kind, field["description"]))
    rows += [(each["name"], each["in"], each["description"]) for each in told.get("parameters", ())]
    return f"<h3>It takes</h3>{_list(rows)}" if rows else ""


def _fields(
    schema: Mapping[str, Any], schemas: Mapping[str, Any], before: str = ""
) -> list[tuple[str, str, str]]:
    """Name, kind and description of each field; those of a part follow as `part.field`."""
    rows = []
    for name, field in _find(schema, schemas)["properties"].items():
        described = _find(field, schemas)
        text = field.get("description") or described.get("description", "")
        rows.append((before + name, _kind(field, schemas), text))
        part = described.get("items", described)
        if "$ref" in part or "properties" in part:
            rows += _fields(part, schemas, f"{before}{name}.")
    return rows


def _find(schema: Mapping[str, Any], schemas: Mapping[str, Any]) -> Mapping[str, Any]:
    """The schema that a reference leads to, or itself."""
    found: Mapping[str, Any] = schemas[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
    return found


def _kind(field: Mapping[str, Any], schemas: Mapping[str, Any]) -> str:
    described = _find(field, schemas)
    if "enum" in described:
        return ", ".join(str(value) for value in described["enum"])
    if "anyOf" in described:
        return " or ".join(_kind(each, schemas) for each in described["anyOf"])
    if described.get("type") == "array":
        return f"list, each {_kind(described['items'], schemas)}"
    return str(described.get("type", ""))


def _list(rows: list[tuple[str, str, str]]) -> str:
    lines = (
        f"<dt><code>{escape(name)}</code></dt><dd>{_text(description)} <small>{escape(kind)}</small></dd>"
        for name, kind, description in rows
    )
    return f"<dl>{''.join(lines)}</dl>"


def _text(text: str) -> str:
    return re.sub(r"`([^`]*)`", r"<code>\1</code>", escape(text))


def _anchor(path: str) -> str:
    return path.strip("/").replace(".", "-")
