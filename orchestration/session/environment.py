"""ZenML lives inside the project, without account, server or telemetry, and is told so before it is imported.

`prepare_environment` must come first in a process: ZenML, TensorFlow and BentoML read these variables when
they are imported. A ZENML_STORE_URL that the user sets is honoured: it points at a ZenML server of their own.
"""

from __future__ import annotations

import gc
import logging
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from orchestration.session.paths import ProjectPaths
from orchestration.session.relocation import LOCAL_STORES_FOLDER, relocate_store
from vision.base.files import storage_errors

SPOKEN = (
    "vision",
    "orchestration",
    "zenml.orchestrators.step_launcher",
    "zenml.orchestrators.step_run_utils",
)
"""Loggers that tell the user how far a run is; ZenML's other messages are of interest to its developers."""


def prepare_environment(paths: ProjectPaths) -> None:
    """Set the variables of `environment_variables` in this process, and adapt the store of a moved project.

    Raises:
        RuntimeError: ZenML is imported already and lives elsewhere; the order of imports is wrong.
        StorageError: the state folder cannot be made or written, or its database is damaged.
        RunLockedError: the project was moved while a run was going.
    """
    if "zenml" in sys.modules and os.environ.get("ZENML_CONFIG_PATH") != str(paths.zenml):
        raise RuntimeError(
            f"ZenML was imported before its environment was prepared; it lives in "
            f"{os.environ.get('ZENML_CONFIG_PATH', 'its default folder')}, expected {paths.zenml}. "
            "Call prepare_environment before anything imports zenml."
        )
    with storage_errors(paths.zenml, "keep ZenML's state in"):
        paths.zenml.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=paths.zenml).close()
    relocate_store(paths)
    forced, defaults = environment_variables(paths)
    os.environ.update(forced)
    for name, value in defaults.items():
        os.environ.setdefault(name, value)
    for name in SPOKEN:
        logging.getLogger(name).setLevel(logging.INFO)
    logging.getLogger("zenml.zen_stores.base_zen_store").addFilter(_is_news)


def _is_news(record: logging.LogRecord) -> bool:
    """Whether a message of ZenML's store is more than that a new project takes the default stack."""
    return not str(record.msg).startswith("Setting the %s active stack")


def environment_variables(paths: ProjectPaths) -> tuple[Mapping[str, str], Mapping[str, str]]:
    """The variables that are always set, and those that are set where the user has set none."""
    forced = {
        "ZENML_CONFIG_PATH": str(paths.zenml),
        "ZENML_LOCAL_STORES_PATH": str(paths.zenml / LOCAL_STORES_FOLDER),
        # A .zen folder above the project, or a main module elsewhere, must not change stack or source root.
        "ZENML_REPOSITORY_PATH": str(paths.zenml),
        "ZENML_CUSTOM_SOURCE_ROOT": str(paths.root),
        "ZENML_ANALYTICS_OPT_IN": "false",
        "DO_NOT_TRACK": "true",
        "BENTOML_DO_NOT_TRACK": "true",
        "AUTO_OPEN_DASHBOARD": "false",
        "ZENML_AUTO_OPEN_DASHBOARD": "false",
    }
    defaults = {
        "ZENML_LOGGING_VERBOSITY": "WARN",
        "ZENML_LOGGING_COLORS_DISABLED": "false" if sys.stderr.isatty() else "true",
        "ZENML_ENABLE_RICH_TRACEBACK": "false",
        "ZENML_ENABLE_REPO_INIT_WARNINGS": "false",
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    return forced, defaults


@contextmanager
def import_quickly() -> Iterator[None]:
    """Import without garbage collection: ZenML's modules make a million objects, all of which stay.

    They are left out of later collections, too, and of the one at the end of the process.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
