"""The decoded images of a run as one array on disk, written whole or not at all.

A store is a folder `<key>/` with `images.npy`, uint8 (n, size, size, 3), row i of which is entry i of the
manifest, and `store.json`, written last. The key is a digest of what the pixels depend on: the files' digests
in order, size, resize policy and decoder. Images are decoded and written in chunks, so that memory does not
grow with their number. One process writes at a time (the run's lock sees to it), what the executor's workers
decode. Where finished chunks are kept, a writer that was killed leaves its rows to the next.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
import PIL
from numpy.typing import NDArray

from vision.base.errors import ImageError, SourceError, StorageError
from vision.base.files import (
    PARTIAL_SUFFIX,
    open_atomically,
    open_resumable,
    storage_errors,
    write_atomically,
)
from vision.base.record import ImageArray
from vision.config.data import ImageSettings, Resize
from vision.data.images import DECODER_VERSION, decode_image
from vision.data.records import DatasetRef, Manifest
from vision.work.chunks import Lost
from vision.work.current import current_work
from vision.work.journal import Journal

logger = logging.getLogger(__name__)

ARRAY_NAME, CARD_NAME = DatasetRef.FILES

Progress = Callable[[int, int], None]
"""Called with (images done, images in all)."""

_MOST_ROWS = 64
_CHUNK_BYTES = 8_000_000
_NO_LIMIT = float("inf")  # the manifest has already refused what is too large


def build_store(
    manifest: Manifest,
    settings: ImageSettings,
    folder: Path,
    *,
    chunk: int | None = None,
    progress: Progress | None = None,
) -> DatasetRef:
    """Decode every image of a manifest, in its order, into a store of `folder`, or find that this is done.

    The pixels of what is found are hashed; an array that was altered is built again, with a warning.

    Raises:
        StorageError: no space, no permission, a read-only disk.
        SourceError: a file is gone or has changed since it was listed.
    """
    home = folder.resolve() / _store_key(manifest, settings)
    found = _find_store(home, manifest, settings)
    if found is not None:
        return found
    chunk = chunk or min(_MOST_ROWS, max(1, _CHUNK_BYTES // (3 * settings.size**2)))
    return _write_store(home, manifest, settings, chunk=chunk, progress=progress)


def is_whole(home: Path) -> bool:
    """Whether a store's array is there and its pixels are those that were written.

    Every pixel is read (some hundred MB take a second): ask before a run uses them, not on each opening.

    Raises:
        StorageError: the disk fails while the array is read.
    """
    card, images = _read_card(home), _map_array(home / ARRAY_NAME)
    if card is None or images is None:
        return False
    path = home / ARRAY_NAME
    with storage_errors(path, "read"), path.open("rb") as file:
        file.seek(images.offset)
        return hashlib.file_digest(file, "sha256").hexdigest() == card.get("content_hash")


def open_images(ref: DatasetRef) -> np.memmap[tuple[int, ...], np.dtype[np.uint8]]:
    """The decoded images, (n, size, size, 3) uint8, read-only, mapped into memory.

    Raises:
        StorageError: missing, of another shape or content than `ref` says.
    """
    path = Path(ref.path) / ARRAY_NAME
    card = _read_card(Path(ref.path))
    if card is None or not path.is_file():
        raise StorageError(
            f"{ref.path}: the decoded images are missing. Run the training again: they are rebuilt."
        )
    if card.get("content_hash") != ref.content_hash:
        raise StorageError(
            f"{ref.path}: holds other images than those asked for (content {card.get('content_hash')}; "
            f"expected {ref.content_hash}). Delete this folder and run the training again."
        )
    images = _map_array(path)
    expected = (ref.num_images, ref.image_size, ref.image_size, 3)
    if images is None or images.shape != expected:
        found = "no readable array" if images is None else f"shape {images.shape}"
        raise StorageError(
            f"{path}: {found}; expected shape {expected}. Delete this folder and run the training again."
        )
    return images


def settings_of(ref: DatasetRef) -> ImageSettings:
    """How the images of a store were decoded; the resize is never `auto`."""
    return ImageSettings(size=ref.image_size, resize=Resize(ref.resize))


def images_at(manifest: Manifest, folder: Path, size: int, resize: str) -> ImageArray:
    """A manifest's images decoded at another size, for a network with another input; (n, size, size, 3).

    Raises:
        StorageError: no space, no permission.
        SourceError: a file is gone or has changed since it was listed.
    """
    return open_images(build_store(manifest, ImageSettings(size=size, resize=Resize(resize)), folder))


def _store_key(manifest: Manifest, settings: ImageSettings) -> str:
    digest = hashlib.sha256()
    scaling = f"{settings.size} {settings.resize} {manifest.least_bits}"
    digest.update(f"{DECODER_VERSION} {PIL.__version__} {scaling}\n".encode())
    for each in manifest.entries.column("digest"):
        digest.update(f"{each}\n".encode())
    return digest.hexdigest()[:32]


def _find_store(home: Path, manifest: Manifest, settings: ImageSettings) -> DatasetRef | None:
    """The store in a folder if it is complete, has the expected shape and the pixels that were written."""
    card = _read_card(home)
    images = _map_array(home / ARRAY_NAME)
    expected = (len(manifest.entries), settings.size, settings.size, 3)
    if card is None or images is None or images.shape != expected or "content_hash" not in card:
        return None
    if not is_whole(home):
        logger.warning("%s: the decoded images were altered; they are decoded again.", home)
        return None
    return _reference(home, manifest, settings, str(card["content_hash"]))


def _reference(home: Path, manifest: Manifest, settings: ImageSettings, content_hash: str) -> DatasetRef:
    return DatasetRef(
        path=str(home),
        content_hash=content_hash,
        num_images=len(manifest.entries),
        image_size=settings.size,
        resize=str(settings.resize),
        source_digest=manifest.source_digest,
        least_bits=manifest.least_bits,
    )


def _write_store(
    home: Path,
    manifest: Manifest,
    settings: ImageSettings,
    *,
    chunk: int,
    progress: Progress | None,
) -> DatasetRef:
    resumes = current_work().journal is not None
    _clear_leftovers(home, resumes=resumes)
    with (open_resumable if resumes else open_atomically)(home / ARRAY_NAME) as file:
        content_hash = _write_array(file, manifest, settings, chunk, progress)
    card = {"content_hash": content_hash, "num_images": len(manifest.entries), "size": settings.size}
    write_atomically(home / CARD_NAME, json.dumps(card | {"resize": settings.resize}, indent=1))
    return _reference(home, manifest, settings, content_hash)


def _clear_leftovers(home: Path, *, resumes: bool) -> None:
    """Remove what a killed process left: partial files, and a card that would vouch for another array."""
    with storage_errors(home):
        home.mkdir(parents=True, exist_ok=True)
        for leftover in [*([] if resumes else home.glob(f".*{PARTIAL_SUFFIX}")), home / CARD_NAME]:
            leftover.unlink(missing_ok=True)


def _write_array(
    file: IO[bytes], manifest: Manifest, settings: ImageSettings, chunk: int, progress: Progress | None
) -> str:
    """Write header and pixels, as far as they are not in the file; returns the SHA-256 of the pixels."""
    work, num = current_work(), len(manifest.entries)
    shape = (num, settings.size, settings.size, 3)
    np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
    key = f"{_store_key(manifest, settings)} {chunk}"
    content, done = _keep_finished(file, shape, chunk, work.journal, key)
    chunks = (
        [_Wanted(str(manifest.locate(each)), each.digest, each.is_damaged) for each in entries]
        for start in range(done, num, chunk)
        if (entries := manifest.entries[start : start + chunk])
    )
    decode = partial(_decode_chunk, settings=settings, least_bits=manifest.least_bits)
    with closing(work.executor.map_chunks(decode, chunks, num - done)) as decoded:
        for images in decoded:
            for image in images:
                if isinstance(image, Lost):
                    raise _refuse_deadly(manifest, done)
                content.update(image.data)
                file.write(image.data)
                done += 1
            if work.journal is not None:
                file.flush()
                work.journal.add(f"{key} {done}", content.digest())
            if progress is not None:
                progress(done, num)
    return content.hexdigest()


def _keep_finished(
    file: IO[bytes], shape: tuple[int, ...], chunk: int, journal: Journal | None, key: str
) -> tuple[hashlib._Hash, int]:
    """The hash and number of the rows that an earlier attempt wrote; the file is cut off behind them."""
    content, done, end = hashlib.sha256(), 0, file.tell()
    while done < shape[0] and journal is not None:
        rows = min(chunk, shape[0] - done)
        raw = file.read(rows * math.prod(shape[1:]))
        ahead = content.copy()
        ahead.update(raw)
        if journal.find(f"{key} {done + rows}") != ahead.digest():
            break
        content, done, end = ahead, done + rows, end + len(raw)
    file.seek(end)
    file.truncate()
    return content, done


class _Wanted(NamedTuple):
    """A file to decode: its path, its digest when it was listed, and whether a part of it is missing."""

    path: str
    digest: str
    is_damaged: bool


def _decode_chunk(wanted: Sequence[_Wanted], *, settings: ImageSettings, least_bits: int) -> list[ImageArray]:
    return [_decode(each, settings, least_bits) for each in wanted]


def _decode(wanted: _Wanted, settings: ImageSettings, least_bits: int) -> ImageArray:
    path = Path(wanted.path)
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise SourceError(
            f"{path}: cannot be read any more: {error.strerror or error}. Expected the file that was listed "
            "before. Leave the images alone while a run is going, then run again."
        ) from error
    if hashlib.sha256(raw).hexdigest() != wanted.digest:
        raise SourceError(
            f"{path}: has changed since it was listed. Leave the images alone while a run is going, "
            "then run again."
        )
    try:
        return decode_image(
            raw,
            size=settings.size,
            resize=settings.resize,
            max_megapixels=_NO_LIMIT,
            keeps_damage=wanted.is_damaged,
            least_bits=least_bits,
        )
    except ImageError as error:
        raise SourceError(f"{path}: {error}. It decoded when it was listed; run again.") from error


def _refuse_deadly(manifest: Manifest, row: int) -> SourceError:
    return SourceError(
        f"{manifest.locate(manifest.entries[row])}: every process that decodes it ends (its decoder crashes, "
        "or it runs out of memory). Expected a picture that decodes as it did when it was listed. Move it "
        "out of the folder, or save it anew, and run again."
    )


def _read_card(home: Path) -> dict[str, object] | None:
    """What `store.json` says; None where it is missing or no JSON object."""
    try:
        card = json.loads((home / CARD_NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return card if isinstance(card, dict) else None


def _map_array(path: Path) -> np.memmap[tuple[int, ...], np.dtype[np.uint8]] | None:
    """The array mapped read-only; None where it is missing, cut short or no uint8 array."""
    try:
        images: NDArray[np.uint8] = np.load(path, mmap_mode="r")
    except (OSError, ValueError, EOFError):
        return None
    if isinstance(images, np.memmap) and images.dtype == np.uint8:
        return images
    return None
