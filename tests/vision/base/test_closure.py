"""A closure begins at several modules, leaves out what it is told to, and reaches nothing foreign."""

from pathlib import Path

import pytest

from vision.base.closure import import_closure

TOY = {
    "service/__init__.py": "",
    "service/app.py": "import json\nfrom core import predict\ndef late():\n    import core.log\n",
    "service/launch.py": "from service.app import late\n",
    "core/__init__.py": "",
    "core/predict.py": "from core import arrays, figures\n",
    "core/arrays.py": "import numpy as np\n",
    "core/log.py": "",
    "core/figures/__init__.py": "import core.colours\n",
    "core/figures/bars.py": "",
    "core/colours.py": "",
    "core/drift.py": "import core.arrays\n",
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name, text in TOY.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return tmp_path


SERVED = ("core/__init__.py", "core/arrays.py", "core/log.py", "core/predict.py")


def test_what_is_reached_late_too_and_what_only_a_left_out_package_reaches_not(root: Path) -> None:
    expected = (*SERVED, "service/__init__.py", "service/app.py")
    assert import_closure(("service.app",), root, ("core.figures",)) == expected
    drawn = {"core/figures/__init__.py", "core/colours.py"}
    assert set(import_closure(("service.app",), root)) == {*expected, *drawn}


def test_several_beginnings_are_one_closure_and_unknown_ones_reach_nothing(root: Path) -> None:
    both = import_closure(("service.launch", "core.drift"), root)
    assert {"service/launch.py", "core/drift.py"} <= set(both)
    assert import_closure(("numpy", "service.nothing"), root) == ("service/__init__.py",)
    assert import_closure((), root) == ()
