"""Rooms, files and functions stay small enough to be read."""

from __future__ import annotations

import ast
from collections import Counter

from vision.base.closure import ROOT

MOST_FILES, MOST_LINES, LONGEST_FUNCTION = 16, 400, 60
TOPS = (
    *("benchmarks", "deploy", "materializers", "orchestration", "pipelines", "report"),
    *("serving", "steps", "tests", "vision"),
)
FILES = [path for top in TOPS for path in (ROOT / top).rglob("*.py") if path.name != "__init__.py"]


def test_no_room_has_too_many_files() -> None:
    rooms = Counter(path.parent.relative_to(ROOT).as_posix() for path in FILES)
    assert rooms["vision/data"] > 1
    assert {room: number for room, number in rooms.items() if number > MOST_FILES} == {}


def test_no_file_and_no_function_is_too_long() -> None:
    long = {}
    for path in FILES:
        text, name = path.read_text(encoding="utf-8"), path.relative_to(ROOT).as_posix()
        if (lines := len(text.splitlines())) > MOST_LINES:
            long[name] = lines
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or 0) - node.lineno + 1
                if lines > LONGEST_FUNCTION:
                    long[f"{name} {node.name}"] = lines
    assert long == {}
