"""The champion of a project as benchmarks want it: its bundle, and the Keras network that it was made of."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from orchestration.session.environment import prepare_environment
from orchestration.session.paths import ProjectPaths
from vision.base.errors import BundleError, ConfigError
from vision.base.home import STATE_VARIABLE
from vision.base.outputs import ModelFile
from vision.bundle.assembly import verify_bundle
from vision.bundle.records import Bundle, Contract
from vision.config.reading.loading import find_config, load_config

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Champion:
    """What is in production, every byte verified.

    Attributes:
        version: in the registry.
        digest: of the bundle, pinned in the registry.
        bundle: its folder.
        keras: the .keras file of the network that the bundle was assembled of.
        contract: of the bundle.
    """

    version: str
    digest: str
    bundle: Path
    keras: Path
    contract: Contract


def find_champion(config: str) -> Champion:
    """The champion of a configuration in the project that TAXON_STATE names.

    Imports ZenML: call it in a process of its own.

    Raises:
        ConfigError: nothing is in production.
        BundleError: the bundle is not the one that was registered, or was not assembled by a run.
    """
    name = load_config(find_config(config, ROOT / "configs")).name
    paths = ProjectPaths.of(ROOT)
    prepare_environment(paths)
    from materializers import registry

    production = registry.find_production(name)
    if production is None:
        raise ConfigError(
            f"No model {name} is in production in {paths.home}. Expected a champion. Train one (make train), "
            "or let the benchmark do it: --train"
        )
    champion, version = production.champion, production.version
    artifact = champion.bundle()
    bundle: Bundle = artifact.load()
    contract = verify_bundle(bundle.root, champion.digest)
    made_of = artifact.step.inputs.get("model", []) if artifact.producer_step_run_id else []
    if not made_of:
        raise BundleError(
            f"Version {version} of {name} was not assembled by a run, so its Keras network is not known. "
            "Train one: --train"
        )
    model: ModelFile = made_of[0].load()
    return Champion(version, champion.digest, bundle.root, model.path(ModelFile.FILE_NAME), contract)


@contextmanager
def own_process() -> Iterator[ProcessPoolExecutor]:
    """A process of its own that does one thing at a time."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield pool


def obtain_champion(config: str, work: Path, *, train: bool) -> Champion:
    """The champion of this project, or of one that is trained in `work` first, which TAXON_STATE then names.

    Raises:
        ConfigError, BundleError: as of `find_champion`.
        SystemExit: the training failed, or promoted nothing.
    """
    if train:
        os.environ[STATE_VARIABLE] = str(work / "trained")
        train_champion(config, work / "trained")
    with own_process() as process:
        return process.submit(find_champion, config).result()


def train_champion(config: str, home: Path) -> None:
    """Train a configuration in a project of its own.

    Raises:
        SystemExit: the training failed, or promoted nothing.
    """
    done = subprocess.run(
        [sys.executable, "run.py", "--pipeline", "training", "--config", config],
        cwd=ROOT,
        env=os.environ | {STATE_VARIABLE: str(home), "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise SystemExit(f"The training of {config} ended with {done.returncode}:\n{done.stderr[-4000:]}")
