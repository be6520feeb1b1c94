"""A Bento is a bundle plus the code that serves it plus the pin of the bundle's digest, in one folder.

Run as a program, in a process of its own, because BentoML reads its home once and keeps it.
With BENTOML_HOME set, `python -m serving.runtime.bento build --bundle FOLDER --digest SHA256 --version V`
prints the `BuiltBento` as JSON, and `python -m serving.runtime.bento prune --newest N --keep TAG` deletes old
ones. Nothing is downloaded: the requirements are pinned in `requirements.txt`.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import sys
import tempfile
from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from serving.runtime.pinned import BUNDLE_FOLDER, PINNED_NAME, PinnedModel
from vision.base.closure import ROOT, import_closure
from vision.base.errors import ServiceError, TaxonError
from vision.base.files import storage_errors, write_atomically
from vision.bundle.assembly import load_bundle

REQUIREMENTS = "requirements.txt"
SERVICE = "serving.service:Taxon"


class BuiltBento(BaseModel):
    """A Bento in BentoML's store: its tag and folder, and the model that it serves."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tag: str
    path: Path
    model: PinnedModel


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

    name = load_bundle(bundle, digest).contract.name
    try:
        tag = _store_model(bundle, name, digest)
        pinned = PinnedModel(name=name, version=version, digest=digest, tag=tag)
        with storage_errors(Path(tempfile.gettempdir())), tempfile.TemporaryDirectory() as folder:
            context = Path(folder)
            code = stage_code(context, pinned)
            bento_tag = f"{name}:{digest[:12]}-{code[:12]}"
            stored = _find_whole(bento_tag, code)
            if stored is not None:
                return _describe(stored, pinned)
            bento = bentoml.bentos.build(
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
    return _describe(bento, pinned)


def stage_code(folder: Path, pinned: PinnedModel) -> str:
    """Copy the code that the service reaches, its pin and requirements into `folder`; the SHA-256 of it all.

    Raises:
        StorageError: a file could not be copied.
    """
    write_atomically(folder / PINNED_NAME, pinned.model_dump_json(indent=1) + "\n")
    with storage_errors(folder):
        shutil.copyfile(ROOT / "serving" / REQUIREMENTS, folder / REQUIREMENTS)
        for name in import_closure((SERVICE.partition(":")[0],)):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, folder / name)
        return _digest_code(folder)


def prune_bentos(keep: Collection[str], newest: int) -> tuple[str, ...]:
    """Delete all Bentos but the newest and those to keep, and the models that no remaining Bento serves.

    A Bento that a killed build or deletion left half there counts as the oldest.

    Args:
        keep: tags of Bentos that somebody needs, however old they are.
        newest: how many of the newest to keep beside them.

    Returns:
        The tags of the Bentos that were deleted, sorted.

    Raises:
        ServiceError: BentoML refused.
        StorageError: something cannot be deleted.
    """
    import bentoml
    from bentoml.exceptions import BentoMLException

    home = Path(os.environ["BENTOML_HOME"])
    try:
        whole = {tag: bento for tag in _list_tags(home / "bentos") if (bento := _read_bento(tag)) is not None}
        by_age = sorted(whole, key=lambda tag: whole[tag].creation_time, reverse=True)
        kept = {*keep, *by_age[:newest]}
        doomed = sorted(set(_list_tags(home / "bentos")) - kept)
        served = {str(model.tag) for tag in kept & set(whole) for model in whole[tag].info.models}
        with storage_errors(home, "delete old Bentos in"):
            for tag in doomed:
                bentoml.bentos.delete(tag)
            for tag in sorted(set(_list_tags(home / "models")) - served):
                bentoml.models.delete(tag)
    except BentoMLException as error:
        raise ServiceError(f"BentoML could not delete old Bentos in {home}: {error}") from error
    return tuple(doomed)


def _list_tags(store: Path) -> list[str]:
    """What lies in one of BentoML's stores, half there or whole."""
    return [f"{path.parent.name}:{path.name}" for path in sorted(store.glob("*/*")) if path.is_dir()]


def _read_bento(tag: str) -> Any:
    """BentoML's description of a Bento; None where it is absent, or only half there."""
    import bentoml
    from bentoml.exceptions import BentoMLException

    try:
        return bentoml.bentos.get(tag)
    except BentoMLException:
        return None


def _find_whole(tag: str, code: str) -> Any:
    """The stored Bento of a tag if its code is all there; else None, and its place is free."""
    import bentoml

    stored = _read_bento(tag)
    if stored is not None and _digest_code(Path(stored.path) / "src") == code:
        return stored
    with suppress(bentoml.exceptions.NotFound):
        bentoml.bentos.delete(tag)
    return None


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


def _describe(bento: object, pinned: PinnedModel) -> BuiltBento:
    return BuiltBento(tag=str(bento.tag), path=Path(bento.path), model=pinned)  # type: ignore[attr-defined]


def main(arguments: Sequence[str] | None = None) -> int:
    """Build one Bento and print it as JSON, or delete old ones and print their tags."""
    parser = argparse.ArgumentParser(prog="python -m serving.runtime.bento", description=__doc__)
    actions = parser.add_subparsers(dest="action", required=True)
    build = actions.add_parser("build")
    build.add_argument("--bundle", type=Path, required=True)
    build.add_argument("--digest", required=True)
    build.add_argument("--version", required=True)
    prune = actions.add_parser("prune")
    prune.add_argument("--newest", type=int, required=True)
    prune.add_argument("--keep", action="append", default=[])
    options = parser.parse_args(arguments)
    try:
        if options.action == "build":
            said = build_bento(options.bundle, options.digest, options.version).model_dump_json()
        else:
            said = " ".join(prune_bentos(options.keep, options.newest))
    except TaxonError as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        return error.exit_code
    sys.stdout.write(f"{said}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
