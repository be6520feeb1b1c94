"""A bundle is what is served: one graph, the detector's arrays, the last layer and a contract, all pinned.

Beside them lies what monitoring compares with, pinned too and not loaded by who serves.

`contract.json` lists the SHA-256 of every other file, and the bundle's own digest covers the contract too.
Whoever loads a bundle passes the digest that the registry pins: digests that lie beside a graph certify
nothing. Equal content gives equal bytes.
"""

from __future__ import annotations

import json
import shutil
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from vision.base.arrays import pack_arrays, unpack_arrays
from vision.base.errors import BundleError
from vision.base.files import digest_file, storage_errors, write_atomically
from vision.base.outputs import ModelFile
from vision.bundle.engine import Engine
from vision.bundle.neighbours import MORE_NAMES, NEIGHBOURS_NAME, Neighbours, read_neighbours, save_neighbours
from vision.bundle.records import HEAD_NAME, Bundle, Contract, ExportedGraphs
from vision.config.export import Precision
from vision.data.quality import QUALITY_COLUMNS
from vision.data.records import DatasetRef, Manifest
from vision.decision.predictor import Predictor
from vision.decision.records import DecisionRule, OodDetector
from vision.drift.reference import DriftReference, read_reference, save_reference

_SCORE_NAME = "__score_name__"
_MAKERS = ("keras", "numpy", "scikit-learn", "tensorflow", "tensorflow-cpu")


@dataclass(frozen=True, eq=False)
class LoadedBundle:
    """A verified bundle, ready to answer."""

    digest: str
    contract: Contract
    detector: OodDetector
    engine: Engine
    neighbours: Neighbours | None = None

    def predictor(self) -> Predictor:
        """The decision rule over this bundle's graph."""
        return Predictor(self.contract.rule, self.detector, self.engine.forward)


def describe_contract(
    name: str,
    data: tuple[Manifest, DatasetRef],
    model: ModelFile,
    graphs: ExportedGraphs,
    precision: Precision,
    decides: tuple[DecisionRule, OodDetector],
) -> Contract:
    """The contract that these records spell out, its files not yet listed.

    Raises:
        BundleError: the records are of different candidates.
    """
    if model.candidate != graphs.candidate:
        raise BundleError(
            f"A bundle was asked for of network {model.candidate} and graphs of {graphs.candidate}. Expected "
            "one candidate."
        )
    (manifest, dataset), (rule, detector) = data, decides
    return Contract(
        name=name,
        candidate=model.candidate,
        backbone=model.backbone,
        class_names=rule.class_names,
        unknown_class_names=manifest.unknown_class_names,
        image_size=graphs.image_size,
        resize=dataset.resize,
        precision=precision,
        rule=rule,
        score_name=detector.score_name,
        quality_columns=QUALITY_COLUMNS,
        files={},
        data_digest=dataset.content_hash,
        versions=_list_versions(),
        least_bits=dataset.least_bits,
        resize_reason=dataset.resize_reason,
        crop_margin=manifest.crop_margin,
    )


def write_bundle(
    folder: Path,
    graphs: ExportedGraphs,
    detector: OodDetector,
    reference: DriftReference,
    contract: Contract,
    neighbours: Neighbours | None = None,
) -> Bundle:
    """Write graph, head, detector, reference, neighbours and contract, whose `files` are filled in here.

    Raises:
        BundleError: the precision was not exported.
        StorageError: a file could not be written.
    """
    graph_name = ExportedGraphs.file_name(contract.precision)
    for name in (graph_name, HEAD_NAME):
        if name not in graphs.files:
            raise BundleError(
                f"The exported graphs are {', '.join(sorted(graphs.files))}; expected {name} among them. "
                "Export again."
            )
        with storage_errors(folder / name):
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(graphs.path(name), folder / name)
    save_detector(detector, folder / Bundle.DETECTOR_NAME)
    save_reference(reference, folder / Bundle.REFERENCE_NAME)
    names = [graph_name, HEAD_NAME, Bundle.DETECTOR_NAME, Bundle.REFERENCE_NAME]
    if neighbours is not None:
        names += save_neighbours(neighbours, folder)
    files = {name: digest_file(folder / name) for name in sorted(names)}
    complete = contract.model_copy(update={"files": files})
    write_atomically(folder / Bundle.CONTRACT_NAME, _write_contract(complete))
    files[Bundle.CONTRACT_NAME] = digest_file(folder / Bundle.CONTRACT_NAME)
    return Bundle(root=folder, files=files, name=contract.name)


def load_bundle(root: Path, expected_digest: str, num_threads: int = 1) -> LoadedBundle:
    """A bundle whose every byte is the one that was registered.

    Raises:
        BundleError: a file is missing, changed or one too many; the contract is not readable, of a newer
            schema, names files outside the folder, or was made with other measures of quality; the digest
            is not the pinned one.
    """
    contract = verify_bundle(root, expected_digest)
    _check_quality(root, contract)
    return LoadedBundle(
        digest=expected_digest,
        contract=contract,
        detector=load_detector(root / Bundle.DETECTOR_NAME),
        engine=Engine(root / ExportedGraphs.file_name(contract.precision), num_threads, root / HEAD_NAME),
        neighbours=read_neighbours(root) if NEIGHBOURS_NAME in contract.files else None,
    )


def load_reference(root: Path, expected_digest: str) -> DriftReference:
    """What a window of a bundle's answers is compared with.

    Raises:
        BundleError: the bundle is not, byte for byte, the registered one, or it was made with other measures
            of quality.
    """
    contract = verify_bundle(root, expected_digest)
    _check_quality(root, contract)
    return read_reference(root / Bundle.REFERENCE_NAME)


def verify_bundle(root: Path, expected_digest: str) -> Contract:
    """The contract of a bundle whose every byte is the one that was registered.

    Raises:
        BundleError: a file is missing, changed or one too many; the contract is not readable, of a newer
            schema, or names files outside the folder; the digest is not the pinned one.
    """
    contract = read_contract(root)
    files = {Bundle.CONTRACT_NAME: _digest(root / Bundle.CONTRACT_NAME), **contract.files}
    _check_names(root, contract)
    for name, digest in sorted(contract.files.items()):
        if _digest(root / name) != digest:
            raise BundleError(
                f"{root / name} has been changed: its SHA-256 is not the one in the contract. Restore the "
                "bundle or train again."
            )
    found = Bundle(root=root, files=files, name=contract.name).digest
    if found != expected_digest:
        raise BundleError(
            f"The bundle {root} has digest {found}, expected {expected_digest}: its "
            f"{Bundle.CONTRACT_NAME} was changed, or it is another bundle. Restore it or train again."
        )
    return contract


def read_contract(root: Path) -> Contract:
    """The contract in a bundle's folder, not verified.

    Raises:
        BundleError: it is missing, not readable, or of a newer schema.
    """
    path = root / Bundle.CONTRACT_NAME
    try:
        return Contract.model_validate_json(path.read_bytes())
    except OSError as error:
        raise BundleError(
            f"{path} cannot be read: {error.strerror}. Expected a bundle's folder; restore it or train again."
        ) from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise BundleError(
            f"{path} is not a contract of this program: {where} {first['msg']}. Restore the bundle, or "
            "update Taxon if a newer one wrote it."
        ) from error


def save_detector(detector: OodDetector, path: Path) -> None:
    """Write a detector; equal detectors give equal bytes.

    Raises:
        StorageError: it could not be written.
    """
    name = np.frombuffer(detector.score_name.encode(), np.uint8)
    write_atomically(path, pack_arrays({**detector.arrays, _SCORE_NAME: name}))


def load_detector(path: Path) -> OodDetector:
    """A detector as `save_detector` wrote it; nothing in the file is executed.

    Raises:
        BundleError: the file is damaged or holds something else.
    """
    arrays: dict[str, NDArray[Any]] = unpack_arrays(path)
    name = arrays.pop(_SCORE_NAME, None)
    if name is None:
        raise BundleError(f"{path} names no score; expected a detector. Assemble the bundle again.")
    return OodDetector(score_name=name.tobytes().decode(), arrays=arrays)


def _write_contract(contract: Contract) -> str:
    """Canonical JSON: keys sorted, one a line."""
    tree = json.loads(contract.model_dump_json())
    return json.dumps(tree, sort_keys=True, indent=1, ensure_ascii=False) + "\n"


def _check_names(root: Path, contract: Contract) -> None:
    graph = ExportedGraphs.file_name(contract.precision)
    expected = {graph, HEAD_NAME, Bundle.DETECTOR_NAME, Bundle.REFERENCE_NAME}
    expected |= {NEIGHBOURS_NAME, *MORE_NAMES} & set(contract.files)
    if set(contract.files) != expected:
        raise BundleError(
            f"The contract of {root} lists {', '.join(sorted(contract.files))}; expected "
            f"{', '.join(sorted(expected))}. Restore the bundle or train again."
        )
    found = {each.relative_to(root).as_posix() for each in root.rglob("*")}
    extra = sorted(found - expected - {Bundle.CONTRACT_NAME})
    if extra:
        raise BundleError(
            f"The bundle {root} holds {', '.join(extra)}, which its contract does not list. Remove it, or "
            "restore the bundle."
        )


def _check_quality(root: Path, contract: Contract) -> None:
    if contract.quality_columns != QUALITY_COLUMNS:
        raise BundleError(
            f"The drift reference of {root} holds the measures {', '.join(contract.quality_columns)}; this "
            f"program measures {', '.join(QUALITY_COLUMNS)}. Use the version of Taxon that made the bundle, "
            "or train again."
        )


def _digest(path: Path) -> str:
    if path.is_symlink() or not path.is_file():
        raise BundleError(f"{path} is missing or no plain file. Restore the bundle or train again.")
    return digest_file(path)


def _list_versions() -> dict[str, str]:
    """Versions of the libraries that made the graph, of those that are installed."""
    found: dict[str, str] = {}
    for name in _MAKERS:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found
