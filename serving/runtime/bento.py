"""A Bento is a bundle plus the code that serves it plus the pin of the bundle's digest, in one folder.

BentoML reads its home once a process and keeps it, so Bentos are built by a process of its own:
`python -m serving.runtime.bento BUNDLE DIGEST VERSION` with BENTOML_HOME set. Nothing is downloaded: the
requirements are pinned in `requirements.txt`.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

from serving.api.answering.pinned import BUNDLE_FOLDER, PINNED_NAME, PinnedModel
from serving.runtime.launch import TAIL_LINES, make_environment
from serving.runtime.running import BuiltBento, DeployedService, ServiceFolder, find_service, read_record
from vision.base.closure import ROOT, import_closure
from vision.base.errors import ServiceError, TaxonError
from vision.base.files import storage_errors, write_atomically
from vision.base.lock import RunLock
from vision.bundle.assembly import load_bundle
from vision.bundle.neighbours import INDEX_NAME

REQUIREMENTS = "requirements.txt"
INDEX_REQUIREMENTS = "requirements-index.txt"
"""What a bundle with an index of known images needs besides."""
SERVICE = "serving.service:Taxon"
ENTRANCES = ("serving.service", "serving.runtime.worker")
"""Modules that run a Bento: under BentoML, and under our own supervisor."""
BUILD_SECONDS = 300.0
NUM_BENTOS = 3


def build_bento(bundle: Path, digest: str, version: str) -> BuiltBento:
    """The Bento of a bundle and of the code at hand; an equal one that is there already is taken.

    BentoML's store is that of BENTOML_HOME, as it was when this process first used it.

    Args:
        bundle: the bundle's folder.
        digest: pinned in the registry; what is not of it is not built.
        version: of the model in the registry, as answers are to name it.

    Raises:
        BundleError: the bundle is not the pinned one.
        ServiceError: BentoML refused.
        StorageError: a file could not be written.
    """
    import bentoml
    from bentoml.exceptions import BentoMLException

    contract = load_bundle(bundle, digest).contract
    name = contract.name
    try:
        tag = _store_model(bundle, name, digest)
        indexed = INDEX_NAME in contract.files
        pinned = PinnedModel(name=name, version=version, digest=digest, tag=tag, indexed=indexed)
        with storage_errors(Path(tempfile.gettempdir())), tempfile.TemporaryDirectory() as folder:
            context = Path(folder)
            code = stage_code(context, pinned)
            bento_tag = f"{name}:{digest[:12]}-{code[:12]}"
            if not _is_whole(bento_tag, code):
                bentoml.bentos.build(
                    SERVICE,
                    name=name,
                    version=bento_tag.partition(":")[2],
                    labels={"bundle_digest": digest, "model_version": version},
                    include=["**/*.py", PINNED_NAME, REQUIREMENTS],
                    python={"requirements_txt": REQUIREMENTS, "lock_packages": False},
                    models=[tag],
                    build_ctx=str(context),
                )
    except BentoMLException as error:
        raise ServiceError(f"BentoML could not build the Bento of {bundle}: {error}") from error
    return BuiltBento(tag=bento_tag, model=pinned)


def stage_code(folder: Path, pinned: PinnedModel) -> str:
    """Copy the code that the service reaches, its pin and requirements into `folder`; the SHA-256 of it all.

    Raises:
        StorageError: a file could not be copied.
    """
    write_atomically(folder / PINNED_NAME, pinned.model_dump_json(indent=1) + "\n")
    locks = (REQUIREMENTS, INDEX_REQUIREMENTS) if pinned.indexed else (REQUIREMENTS,)
    with storage_errors(folder):
        (folder / REQUIREMENTS).write_text("".join((ROOT / "serving" / each).read_text() for each in locks))
        for name in import_closure(ENTRANCES):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, folder / name)
        return _digest_code(folder)


def is_of_this_code(bento: BuiltBento) -> bool:
    """Whether it holds the code and the requirements at hand; else a deployment would build another.

    Raises:
        StorageError: there is no space for a copy of the code.
    """
    with storage_errors(Path(tempfile.gettempdir())), tempfile.TemporaryDirectory() as folder:
        return bento.tag.endswith(f"-{stage_code(Path(folder), bento.model)[:12]}")


def _is_whole(tag: str, code: str) -> bool:
    """Whether the Bento of a tag is stored with all of its code; else its place is free."""
    import bentoml
    from bentoml.exceptions import BentoMLException, NotFound

    with suppress(BentoMLException):  # absent, or only half there
        if _digest_code(Path(bentoml.bentos.get(tag).path) / "src") == code:
            return True
    with suppress(NotFound):
        bentoml.bentos.delete(tag)
    return False


def _digest_code(folder: Path) -> str:
    """SHA-256 over names and contents of the Python files, the pin and the requirements in a folder."""
    hasher = hashlib.sha256()
    names = (PINNED_NAME, REQUIREMENTS)
    for path in sorted(each for each in folder.rglob("*") if each.suffix == ".py" or each.name in names):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        hasher.update(f"{path.relative_to(folder).as_posix()}\0{content}\n".encode())
    return hasher.hexdigest()


def _store_model(bundle: Path, name: str, digest: str) -> str:
    """Tag of the model in the store whose files are those of the bundle, put there if need be."""
    import bentoml

    tag = f"{name}:{digest[:16]}"
    with suppress(bentoml.exceptions.NotFound):
        stored = bentoml.models.get(tag)
        try:
            load_bundle(Path(stored.path_of(BUNDLE_FOLDER)), digest)
        except TaxonError:
            bentoml.models.delete(tag)  # altered: what is pinned takes its place
        else:
            return tag
    with bentoml.models.create(tag, labels={"bundle_digest": digest}) as model:
        shutil.copytree(bundle, model.path_of(BUNDLE_FOLDER))
    return tag


def build_in_store(folder: ServiceFolder, bundle: Path, digest: str, version: str) -> BuiltBento:
    """`build_bento` in the project's own BentoML store, by a process of its own.

    Raises:
        ServiceError: the bundle is not the pinned one, or BentoML failed; says what the build said.
    """
    try:
        done = subprocess.run(
            [sys.executable, "-m", "serving.runtime.bento", str(bundle), digest, version],
            cwd=ROOT,
            env=make_environment({"BENTOML_HOME": str(folder.bentoml)}),
            capture_output=True,
            text=True,
            check=False,
            timeout=BUILD_SECONDS,
        )
    except subprocess.TimeoutExpired as error:
        raise ServiceError(
            f"BentoML did not build within {BUILD_SECONDS:g} seconds in {folder.bentoml}. Look whether the "
            "disk answers, then try again."
        ) from error
    if done.returncode != 0:
        said = "\n".join(done.stderr.splitlines()[-TAIL_LINES:])
        raise ServiceError(f"The Bento of {bundle} could not be built.\n{said}")
    return BuiltBento.model_validate_json(done.stdout.splitlines()[-1])


def prune_bentos(folder: ServiceFolder, newest: int = NUM_BENTOS) -> None:
    """Delete old Bentos, those that are only half there, and the models that none of the others serves.

    The running Bento, the one deployed last and the newest stay. What is deleted can be built again from the
    registry at any time.

    Raises:
        RunLockedError: a start or stop is going.
        StorageError: something cannot be deleted.
    """
    with RunLock(folder.lock, "pruning of Bentos"), storage_errors(folder.bentoml, "delete old Bentos in"):
        described = sorted(
            folder.bentoml.glob("bentos/*/*/bento.yaml"), key=lambda each: each.stat().st_mtime
        )
        needed = (find_service(folder), read_record(DeployedService, folder.deployed))
        kept = {folder.bento_path(each.bento) / "bento.yaml" for each in needed if each is not None}
        kept.update(described[-newest:])
        for path in folder.bentoml.glob("bentos/*/*"):
            if path.is_dir() and path / "bento.yaml" not in kept:
                shutil.rmtree(path)
        served = "".join(each.read_text() for each in kept if each.exists())
        for path in folder.bentoml.glob("models/*/*"):
            if path.is_dir() and f"tag: {path.parent.name}:{path.name}\n" not in served:
                shutil.rmtree(path)


def main() -> int:
    """Build the Bento of a bundle, a digest and a version in BENTOML_HOME, and print it as JSON."""
    bundle, digest, version = sys.argv[1:]
    try:
        built = build_bento(Path(bundle), digest, version)
    except TaxonError as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        return error.exit_code
    sys.stdout.write(f"{built.model_dump_json()}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
