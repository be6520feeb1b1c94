"""What holds for every test: one that takes long is marked."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Generator, Iterator
from pathlib import Path

import hypothesis
import pytest

from orchestration.session.environment import import_quickly
from tests.shared_data import REPOSITORY
from tests.toys import toys_folder

CPU_SECONDS, SECONDS = 20.0, 90.0
"""A test that takes more CPU time (its processes included) or waits longer must be marked `long`.

CPU time is what counts; the second bound finds tests that wait.
"""
SLACK = 2.0
"""Two busy cores share their caches and clock: the same test then takes up to half more CPU time. A test
fails at twice the budget; the slowest are printed at the end of every run.
"""

MAIN = sys.modules["__main__"]

# ZenML looks for the main module's file, which a worker of pytest-xdist has not.
os.environ.setdefault("ZENML_CUSTOM_SOURCE_ROOT", str(REPOSITORY))


# The same examples in every run, and none fails because the machine is slow or many are filtered out.
hypothesis.settings.register_profile(
    "taxon",
    deadline=None,
    derandomize=True,
    suppress_health_check=[hypothesis.HealthCheck.filter_too_much, hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("taxon")


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Iterator[None]:
    """Fail a test that passes, but is too long to go without the mark."""
    cpu, clock = _cpu_seconds(), time.monotonic()
    result = yield
    if pyfuncitem.get_closest_marker("long") is None:
        cpu, clock = _cpu_seconds() - cpu, time.monotonic() - clock
        if cpu > SLACK * CPU_SECONDS or clock > SLACK * SECONDS:
            pytest.fail(
                f"took {cpu:.0f} s of CPU, {clock:.0f} s in all; expected at most {CPU_SECONDS:.0f} and "
                f"{SECONDS:.0f}. Make it shorter, or mark it with @pytest.mark.long for make test-long.",
                pytrace=False,
            )
    return result


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Import the tests, and leave out of later garbage collections what they import: all of it stays.

    A training collects three times, which takes a second each where ZenML and TensorFlow are imported.
    """
    with import_quickly():
        return (yield)


def pytest_configure() -> None:
    """Make the folder of toys before there are workers, which inherit its name."""
    toys_folder()


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown() -> None:
    """Streamlit's tests leave their script as the main module, which new processes would run."""
    sys.modules["__main__"] = MAIN


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Delete it, in the process that made it."""
    if not hasattr(session.config, "workerinput"):
        shutil.rmtree(toys_folder(), ignore_errors=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with whole runs first, then those with slow tests: two workers then end together."""

    def rank(path: Path) -> int:
        return 0 if path in whole else 1 if path in slow else 2

    whole, slow = (
        {item.path for item in items if item.get_closest_marker(mark)} for mark in ("end_to_end", "slow")
    )
    items.sort(key=lambda item: rank(item.path))


def _cpu_seconds() -> float:
    """CPU time of this process and of its ended children, in seconds."""
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


@pytest.fixture(scope="module", autouse=True)
def _toy_network(request: pytest.FixtureRequest) -> None:
    """Make the toy network, where a module imports it, before its first test: no test is charged for it."""
    for name in ("train_tiny", "export_tiny"):
        make = getattr(request.module, name, None)
        if make is not None:
            make()
