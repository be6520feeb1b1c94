"""Views are named, not drawn."""

import sys
from collections.abc import Iterator
from types import ModuleType

import pytest


@pytest.fixture
def views(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    module = ModuleType("report.figures")
    module.draw_views = lambda _record: {"curve.png": b"\x89PNG", "summary.md": "# fine"}  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "report.figures", module)
    return module
