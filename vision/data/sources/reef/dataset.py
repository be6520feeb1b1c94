"""A reef on disk: `known/<species>/` and `unknown/<species>/`, complete or not there at all.

Files are named `<species>_<individual>_frame<N>.jpg`; frames of one individual are one group. Faults are laid
over fixed places of the list of images, so that neither more images nor other faults move them.
"""

from __future__ import annotations

import errno
import hashlib
import json
import multiprocessing
import os
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vision.base.errors import ConfigError, SourceError, StorageError, TaxonError
from vision.config.data import ReefSource
from vision.data.sources.reef.painter import (
    FRAMES_STREAM,
    PAINTER_VERSION,
    encode_jpeg,
    paint_image,
    seed_individual,
)
from vision.data.sources.reef.species import KNOWN_SPECIES, UNKNOWN_SPECIES

if TYPE_CHECKING:
    from vision.data.manifest import SourceFile

Progress = Callable[[int, int], None]

GROUP_PATTERN = re.compile(r"^(?P<group>.+)_frame\d+")
STAMP_NAME = "reef.json"
_CHUNK = 24
_FAULT_STRIDE = 4


class Fault(StrEnum):
    """What is done to a file on purpose."""

    NONE = "none"
    EXIF_ROTATED = "exif_rotated"
    TRUNCATED = "truncated"
    EMPTY = "empty"
    JUNK = "junk"


@dataclass(frozen=True)
class PaintTask:
    """One file to write; `path` is POSIX, relative to the reef's folder."""

    path: str
    species: str
    individual: int
    frame: int
    fault: Fault = Fault.NONE


def reef_digest(settings: ReefSource) -> str:
    """SHA-256 of everything that the files depend on: settings and painter."""
    content = {"settings": _painted_settings(settings), "painter": PAINTER_VERSION}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _painted_settings(settings: ReefSource) -> dict[str, object]:
    """The settings that the painter reads; folders that join the reef change none of its pixels."""
    return settings.model_dump(mode="json", exclude={"additions"})


def plan_reef(settings: ReefSource) -> list[PaintTask]:
    """Every file of a reef, known species first.

    Duplicates and corrupt files come on top of `images_per_class`; wrong labels and turned files are among
    them.

    Raises:
        ConfigError: more faults of a kind than images to carry them.
    """
    known = [_plan_species(name, settings.images_per_class, settings) for name in KNOWN_SPECIES]
    duplicates = _plan_duplicates(known, settings)
    corrupt = [_plan_corrupt(i) for i in range(settings.corrupt_files)]
    _turn_files(known, settings)
    _move_files(known, settings)
    tasks = [task for tasks in known for task in tasks] + duplicates + corrupt
    for name in UNKNOWN_SPECIES:
        tasks += _plan_species(name, settings.unknown_images_per_class, settings, tree="unknown")
    return tasks


def _plan_species(name: str, count: int, settings: ReefSource, *, tree: str = "known") -> list[PaintTask]:
    tasks: list[PaintTask] = []
    individual = 0
    while len(tasks) < count:
        rng = np.random.default_rng([*seed_individual(settings.seed, name, individual), FRAMES_STREAM])
        frames = 1 + int(rng.random() * settings.frames_per_individual)
        for frame in range(min(frames, count - len(tasks))):
            path = f"{tree}/{name}/{name}_{individual:05d}_frame{frame:02d}.jpg"
            tasks.append(PaintTask(path, name, individual, frame))
        individual += 1
    return tasks


def _fault_places(count: int, offset: int, what: str, settings: ReefSource) -> Iterator[tuple[int, int]]:
    """(class, image) of `count` faults of one kind; kinds have different offsets and never meet."""
    classes = len(KNOWN_SPECIES)
    per_class = len(range(offset, settings.images_per_class, _FAULT_STRIDE))
    if count > classes * per_class:
        raise ConfigError(
            f"dataset.{what}: {count} do not fit into {settings.images_per_class} images a class; expected "
            f"at most {classes * per_class}. Raise dataset.images_per_class or ask for fewer."
        )
    for i in range(count):
        yield i % classes, offset + _FAULT_STRIDE * (i // classes)


def _plan_duplicates(known: Sequence[list[PaintTask]], settings: ReefSource) -> list[PaintTask]:
    """Copies that look like individuals of their own."""
    copies = []
    for i, (k, j) in enumerate(_fault_places(settings.duplicates, 0, "duplicates", settings)):
        name = KNOWN_SPECIES[k]
        copies.append(replace(known[k][j], path=f"known/{name}/{name}_copy{i:04d}_frame00.jpg"))
    return copies


def _plan_corrupt(i: int) -> PaintTask:
    name = KNOWN_SPECIES[i % len(KNOWN_SPECIES)]
    fault = (Fault.TRUNCATED, Fault.EMPTY, Fault.JUNK)[i % 3]
    return PaintTask(f"known/{name}/{name}_damaged{i:04d}_frame00.jpg", name, 1_000_000 + i, 0, fault)


def _turn_files(known: Sequence[list[PaintTask]], settings: ReefSource) -> None:
    for k, j in _fault_places(settings.exif_rotated, 1, "exif_rotated", settings):
        known[k][j] = replace(known[k][j], fault=Fault.EXIF_ROTATED)


def _move_files(known: Sequence[list[PaintTask]], settings: ReefSource) -> None:
    classes = len(KNOWN_SPECIES)
    for i, (k, j) in enumerate(_fault_places(settings.wrong_labels, 2, "wrong_labels", settings)):
        wrong = KNOWN_SPECIES[(k + 1 + (i + i // classes) % (classes - 1)) % classes]
        task = known[k][j]
        known[k][j] = replace(task, path=f"known/{wrong}/{Path(task.path).name}")


def paint_reef(
    settings: ReefSource, folder: Path, *, progress: Progress | None = None, num_workers: int = 2
) -> None:
    """Paint a reef into `folder`, which appears when it is complete; a complete one is left as it is.

    The bytes do not depend on the number of processes; 1 paints in this one.

    Raises:
        ConfigError: more faults than images.
        StorageError: no space, no permission, or `folder` holds something else.
    """
    tasks = plan_reef(settings)
    digest = reef_digest(settings)
    if _is_complete(folder, digest):
        return
    unfinished = folder.with_name(f".{folder.name}.unfinished-{os.getpid()}")
    with _storage_errors(folder):
        _remove_leftovers(folder)
        for parent in sorted({str(Path(task.path).parent) for task in tasks}):
            (unfinished / parent).mkdir(parents=True, exist_ok=True)
        try:
            _paint_tasks(tasks, settings, unfinished, progress, num_workers)
            stamp = {
                "digest": digest,
                "painter": PAINTER_VERSION,
                "settings": _painted_settings(settings),
            }
            (unfinished / STAMP_NAME).write_text(json.dumps(stamp, indent=2) + "\n", encoding="utf-8")
            _publish(unfinished, folder, digest)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)


def _is_complete(folder: Path, digest: str) -> bool:
    """Whether `folder` holds this reef; another content is refused rather than overwritten."""
    with _storage_errors(folder):
        if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
            return False
        try:
            found = json.loads((folder / STAMP_NAME).read_text(encoding="utf-8"))["digest"]
        except (FileNotFoundError, NotADirectoryError, ValueError, KeyError, TypeError):
            found = None
    if found != digest:
        raise StorageError(
            f"{folder} exists and is not this reef. Expected a free path. Remove it or choose another."
        )
    return True


@contextmanager
def _storage_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        hints = {
            errno.ENOSPC: "No space is left; free some.",
            errno.EDQUOT: "The quota is used up; free some space.",
            errno.EACCES: "Make the folder writable.",
            errno.EPERM: "Make the folder writable.",
            errno.EROFS: "The file system is read-only; choose another folder.",
        }
        hint = hints.get(error.errno or 0, "Check the folder.")
        raise StorageError(f"{folder}: the reef could not be written: {error}. {hint}") from error


def _remove_leftovers(folder: Path) -> None:
    """Clear away what killed runs left of this reef; work of a living process stays."""
    for leftover in folder.parent.glob(f".{folder.name}.unfinished-*"):
        process = leftover.name.rpartition("-")[2]
        if process.isdigit() and not _is_alive(int(process)):
            shutil.rmtree(leftover, ignore_errors=True)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return process != os.getpid()


def _publish(unfinished: Path, folder: Path, digest: str) -> None:
    try:
        os.replace(unfinished, folder)  # noqa: PTH105  the atomic rename is the point
    except OSError:
        if not _is_complete(folder, digest):  # another process may have painted the same reef meanwhile
            raise


def _paint_tasks(
    tasks: Sequence[PaintTask],
    settings: ReefSource,
    root: Path,
    progress: Progress | None,
    num_workers: int,
) -> None:
    chunks = [tasks[i : i + _CHUNK] for i in range(0, len(tasks), _CHUNK)]
    done = 0
    for count in _paint_chunks(chunks, settings, root, num_workers):
        done += count
        if progress is not None:
            progress(done, len(tasks))


def _paint_chunks(
    chunks: Sequence[Sequence[PaintTask]], settings: ReefSource, root: Path, num_workers: int
) -> Iterator[int]:
    """Numbers of files painted, as they come. Processes are spawned: forking a threaded parent can hang."""
    if num_workers <= 1 or len(chunks) <= 2:
        for chunk in chunks:
            yield _paint_files(chunk, settings.seed, settings.turbidity, root)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=num_workers, mp_context=context) as pool:
        futures = [
            pool.submit(_paint_files, chunk, settings.seed, settings.turbidity, root) for chunk in chunks
        ]
        try:
            for future in as_completed(futures):
                yield future.result()
        except BrokenProcessPool as error:
            raise TaxonError(
                "A painting process ended before its work was done (out of memory, or killed). Expected it "
                "to paint on. Start again with more free memory."
            ) from error
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _paint_files(tasks: Sequence[PaintTask], seed: int, turbidity: float, root: Path) -> int:
    for task in tasks:
        (root / task.path).write_bytes(paint_bytes(task, seed, turbidity))
    return len(tasks)


def paint_bytes(task: PaintTask, seed: int, turbidity: float) -> bytes:
    """The bytes of one file, fault included."""
    if task.fault is Fault.EMPTY:
        return b""
    if task.fault is Fault.JUNK:
        return np.random.default_rng([seed, task.individual]).bytes(2048)
    image, quality = paint_image(seed, task.species, task.individual, task.frame, turbidity=turbidity)
    raw = encode_jpeg(image, quality, turned=task.fault is Fault.EXIF_ROTATED)
    return raw[: len(raw) // 2] if task.fault is Fault.TRUNCATED else raw


def list_reef_files(folder: Path) -> Sequence[SourceFile]:
    """The files of a painted reef, sorted by path; SourceError if `folder` holds no reef."""
    from vision.data.manifest import SourceFile

    paths = sorted(
        path.relative_to(folder).as_posix()
        for tree in ("known", "unknown")
        for path in folder.glob(f"{tree}/*/*.jpg")
    )
    if not paths:
        raise SourceError(f"{folder}: no reef. Expected known/<species>/*.jpg. Paint it with paint_reef.")
    files = []
    for path in paths:
        tree, class_name, name = path.split("/")
        match = GROUP_PATTERN.match(name)
        group = match["group"] if match else None
        files.append(
            SourceFile(path=path, class_name=class_name, group=group, tree=None, is_unknown=tree == "unknown")
        )
    return files
