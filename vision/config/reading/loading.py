"""From a YAML file and overrides to settings, or to every fault of theirs at once."""

from __future__ import annotations

import difflib
import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import ValidationError

from vision.base.errors import ConfigError
from vision.base.names import find_near
from vision.config.base import Settings
from vision.config.reading.yaml_text import parse_yaml, read_text
from vision.config.run import RunConfig
from vision.config.sources.registry import KINDS

Kind = TypeVar("Kind", bound=Settings)


def find_config(name: str, folder: Path) -> Path:
    """Where the config `name` lies: first in `folder` (and below it), then as a path.

    Raises:
        ConfigError: there is no such file.
    """
    try:
        for candidate in (folder / name, folder / f"{name}.yaml", Path(name)):
            if candidate.is_file():
                return candidate
    except OSError as error:
        raise ConfigError(f"{name}: no such config, {error.strerror}. Expected a name or a path.") from error
    if Path(name).is_dir():
        raise ConfigError(
            f"{name}: is a folder. Expected the name of a config. Write one for the photographs in it: "
            f"python run.py new NAME {name}"
        )
    known, near = list_configs(folder), find_near_config(name, folder)
    hint = f" Did you mean {near}?" if near else " Write one for photographs: python run.py new NAME FOLDER"
    raise ConfigError(f"{name}: no such config. Expected a path, or one of: {', '.join(known)}.{hint}")


def list_configs(folder: Path) -> list[str]:
    """Names of the configs in a folder and below it, as they are typed."""
    return sorted(path.relative_to(folder).with_suffix("").as_posix() for path in folder.rglob("*.yaml"))


def find_near_config(name: str, folder: Path) -> str | None:
    """The config that was probably meant by a name that none has; None where none is like it."""
    return find_near(name.removesuffix(".yaml"), list_configs(folder))


def load_config(path: Path, overrides: Sequence[str] = ()) -> RunConfig:
    """The configuration of a training run; see `load_settings`."""
    return load_settings(RunConfig, path, overrides)


def load_settings(kind: type[Kind], path: Path, overrides: Sequence[str] = ()) -> Kind:
    """The settings of one kind in a YAML file with `dotted.key=value` overrides applied.

    Raises:
        ConfigError: every fault of the file, one a line: unknown keys (with the nearest known one), wrong
            types, values out of bounds, settings that contradict each other.
    """
    return settle(kind, parse_yaml(read_text(path), str(path)), path, overrides)


def settle(kind: type[Kind], tree: Any, path: Path, overrides: Sequence[str] = ()) -> Kind:
    """The settings of one kind in what was read of the file `path`, with overrides applied.

    Raises:
        ConfigError: as `load_settings`.
    """
    if not isinstance(tree, dict):
        required = [f"{name}:" for name, field in kind.model_fields.items() if field.is_required()]
        expected = " and ".join(required[:2])
        raise ConfigError(f"{path}: holds {type(tree).__name__}; expected keys such as {expected}")
    # a section as a whole before its keys
    for override in sorted(overrides, key=lambda each: each.partition("=")[0].count(".")):
        _apply_override(kind, tree, override)
    try:
        return kind.model_validate(tree)
    except ValidationError as error:
        faults = "\n".join(_describe_fault(kind, fault, path) for fault in error.errors())
        raise ConfigError(faults) from error


def _apply_override(kind: type[Settings], tree: dict[str, Any], override: str) -> None:
    key, separator, text = override.partition("=")
    if not separator or not key:
        raise ConfigError(f"--set {override}: expected dotted.key=value, as in --set images.size=128")
    value = parse_yaml(text, f"--set {override}")
    node, settings = tree, kind
    *parents, last = key.split(".")
    for parent in parents:
        child = node.setdefault(parent, {})
        settings = _find_section(settings, parent)
        if isinstance(child, str):
            child = node[parent] = _spell_out(settings, child)
        if not isinstance(child, dict):
            raise ConfigError(f"--set {override}: {parent} holds {child!r}; expected a section with keys")
        node = child
    node[last] = value


def _find_section(kind: type[Settings], key: str) -> type[Settings]:
    """The settings below a key; those without any key where it holds something else."""
    field = kind.model_fields.get(key)
    found = field.annotation if field is not None else None
    return found if isinstance(found, type) and issubclass(found, Settings) else Settings


def _spell_out(kind: type[Settings], word: str) -> Any:
    """The section that a word stands for, as `executor: dask` does; the word if it stands for none."""
    try:
        return kind.model_validate(word).model_dump(exclude_unset=True)
    except ValidationError:
        return word


def _describe_fault(kind: type[Settings], fault: Mapping[str, Any], path: Path) -> str:
    location = list(fault["loc"])
    if location[:1] == ["dataset"]:
        del location[1:2]  # the kind of source, which is no key
    dotted = ".".join(str(part) for part in location)
    where = f"{path}: {dotted}: " if dotted else f"{path}: "
    if fault["type"] == "extra_forbidden":
        known = _known_keys(kind, fault["loc"][:-1])
        near = difflib.get_close_matches(str(fault["loc"][-1]), known, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]}?" if near else f"known keys: {', '.join(sorted(known))}"
        return f"{where}unknown key; {hint}"
    message = str(fault["msg"]).removeprefix("Value error, ")
    if fault["type"] == "missing":
        return f"{where}is missing and has no default"
    if isinstance(fault["input"], dict):
        return f"{where}{message}"
    if fault["type"] == "string_type":
        message = _describe_no_text(fault["input"]) or message
    elif fault["type"] == "string_pattern_mismatch":
        message = _describe_form(str(fault["input"]), str(fault["ctx"]["pattern"]))
    try:
        return f"{where}{message}; got {fault['input']!r}"
    except ValueError:  # a hexadecimal number of more digits than Python writes in decimal
        return f"{where}{message}; got a number of thousands of digits"


def _describe_no_text(value: Any) -> str | None:
    """What YAML took for something else than text, and how to write it; None of a list and its like."""
    if value is None or isinstance(value, bool):
        kind, text = ("nothing" if value is None else "a truth value"), json.dumps(value)
    elif isinstance(value, int | float | date):
        kind, text = ("a date" if isinstance(value, date) else "a number"), str(value)
    else:
        return None
    return f'expected text, and without quotes YAML reads {kind}; write it in quotes, such as "{text}"'


def _describe_form(value: str, pattern: str) -> str:
    """What form a text should have, with the nearest text of that form."""
    near = re.sub(r"[^a-z0-9_-]+", "-", unicodedata.normalize("NFKD", value).lower()).strip("-_")
    hint = f"; for example {near}" if near != value and re.fullmatch(pattern, near) else ""
    letters = (
        "small letters a to z, digits, - and _, with a letter first" if "[a-z]" in pattern[:6] else pattern
    )
    return f"expected {letters}{hint}"


def _known_keys(kind: type[Settings], location: Sequence[Any]) -> list[str]:
    """Keys that the section at `location` knows, walking the settings classes."""
    node: Any = kind
    for part in location:
        if isinstance(node, type) and issubclass(node, Settings):
            field = node.model_fields.get(str(part))
            if field is None:
                return []
            node = field.annotation
        elif getattr(node, "__origin__", None) is dict:
            node = get_args(node)[1]
        elif getattr(node, "__origin__", None) is tuple:
            node = get_args(node)[0]
        elif part in KINDS:
            node = KINDS[part]
    return list(node.model_fields) if isinstance(node, type) and issubclass(node, Settings) else []
