"""`run.py predict`: answers for pictures, folders, tables of paths and archives, without a service."""

from __future__ import annotations

import shlex
import sys
import time
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from orchestration.commands.command import Command, argument
from orchestration.session.environment import import_quickly, prepare_environment
from orchestration.session.paths import ProjectPaths
from vision.base.errors import ConfigError
from vision.base.progress import in_words
from vision.base.wording import count_of
from vision.config.base import Settings
from vision.config.data import GroupPattern
from vision.config.reading.loading import find_config, find_near_config, load_config, settle
from vision.config.run import RunConfig
from vision.config.work import ExecutorSettings

if TYPE_CHECKING:
    from orchestration.flows.answering import AnsweringModel
    from vision.prediction.batch import Batch
    from vision.prediction.publishing.publication import Publisher

FOLDER = "predictions"
MOST_TOLD = 12
"""Of so few files each answer is printed."""
PLAIN_SECONDS = 8.0
"""Where there is no terminal, how far it is is told no more often."""


class _Asked(Settings):
    executor: ExecutorSettings = Field(default_factory=ExecutorSettings)
    group_by: GroupPattern | None = None


def _predict(options: Namespace, paths: ProjectPaths) -> int:
    """Answer what was asked; 0 where at least one file could be read, else 2."""
    from vision.data.sources.remote import find_url
    from vision.prediction.bucket import check_output
    from vision.prediction.listing import find_place
    from vision.prediction.views import check_views
    from vision.work.current import open_work

    config, words = _split_words(options, paths)
    if options.top < 1:
        raise ConfigError(f"--top is {options.top}. Expected 1 or more classes.")
    if options.similar < 0:
        raise ConfigError(f"--similar is {options.similar}. Expected 0 or more known images.")
    check_views(options.tta)
    _check_format(options)
    executor = _read_settings(options, config).executor
    sources = [Path(each) for each in words]
    for source in sources:
        find_place(source)  # a wrong path is told before ZenML is imported
    if url := find_url(Path(options.out or "")):
        check_output(url)
    found = _find_model(options, options.model if config is None else config.name, paths)
    with open_work(executor):
        return _answer(options, sources, found, paths)


def _answer(options: Namespace, sources: Sequence[Path], found: AnsweringModel, paths: ProjectPaths) -> int:
    """Answer these places with this model, and say what came of it; the exit code."""
    from report.pages.prediction_words import tell_counts, tell_row
    from report.pages.predictions import PAGE_NAME, write_predictions
    from vision.bundle.assembly import read_contract
    from vision.data.sources.remote import find_url
    from vision.prediction.batch import Batch
    from vision.prediction.boxes import Boxes
    from vision.prediction.bucket import copy_output
    from vision.prediction.engines import Wanted
    from vision.prediction.listing import open_items
    from vision.prediction.publishing.publication import describe_places
    from vision.prediction.records import Answer, list_sources
    from vision.prediction.tables import CSV_NAME, PARQUET_NAME

    console = Console(file=sys.stderr, highlight=False)
    say = partial(console.print, markup=False, soft_wrap=True)
    say(f"Model     {found.told}")
    if found.model.caution:
        say(f"Caution   {found.model.caution}")
    file = Path(options.boxes) if options.boxes else None
    boxes = Boxes(read_contract(found.model.root).crop_margin, file)
    with open_items(sources, options.group_by or found.group_by, boxes) as listing:
        wanted = Wanted(
            options.top,
            options.heat_maps,
            max_megapixels=found.max_megapixels,
            views=options.tta,
            similar=options.similar,
        )
        batch = Batch(listing, found.model, wanted)
        publisher = _prepare_publication(options, batch)
        folder = _choose_folder(batch, options.out, paths)
        say(f"Pictures  {count_of(len(listing.items), 'file')} of {list_sources(listing.sources)}")
        if listing.num_boxed and boxes.margin is not None:
            say(f"Boxes     {listing.num_boxed:,}, with {100 * boxes.margin:.0f}% of the longer side around")
        if options.tta > 1:
            say(f"Views     {options.tta} of each, for what a person decides; accepted only where they agree")
        if publisher is not None:
            say(f"Survey    {describe_places(publisher)}")
        say(f"Into      {folder}\n")
        with _show_progress(console) as progress:
            summary, rows = write_predictions(batch, folder, progress)
    for line in [*map(tell_row, rows if len(rows) <= MOST_TOLD else ()), *tell_counts(summary)]:
        say(line)
    say(f"\nLook      {folder / PAGE_NAME}")
    if options.similar:
        say(
            "Similar   known images stand there under each answer but those of something else, and in the "
            "columns similar_1, ..."
        )
    say(f"Table     {folder / CSV_NAME} ({PARQUET_NAME} beside it)")
    for line in publisher.publish(folder, summary, rows) if publisher is not None else []:
        say(line)
    if url := find_url(Path(options.out or "")):
        copy_output(folder, url)
        say(f"Copied    {url}")
    return 2 if summary.count(Answer.UNREADABLE) == summary.num_files else 0


def _prepare_publication(options: Namespace, batch: Batch) -> Publisher | None:
    """What `--format` needs beside the answers; None where no format was asked for."""
    from vision.prediction.publishing.publication import prepare_publication

    if options.format is None:
        return None
    return prepare_publication(options.format, Path(options.deployments).expanduser(), batch)


def _check_format(options: Namespace) -> None:
    """Refuse a format without a table of deployments, and a table without a format."""
    if options.format is not None and options.deployments is None:
        raise ConfigError(
            f"--format {options.format} came without a table of deployments. Expected where and when the "
            "cameras stood, which photographs do not say. Add --deployments deployments.csv, a table of "
            "deploymentID, latitude, longitude, deploymentStart, deploymentEnd and timeZone, and beside it "
            "survey.yaml with title and publisher (docs/predict.md)"
        )
    if options.deployments is not None and options.format is None:
        raise ConfigError(
            "--deployments came without a format. Expected both. Add --format camtrap-dp or "
            "--format darwin-core"
        )


def _read_settings(options: Namespace, config: RunConfig | None) -> _Asked:
    """The groups that were typed; who answers: as it was typed, else as the config says.

    Raises:
        ConfigError: the pattern of groups is none; there is no such executor, or it has workers of its own.
    """
    tree: dict[str, Any] = {"group_by": options.group_by}
    if config is not None:
        tree["executor"] = config.executor.model_dump()
    words = [f"executor={options.executor}"] if options.executor is not None else []
    if options.workers is not None:
        words.append(f"executor.workers={options.workers}")
    return settle(_Asked, tree, Path("predict"), words)


def _split_words(options: Namespace, paths: ProjectPaths) -> tuple[RunConfig | None, list[str]]:
    """The config that is named, if one is, and what is asked; as in `predict my-fish photos`."""
    words, config = list(options.what), options.config
    # a run says which model; its project's name may stand before the pictures
    run = options.run if config is not None or options.model is not None else None
    if config is None and not Path(words[0]).expanduser().exists():
        config = _take_config(words, paths.root / "configs")
    given = [each for each in (config, options.model, run) if each]
    if len(given) > 1:
        raise ConfigError(
            f"Two models were named, {' and '.join(given)}. Expected one of --config, --model and --run."
        )
    return None if config is None else load_config(find_config(config, paths.root / "configs"), []), words


def _take_config(words: list[str], configs: Path) -> str | None:
    """The config that the first of the words names, which is taken from them; None where it names none.

    Raises:
        ConfigError: it is like a config's name, or names one, and no pictures are named.
    """
    name, *pictures = words
    if not (configs / f"{name}.yaml").is_file():
        near = find_near_config(name, configs)
        if near is None:
            return None
        meant = shlex.join(["python", "run.py", "predict", near, *(pictures or ["PICTURES"])])
        raise ConfigError(
            f"{name}: there is no such model, file or folder. Expected one of these. Type {meant}"
        )
    if not pictures:
        raise ConfigError(
            f"{name} is a model, and no pictures are named. Expected a picture, a folder, a CSV file or a "
            f"ZIP file after it. Type python run.py predict {name} PICTURES"
        )
    return words.pop(0)


def _find_model(options: Namespace, name: str | None, paths: ProjectPaths) -> AnsweringModel:
    prepare_environment(paths)
    with import_quickly():
        from orchestration.flows.answering import find_in_production, find_winner
    return find_winner(options.run) if options.run else find_in_production(name)


def _choose_folder(batch: Batch, out: str | None, paths: ProjectPaths) -> Path:
    """Where the answers go: as asked, else where the same batch was stopped, else a new folder.

    Raises:
        ConfigError: the folder that was asked for holds something else.
    """
    from vision.data.sources.remote import find_url
    from vision.prediction.part_file import is_unfinished

    if out is not None and not find_url(Path(out)):
        folder = Path(out).expanduser()
        taken = folder.exists() and (not folder.is_dir() or any(folder.iterdir()))
        if taken and not is_unfinished(folder, batch.key):
            free = shlex.quote(f"{folder}-{datetime.now(UTC):%H%M%S}")
            raise ConfigError(
                f"{folder} is not empty. Expected a new folder, or the one in which these very pictures were "
                f"stopped. Name another: --out {free}"
            )
        return folder
    parent = paths.home / FOLDER
    stopped = [each for each in parent.glob("*") if is_unfinished(each, batch.key)]
    if stopped:
        return max(stopped)
    return parent / f"{batch.listing.name}-{datetime.now(UTC):%Y%m%d-%H%M%S}"


@contextmanager
def _show_progress(console: Console) -> Iterator[Callable[[int, int], None]]:
    """How many of how many, images a second and time left: drawn on a terminal, else a line now and then."""
    began = told = time.monotonic()
    before: int | None = None

    def describe(done: int, total: int) -> str:
        nonlocal before, began
        if before is None:
            before, began = done, time.monotonic()
        rate = (done - before) / max(time.monotonic() - began, 1e-9)
        return f"{rate:.0f} images/s, {in_words((total - done) / rate)} left" if rate > 0 else ""

    def tell(done: int, total: int) -> None:
        nonlocal told
        words = describe(done, total)
        if time.monotonic() - told >= PLAIN_SECONDS:
            told = time.monotonic()
            console.print(f"{done:,} of {total:,}, {words}")

    if not console.is_terminal:
        yield tell
        return
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda done, total: bar.update(
            task, completed=done, total=total, description=describe(done, total)
        )


PREDICT = Command(
    "predict",
    "answers for a picture, a folder, a CSV of paths or a ZIP: table and contact sheet",
    _predict,
    (
        argument(
            "what",
            nargs="+",
            metavar="NAME|FILE|FOLDER|CSV|ZIP|s3://...",
            help="the pictures; the NAME of a config may stand first, as in my-fish: its model answers",
        ),
        argument("--config", metavar="NAME", help="whose model in production answers (default: the newest)"),
        argument("--model", metavar="NAME", help="the same by the model's own name"),
        argument("--run", metavar="NAME", help="the winner of this run answers, in production or not"),
        argument("--out", metavar="FOLDER", help="where the answers go (default predictions/NAME-TIME)"),
        argument(
            "--format",
            choices=("camtrap-dp", "darwin-core"),
            help="also a package to publish, beside the tables; needs --deployments",
        ),
        argument(
            "--deployments", metavar="CSV", help="where and when the cameras stood (with survey.yaml beside)"
        ),
        argument(
            "--boxes",
            metavar="JSON",
            help="MegaDetector's results or a COCO file, for a model that was taught what boxes hold",
        ),
        argument("--heat-maps", action="store_true", help="also write what each answer was read from"),
        argument("--group-by", metavar="PATTERN", help="groups in file names (default: as in training)"),
        argument(
            "--tta",
            type=int,
            default=1,
            metavar="VIEWS",
            help="mean of 2 to 8 views of each picture, where a person decides",
        ),
        argument(
            "--similar",
            type=int,
            default=0,
            metavar="N",
            help="also tell the N known images that each picture is most like",
        ),
        argument(
            "--executor",
            metavar="process|dask|ADDRESS",
            help="who answers: this machine, a Dask cluster that is started on it, or the one whose "
            "scheduler is at tcp://HOST:8786 (default: as the config that is named says, else this machine)",
        ),
        argument(
            "--workers",
            type=int,
            metavar="N",
            help="processes that answer (default: one a core, and threads where pictures are few)",
        ),
        argument("--top", type=int, default=3, metavar="K", help="classes that are told of each (default 3)"),
    ),
    resumable=True,
)
