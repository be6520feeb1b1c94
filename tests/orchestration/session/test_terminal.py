"""A refusal stands alone on the terminal, a crash has its traceback, and ZenML's stored logs have both."""

from __future__ import annotations

import json
import logging
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import pytest

from orchestration.session.terminal import spare_terminal
from tests.processes import module_command
from vision.base.errors import ConfigError, TaxonError

ROOT = Path(__file__).resolve().parents[3]
REFUSAL = "TooFewImagesError: Class cobalt has 1 image."


@dataclass(frozen=True)
class Seen:
    """What was printed of each run, and what ZenML stored of them all."""

    printed: dict[str, str]
    stored: tuple[str, ...]


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Seen:
    home = tmp_path_factory.mktemp("home")
    done = subprocess.run(
        module_command("tests.orchestration.flows.refusal_toy"),
        cwd=ROOT,
        env=os.environ | {"TAXON_STATE": str(home), "PYTHONUNBUFFERED": "1", "NO_COLOR": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout[-6000:]
    _, *parts = done.stdout.split("=== run ")
    logs = (home / "state" / "zenml").rglob("logs/*.log")
    lines = [json.loads(line)["message"] for log in logs for line in log.read_text("utf-8").splitlines()]
    return Seen(dict(part.split("\n", 1) for part in parts), tuple(lines))


@pytest.mark.slow
def test_a_refusal_is_told_once_and_without_a_traceback(seen: Seen) -> None:
    printed = seen.printed["refused"]
    assert REFUSAL in printed
    assert printed.count("Class cobalt has 1 image.") == 1
    assert "Traceback" not in printed
    assert "exit code 2" in printed


@pytest.mark.slow
def test_a_full_disk_is_told_once_and_without_sql(seen: Seen) -> None:
    printed = seen.printed["full"]
    assert printed.count("no space is left on the disk") == 1
    assert "Traceback" not in printed
    assert "INSERT" not in printed


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["crashed", "crashed_while_refusing"])
def test_a_crash_is_printed_with_its_traceback_also_where_a_refusal_led_to_it(
    seen: Seen, ending: str
) -> None:
    printed = seen.printed[ending]
    assert "Failed to run step `end`: out of order" in printed
    assert printed.count("Traceback (most recent call last):") == (3 if "refusing" in ending else 1)
    assert printed.count("RuntimeError: out of order\n") == 2  # the traceback's and the outcome's
    assert "refusal_toy.py" in printed
    assert "exit code 1" in printed


@pytest.mark.slow
def test_the_stored_log_of_a_step_tells_the_refusal(seen: Seen) -> None:
    assert "Failed to run step `end`: Class cobalt has 1 image." in seen.stored
    assert any("Step end failed." in line and REFUSAL in line for line in seen.stored)


@pytest.fixture
def terminal() -> Iterator[StringIO]:
    """What the root logger prints."""
    handler = logging.StreamHandler(StringIO())
    logging.root.addHandler(handler)
    yield handler.stream
    logging.root.removeHandler(handler)


@pytest.mark.parametrize(
    ("name", "level", "printed"),
    [
        ("zenml.orchestrators.local", logging.ERROR, False),
        ("zenml.materializers", logging.WARNING, True),
        ("vision.data.sources", logging.ERROR, True),
        ("zenmlike", logging.ERROR, True),
    ],
)
@pytest.mark.parametrize("traced", [True, False])
def test_only_what_zenml_calls_an_error_is_left_out(
    terminal: StringIO, name: str, level: int, printed: bool, traced: bool
) -> None:
    error = ConfigError("no class")
    with spare_terminal(lambda each: isinstance(each, TaxonError)):
        if traced:
            logging.getLogger(name).log(level, "Failed.", exc_info=error)
        else:
            logging.getLogger(name).log(level, "Failed: %s", error)
    assert bool(terminal.getvalue()) is printed


def test_afterwards_everything_is_printed_again(terminal: StringIO) -> None:
    with pytest.raises(ConfigError), spare_terminal(lambda _: True):
        raise ConfigError("no class")
    logging.getLogger("zenml.orchestrators.local").error("Failed: %s", ConfigError("no class"))
    assert terminal.getvalue() == "Failed: no class\n"
