"""Every file of a source is read once and becomes an entry or is quarantined with the reason.

Paths are POSIX, relative to the source's root. Entries are sorted by path, so that the manifest depends on
the files alone, not on the order in which they were found or read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import PIL
from pydantic import TypeAdapter

from vision.base.columns.rows import Rows
from vision.base.errors import ImageError, SourceError
from vision.data.decoding.formats import READ_FORMATS, has_other_ending
from vision.data.decoding.remarks import Remark
from vision.data.images import DECODER_VERSION, MAX_MEGAPIXELS, probe_image
from vision.data.records import Box, FileRemark, ImageEntry, Manifest, Quarantined, Split
from vision.work.chunks import Lost
from vision.work.current import current_work

Progress = Callable[[int, int], None]
"""Called with (files done, files in all)."""

CHUNK = 32
"""Files that a worker reads at a time."""

_UNREADABLE = "cannot be read: "
_LARGEST_PIXEL_BYTES = 8  # 16-bit RGBA
_HEADER_ALLOWANCE_BYTES = 2**20
_MOST_BITS = 16


@dataclass(frozen=True, order=True, slots=True)
class SourceFile:
    """One file that a source offers as an image.

    Attributes:
        path: POSIX, relative to the source's root.
        tree: the split that the user's own tree gives it, if any.
        box: where the subject is: left, top, width, height as shares (0..1) of the picture as it is seen.
    """

    path: str
    class_name: str
    group: str | None = None
    tree: Split | None = None
    is_unknown: bool = False
    box: Box | None = None


def build_manifest(
    root: Path,
    files: Sequence[SourceFile],
    source_digest: str,
    max_megapixels: float = MAX_MEGAPIXELS,
    *,
    quarantined: Sequence[Quarantined] = (),
    remarks: Sequence[FileRemark] = (),
    keeps_damage: bool = False,
    progress: Progress | None = None,
) -> Manifest:
    """Read every file: digest, size after orientation, or the reason why it cannot be used.

    `quarantined` and `remarks` are those of the source itself. Pictures of more than `max_megapixels` are
    left out; with `keeps_damage`, those of which a part is missing are taken.

    Raises:
        SourceError: not one file is a usable image, or not one of a class.
    """
    ordered = sorted(files)
    reading = _Reading(root.resolve(), source_digest, max_megapixels, keeps_damage)
    told = _Told()
    entries = Rows.of(ImageEntry, told.keep_usable(_read_files(reading, ordered, progress)))
    left_out = told.left_out
    if not entries:
        raise SourceError(_nothing_usable(root, left_out))
    _refuse_lost_classes(root, set(entries.column("class_name").tally()), left_out)
    known = {file.class_name for file in ordered if not file.is_unknown}
    unknown = {file.class_name for file in ordered if file.is_unknown}
    manifest = Manifest(
        root=str(root.resolve()),
        source_digest=source_digest,
        class_names=tuple(sorted(known)),
        unknown_class_names=tuple(sorted(unknown)),
        entries=entries,
        quarantined=tuple(sorted([*left_out, *quarantined], key=lambda item: item.path)),
    )
    # where most pictures use 16 bits, those of fewer are dark, and are not brightened
    untrue = {Remark.FEW_BITS} if manifest.least_bits >= _MOST_BITS else set()
    found = [told.remarks[each] for each in Remark if each in told.remarks and each not in untrue]
    return manifest.model_copy(update={"remarks": (*remarks, *found)})


@dataclass(frozen=True)
class _Reading:
    """Where files lie and how they are read."""

    root: Path
    source_digest: str
    max_megapixels: float
    keeps_damage: bool

    def key(self, files: Sequence[SourceFile]) -> str:
        """Of what reading these files comes to, as long as none of them changes."""
        told = f"{self!r} {DECODER_VERSION} {PIL.__version__} {' '.join(ImageEntry.model_fields)}\n"
        digest = hashlib.sha256(told.encode())
        for file in files:
            try:
                status = (self.root / file.path).stat()
                stamp = f"{status.st_size} {status.st_mtime_ns}"
            except OSError:
                stamp = ""
            digest.update(f"{file!r} {stamp}\n".encode("utf-8", "surrogateescape"))
        return digest.hexdigest()


@dataclass(frozen=True)
class _Read:
    """A usable image, and what is worth telling of it."""

    entry: ImageEntry
    remarks: frozenset[Remark]


@dataclass
class _Told:
    """Which files are left out, and of how many images each remark holds."""

    left_out: list[Quarantined] = field(default_factory=list)
    remarks: dict[Remark, FileRemark] = field(default_factory=dict)

    def keep_usable(self, results: Iterable[_Read | Quarantined]) -> Iterator[ImageEntry]:
        """Usable images as they come, none of which is held here."""
        for each in results:
            if isinstance(each, Quarantined):
                self.left_out.append(each)
                continue
            for remark in each.remarks:
                before = self.remarks.get(remark) or FileRemark(
                    what=str(remark), count=0, first=each.entry.path
                )
                self.remarks[remark] = before.model_copy(update={"count": before.count + 1})
            yield each.entry


_RESULTS: TypeAdapter[list[_Read | Quarantined]] = TypeAdapter(list[_Read | Quarantined])


def _read_files(
    reading: _Reading, files: Sequence[SourceFile], progress: Progress | None
) -> Iterator[_Read | Quarantined]:
    """What each file is, in order; chunks that an earlier attempt finished are not read again."""
    work = current_work()
    work.executor.require_folders([reading.root])
    chunks = [files[start : start + CHUNK] for start in range(0, len(files), CHUNK)]
    keys = [reading.key(chunk) if work.journal else "" for chunk in chunks]
    known = work.journal.keys() if work.journal else set()
    missing = [chunk for chunk, key in zip(chunks, keys, strict=True) if key not in known]
    done = 0
    read = partial(_read_chunk, reading=reading)
    with closing(work.executor.map_chunks(read, missing, sum(map(len, missing)))) as fresh:
        for chunk, key in zip(chunks, keys, strict=True):
            kept = work.journal.find(key) if work.journal and key in known else None
            if kept is not None:
                results = _RESULTS.validate_json(kept)
            else:
                results = list(map(_settle, chunk, next(fresh)))
                if work.journal and not any(map(_may_be_read_yet, results)):
                    work.journal.add(key, _RESULTS.dump_json(results))
            for result in results:
                done += 1
                if progress is not None:
                    progress(done, len(files))
                yield result


def _settle(file: SourceFile, result: _Read | Quarantined | Lost) -> _Read | Quarantined:
    """A file that ended the process is left out as one that is no picture."""
    if isinstance(result, Lost):
        return Quarantined(path=file.path, reason=str(result), class_name=file.class_name)
    return result


def _may_be_read_yet(result: _Read | Quarantined) -> bool:
    return isinstance(result, Quarantined) and result.reason.startswith(_UNREADABLE)


def _read_chunk(files: Sequence[SourceFile], *, reading: _Reading) -> list[_Read | Quarantined]:
    return [_read_entry(reading, file) for file in files]


def _read_entry(reading: _Reading, file: SourceFile) -> _Read | Quarantined:
    try:
        raw = _read_bytes(reading.root / file.path, reading.max_megapixels)
        probe = probe_image(raw, max_megapixels=reading.max_megapixels, keeps_damage=reading.keeps_damage)
    except ImageError as error:
        return Quarantined(path=file.path, reason=str(error), class_name=file.class_name)
    except OSError as error:
        reason = f"{_UNREADABLE}{error.strerror or error}"
        return Quarantined(path=file.path, reason=reason, class_name=file.class_name)
    entry = ImageEntry(
        path=file.path,
        class_name=file.class_name,
        digest=hashlib.sha256(raw).hexdigest(),
        num_bytes=len(raw),
        width=probe.width,
        height=probe.height,
        group=file.group,
        tree=file.tree,
        is_unknown=file.is_unknown,
        box=file.box,
        taken_at=probe.taken_at,
        is_damaged=Remark.DAMAGED in probe.remarks,
        sample_bits=probe.sample_bits,
    )
    other = {Remark.OTHER_ENDING} if has_other_ending(file.path, probe.format) else set()
    return _Read(entry, probe.remarks | other)


def _refuse_lost_classes(root: Path, usable: Set[str], left_out: Sequence[Quarantined]) -> None:
    """Refuse a class whose every file is left out: it would vanish."""
    lost = {item.class_name for item in left_out} - usable
    for name in sorted(lost):
        own = [item for item in left_out if item.class_name == name]
        raise SourceError(
            f"{root}: class {name!r} has no usable image: all {len(own)} files are left out (first: "
            f"{own[0].path}: {own[0].reason}). Expected some pictures in every class. Repair or convert "
            f"them, or leave the class out on purpose: dataset.skip_folders: [{name}]"
        )


def _read_bytes(path: Path, max_megapixels: float) -> bytes:
    """The file's bytes, unless it is longer than any picture of that many pixels can be."""
    limit = int(max_megapixels * 1e6 * _LARGEST_PIXEL_BYTES) + _HEADER_ALLOWANCE_BYTES
    num_bytes = path.stat().st_size
    if num_bytes > limit:
        raise ImageError(
            f"the file has {num_bytes:,} bytes; expected at most {limit:,}, "
            f"what {max_megapixels:g} megapixels can take"
        )
    return path.read_bytes()


def _nothing_usable(root: Path, left_out: Sequence[Quarantined]) -> str:
    if not left_out:
        return f"{root}: holds no image. Expected {READ_FORMATS} files in class folders."
    first = left_out[0]
    return (
        f"{root}: none of {len(left_out)} files is a usable image (first: {first.path}: {first.reason}). "
        f"Expected {READ_FORMATS} files in class folders."
    )
