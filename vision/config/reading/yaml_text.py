"""YAML as people write it: any Unicode encoding, `yes` and `no` as words, faults in one sentence."""

from __future__ import annotations

import codecs
import re
from pathlib import Path
from typing import Any

import yaml

from vision.base.errors import ConfigError

# What PyYAML raises on text that it cannot turn into values: more digits than `int` takes, a thirteenth
# month, an empty `!!int`, thousands of brackets.
_YAML_FAULTS = (yaml.YAMLError, ValueError, LookupError, AttributeError, RecursionError)

_MARKS = (  # the longer first: UTF-32 begins like UTF-16
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_BOOL_TAG = "tag:yaml.org,2002:bool"


def read_text(path: Path) -> str:
    """The text of a file, in UTF-8 or in the encoding that its byte order mark names.

    Raises:
        ConfigError: it cannot be read, or is not text.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror or error}") from error
    encoding = next((name for mark, name in _MARKS if raw.startswith(mark)), "utf-8")
    try:
        return raw.decode(encoding)
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise ConfigError(
            f"{path}: line {line}: is not UTF-8 text (byte 0x{raw[error.start]:02x}). Expected UTF-8. Save "
            "the file as UTF-8 in the editor."
        ) from error


def parse_yaml(text: str, name: str) -> Any:
    """The value of a YAML 1.1 text from `name`; `yes`, `no`, `on` and `off` are words as in YAML 1.2.

    Raises:
        ConfigError: the text is not YAML, or gives a key twice.
    """
    try:
        loader = _Loader(text)
        loader.name = name
        try:
            return loader.get_single_data()
        finally:
            loader.dispose()
    except _YAML_FAULTS as error:
        raise ConfigError(f"{name}: not YAML: {_describe(error, text)}") from error


def write_inline(value: object) -> str:
    """A value on one line, in quotes where YAML would read something else."""
    flow = isinstance(value, list | dict)
    text = yaml.safe_dump(value, allow_unicode=True, width=10**6, default_flow_style=flow or None)
    return text.removesuffix("\n").removesuffix("\n...")


class _Loader(yaml.SafeLoader):
    """The safe loader, which also refuses a key that one mapping has twice."""

    def compose_mapping_node(self, anchor: dict[str, yaml.Node]) -> yaml.MappingNode:
        """Compose a mapping; merge keys (`<<`), which come later, may repeat what it says."""
        node = super().compose_mapping_node(anchor)
        lines: dict[tuple[str, str], int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag == "tag:yaml.org,2002:merge":
                continue
            line = key.start_mark.line + 1
            if (key.tag, key.value) in lines:
                raise ConfigError(
                    f"{self.name}: line {line}: the key {key.value!r} is given twice (first in line "
                    f"{lines[key.tag, key.value]}); keep one of them"
                )
            lines[key.tag, key.value] = line
        return node


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != _BOOL_TAG]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(_BOOL_TAG, re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF"))


def _describe(error: Exception, text: str) -> str:
    """Line, problem and the line itself; for a backslash in double quotes, what to write."""
    mark = getattr(error, "problem_mark", None)
    if mark is None:
        return str(error)
    problem = getattr(error, "problem", "")
    lines = text.splitlines()
    line = lines[mark.line].strip() if mark.line < len(lines) else ""
    found = f"line {mark.line + 1}: {problem}: {line}".rstrip(": ")
    if "escape" in problem or "expected escape sequence" in problem:
        value = line.partition('"')[2].rpartition('"')[0]
        return (
            f"{found}. Expected no backslash in double quotes, where it begins a sign such as \\n. Write "
            f"'{value}' in single quotes, or {value.replace(chr(92), '/')} with slashes."
        )
    return found
