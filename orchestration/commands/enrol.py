"""`run.py enrol`: a new class from a few pictures, answered provisionally until a training takes them."""

from __future__ import annotations

import os
import shlex
from argparse import Namespace
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from orchestration.commands.command import Command, argument, read_config
from orchestration.session.paths import ProjectPaths
from vision.base.errors import ConfigError, ImageError
from vision.base.files import storage_errors, write_atomically
from vision.base.wording import count_of
from vision.config.run import RunConfig

if TYPE_CHECKING:  # the log imports SQLAlchemy
    from serving.log.enrolments import Enrolment

SENT_SIDE = 800
"""Pixels of the longer side that is sent; networks look at some hundred."""


def _run(options: Namespace, paths: ProjectPaths) -> int:
    config = read_config(options, paths)
    console = Console(highlight=False, soft_wrap=True, markup=False)
    if options.forget is not None:
        return _forget(config, options.forget, paths, console)
    if not options.what:
        _tell(config, paths, options, console)
    elif len(options.what) == 2 and options.out is None:
        _enrol(config, options.what[0], Path(options.what[1]).expanduser(), paths, console)
    else:
        raise ConfigError(
            f"enrol got {' '.join(options.what)}. Expected the new class and a folder of its pictures. Type "
            f"python run.py enrol {config.name} CLASS FOLDER"
        )
    return 0


def _enrol(config: RunConfig, name: str, folder: Path, paths: ProjectPaths, console: Console) -> None:
    """Send the pictures of a folder to the running service."""
    from serving.api.schemas import MAX_ENROLLED
    from serving.client import enrol_class
    from serving.runtime.process import service_status
    from serving.runtime.running import ServiceFolder
    from vision.data.decoding.formats import FORMATS

    if not folder.is_dir():
        raise ConfigError(
            f"{folder}: there is no such folder. Expected one with pictures of {name}. Check the path."
        )
    endings = {ending for each in FORMATS for ending in each.endings}
    with storage_errors(folder, "read"):
        files = sorted(each for each in folder.iterdir() if each.suffix.lower() in endings)
    if len(files) > MAX_ENROLLED:
        console.print(f"{folder} holds {len(files)} pictures; the first {MAX_ENROLLED} are taken.")
    service_folder = ServiceFolder(paths.home)
    running = service_status(service_folder).running
    if running is None or running.bento.model.name != config.name:
        answers = (
            "No service is running"
            if running is None
            else f"The service answers by {running.bento.model.name}"
        )
        raise ConfigError(
            f"{answers}. Expected {config.name}. Type python run.py serve {config.name}; where it was not "
            f"trained yet, first python run.py train {config.name}"
        )
    key = os.environ.get("TAXON_API_KEYS", "").split(",")[0].partition(":")[2]
    if not running.keys_from_environment:
        with storage_errors(service_folder.key, "read"):
            key = service_folder.key.read_text(encoding="utf-8").strip()
    if not key:
        raise ConfigError(
            "The service was started with keys of its own. Expected one for feedback in TAXON_API_KEYS, as "
            "name:key. Set it here, then enrol again."
        )
    images = _shrink(files[:MAX_ENROLLED], folder, console)
    made = enrol_class(running.url, key, name, images)
    recognised = f"each left out in turn, {made.num_recognised} of them would have been recognised"
    console.print(
        f"{made.class_name} is answered from now on, as provisional.\n"
        f"Made from  {count_of(made.num_images, 'picture')}; {recognised}\n"
        f"Mistaken   about {made.alpha:.0%} of pictures of known classes are expected to be taken for it\n"
        f"Train it   python run.py enrol {config.name} --out enrolled"
    )


def _shrink(files: Sequence[Path], folder: Path, console: Console) -> list[tuple[str, bytes]]:
    """Names and pictures of files, as they are sent; those that cannot be used are told and left out."""
    from vision.data.thumbnails import make_thumbnail

    images = []
    for file in files:
        with storage_errors(file, "read"):
            content = file.read_bytes()
        try:
            images.append((file.name, make_thumbnail(content, SENT_SIDE)))
        except ImageError as error:
            console.print(f"Left out: {file}: {error}")
    if not images:
        raise ImageError(f"{folder} holds no picture that can be used. Put pictures of the new class there.")
    return images


def _forget(config: RunConfig, name: str, paths: ProjectPaths, console: Console) -> int:
    from serving.log.enrolments import forget_class
    from serving.log.prediction_log import PredictionLog

    with closing(PredictionLog(_find_log(config, paths), create=False)) as log:
        num_gone = forget_class(log, config.name, name) if log.exists() else 0
    console.print(f"{name}: {count_of(num_gone, 'enrolment')} forgotten, with the pictures.")
    return 0 if num_gone else 2


def _tell(config: RunConfig, paths: ProjectPaths, options: Namespace, console: Console) -> None:
    """List what is enrolled, and write the pictures as class folders where `--out` says."""
    found = _read(config, paths)
    if not found:
        console.print(
            f"No class is enrolled with {config.name}. Type python run.py enrol {config.name} CLASS FOLDER"
        )
        return
    for name in sorted({each.class_name for each in found}):
        own = [each for each in found if each.class_name == name]
        num_images = sum(len(each.images) for each in own)
        by = ", ".join(sorted({each.client for each in own}))
        console.print(
            f"{name}: {count_of(num_images, 'picture')}, last {own[-1].time:%Y-%m-%d %H:%M}, by {by}"
        )
    if options.out is not None:
        folder = Path(options.out).expanduser()
        for number, each in enumerate(found):
            for place, (file_name, image) in enumerate(each.images):
                write_atomically(
                    folder / each.class_name / f"{number}-{place}-{Path(file_name).stem[:40]}.jpg", image
                )
        console.print(
            f"Wrote the pictures into {folder}. Train with them:\n"
            f"  python run.py train --config {shlex.quote(options.config)} "
            f"--set 'dataset.additions=[{folder.resolve()}]'"
        )


def _read(config: RunConfig, paths: ProjectPaths) -> Sequence[Enrolment]:
    from serving.log.enrolments import list_enrolments
    from serving.log.prediction_log import PredictionLog

    with closing(PredictionLog(_find_log(config, paths), create=False)) as log:
        return list_enrolments(log, config.name) if log.exists() else []


def _find_log(config: RunConfig, paths: ProjectPaths) -> str:
    from serving.log.url import resolve_log_url

    return resolve_log_url(config.serve.log.url, paths.home)


ENROL = Command(
    "enrol",
    "a new class from five pictures, answered at once as provisional",
    _run,
    (
        argument(
            "what", nargs="*", metavar="CLASS FOLDER", help="the new class, and pictures of it; none: list"
        ),
        argument("--out", metavar="FOLDER", help="write the pictures of all enrolled classes, to train with"),
        argument("--forget", metavar="CLASS", help="answer it no more, and delete its pictures"),
    ),
    config="needed",
)
