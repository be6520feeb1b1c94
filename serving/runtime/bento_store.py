"""Bentos in the state folder are built and pruned by a process: `python -m serving.runtime.bento`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from serving.runtime.bento import BuiltBento
from serving.runtime.launch import last_lines, make_environment, read_ours
from serving.runtime.running import DeployedService, ServiceFolder, read_record
from vision.base.errors import ServiceError
from vision.base.lock import RunLock

BUILD_SECONDS = 300.0
NUM_BENTOS = 3


def build_bento(folder: ServiceFolder, bundle: Path, digest: str, version: str) -> BuiltBento:
    """The Bento of a bundle, in BentoML's store inside the state folder.

    Args:
        folder: of the service's state.
        bundle: the bundle's folder.
        digest: pinned in the registry.
        version: of the model in the registry.

    Raises:
        ServiceError: the bundle is not the pinned one, or BentoML failed; says what the build said.
    """
    done = _run_bentoml(folder, "build", "--bundle", str(bundle), "--digest", digest, "--version", version)
    if done.returncode != 0:
        raise ServiceError(f"The Bento of {bundle} could not be built.\n{last_lines(done.stderr)}")
    return BuiltBento.model_validate_json(done.stdout.splitlines()[-1])


def prune_bentos(folder: ServiceFolder) -> None:
    """Delete old Bentos: all but the running one, the one deployed last and the newest `NUM_BENTOS`.

    What is deleted can be built again from the registry at any time.

    Raises:
        RunLockedError: a start or stop is going.
        ServiceError: BentoML could not delete them; says what it said.
    """
    with RunLock(folder.lock, "pruning of Bentos"):
        running, deployed = read_ours(folder.record), read_record(DeployedService, folder.deployed)
        needed = [f"--keep={each.bento.tag}" for each in (running, deployed) if each is not None]
        done = _run_bentoml(folder, "prune", "--newest", str(NUM_BENTOS), *needed)
    if done.returncode != 0:
        raise ServiceError(f"Old Bentos could not be deleted.\n{last_lines(done.stderr)}")


def _run_bentoml(folder: ServiceFolder, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `serving.runtime.bento` on the store in the state folder, to its end.

    Raises:
        ServiceError: it does not end.
    """
    try:
        return subprocess.run(
            [sys.executable, "-m", "serving.runtime.bento", *arguments],
            cwd=Path(__file__).resolve().parents[2],
            env=make_environment(folder.bentoml, {}),
            capture_output=True,
            text=True,
            check=False,
            timeout=BUILD_SECONDS,
        )
    except subprocess.TimeoutExpired as error:
        raise ServiceError(
            f"BentoML did not {arguments[0]} within {BUILD_SECONDS:g} seconds in {folder.bentoml}. Look "
            "whether the disk answers, then try again."
        ) from error
