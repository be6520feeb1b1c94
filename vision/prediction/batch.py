"""A whole batch into a folder: answer what no earlier attempt answered, then write the tables."""

from __future__ import annotations

import hashlib
import json
import time
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from pathlib import Path

from vision.base.files import storage_errors, write_atomically
from vision.base.home import project_home, shorten_path
from vision.base.lock import RunLock
from vision.base.names import comparison_key
from vision.bundle.pictures import tell_misfit
from vision.bundle.weak import warn_of_class
from vision.data.images import DECODER_VERSION
from vision.data.sources.remote import find_url
from vision.decision.records import WeakClass
from vision.prediction.engines import Engines, Listen, Wanted
from vision.prediction.listing import Listing, require_sources
from vision.prediction.part_file import PART_NAME, Part, PartFile, open_part_file, read_part
from vision.prediction.records import SEEN_GROUP, BatchSummary, Row, Tally
from vision.prediction.tables import write_tables

SUMMARY_NAME = "summary.json"
LOCK_NAME = ".lock"

_READ_BYTES = 1 << 16

Progress = Callable[[int, int], None]
"""Is told how many of how many files are answered, first how many were before."""


@dataclass(frozen=True)
class BatchModel:
    """The model that answers.

    Attributes:
        root: the bundle's folder.
        digest: its pinned one.
        name: what the model is called.
        version: in the registry; empty for the winner of a run.
        uses: digest of each image that it was made from -> its split.
        groups: keys of the groups of images that it was taught.
        caution: why its answers are not to be counted on; empty of one in production.
    """

    root: Path
    digest: str
    name: str
    version: str = ""
    uses: Mapping[str, str] = field(default_factory=dict)
    groups: frozenset[str] = frozenset()
    caution: str = ""


@dataclass(frozen=True)
class Batch:
    """Pictures and the model that answers them.

    Attributes:
        listing: what is asked.
        model: what answers.
        wanted: beside the decisions.
    """

    listing: Listing
    model: BatchModel
    wanted: Wanted = field(default_factory=Wanted)

    @property
    def key(self) -> str:
        """Equal for batches that may go on with each other's answers: same question, same model.

        Places in the project are named from its folder, which may be moved.
        """
        home = project_home()
        places = [
            each if find_url(Path(each)) else shorten_path(str(Path(each).expanduser().absolute()), home)
            for each in self.listing.sources
        ]
        told = [places, self.model.digest, asdict(self.wanted), DECODER_VERSION]
        return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def run_batch(
    batch: Batch, folder: Path, progress: Progress, listen: Listen = lambda _: None
) -> tuple[BatchSummary, AnsweredRows]:
    """Answer a batch into `folder`, tables and summary; what a stopped attempt answered is not asked again.

    Args:
        batch: what is asked of which model.
        folder: made if absent.
        progress: is told how far it is.
        listen: is given new answers before they are written down.

    Returns:
        What it came to, and a row a file in the order of the listing.

    Raises:
        BundleError: the bundle is not the registered one.
        RunLockedError: another process works in this folder.
        SourceError: what is asked is not there any more.
        StorageError: the folder cannot be written, or holds another batch's answers.
        TaxonError: the network gave values that are not finite.
    """
    started = time.monotonic()
    engines = Engines(batch.model.root, batch.model.digest, batch.wanted, folder)
    with RunLock(folder / LOCK_NAME, "predict"), open_part_file(folder, batch.key) as part:
        num_new = _answer(batch, engines, part, progress, listen)
        rows = AnsweredRows(batch, part.lines, folder / PART_NAME, engines.bundle.contract.weak_classes)
        tally = Tally().add(rows)
        summary = _summarise(batch, engines, num_new, tally)
        summary = summary.model_copy(update={"seconds": time.monotonic() - started})
        write_tables(folder, rows, tally)
        write_atomically(folder / SUMMARY_NAME, summary.model_dump_json(indent=1) + "\n")
    return summary, rows


class AnsweredRows:
    """A row a file in the order of the listing, each read from the disk when it is asked for.

    The part file may be removed meanwhile: it stays open.
    """

    def __init__(self, batch: Batch, lines: Mapping[str, int], path: Path, weak: Sequence[WeakClass]) -> None:
        """Open the part file at `path`, of which `lines` says where the line of each file begins."""
        self._batch, self._lines, self._weak = batch, lines, weak
        with storage_errors(path, "read"):
            self._file = path.open("rb", _READ_BYTES)
        weakref.finalize(self, self._file.close)

    def __len__(self) -> int:
        return len(self._batch.listing.items)

    def __iter__(self) -> Iterator[Row]:
        model = self._batch.model
        for item in self._batch.listing.items:
            row = read_part(self._file, self._lines[item.path]).row
            kin = SEEN_GROUP if item.group and comparison_key(item.group) in model.groups else ""
            seen = model.uses.get(row.digest, kin)
            given = row.prediction
            caution = warn_of_class(given.decision, given.class_name, self._weak) if given else ""
            told = {"group": item.group, "seen": seen, "box": item.box, "caution": caution}
            yield row.model_copy(update=told)


def finish_batch(folder: Path) -> None:
    """Remove what a stopped batch would go on from: all that is made of it lies in the folder.

    Raises:
        StorageError: it cannot be removed.
    """
    for name in (PART_NAME, LOCK_NAME):
        with storage_errors(folder / name, "remove"):
            (folder / name).unlink(missing_ok=True)


def _answer(batch: Batch, engines: Engines, part: PartFile, progress: Progress, listen: Listen) -> int:
    """Answer the files that have no answer yet, each once; how many there were."""
    missing, seen = [], set()
    for item in batch.listing.items:
        if item.path not in seen:
            seen.add(item.path)
            if part.find(item.path, item.stamp) is None:
                missing.append(item)
    total, before = len(seen), len(seen) - len(missing)
    del seen
    done = 0
    progress(before, total)
    with closing(engines.answer(missing)) as answered:  # workers are let go also where a disk is full
        for chunk in answered:
            asked = missing[done : done + len(chunk)]
            if all(each.row.fault for each in chunk):
                require_sources(batch.listing, asked)
            listen(chunk)
            part.add([Part(stamp=item.stamp, row=each.row) for item, each in zip(asked, chunk, strict=True)])
            done += len(chunk)
            progress(before + done, total)
    return len(missing)


def _summarise(batch: Batch, engines: Engines, num_new: int, tally: Tally) -> BatchSummary:
    rule, listing = engines.bundle.contract.rule, batch.listing
    return BatchSummary(
        name=listing.name,
        sources=listing.sources,
        model_name=batch.model.name,
        model_version=batch.model.version,
        model_digest=batch.model.digest,
        class_names=rule.class_names,
        target_risk=rule.review.target_risk if rule.review.attainable else None,
        counts=dict(tally.counts),
        accepted_classes=dict(sorted(tally.accepted.items())),
        suggested_classes=dict(sorted(tally.suggested.items())),
        seen=dict(tally.seen),
        caution=batch.model.caution,
        weak_classes=engines.bundle.contract.weak_classes,
        misfit=tell_misfit(engines.bundle.contract, listing.num_boxed, len(listing.items)),
        others=dict(listing.others),
        num_reused=len({each.path for each in listing.items}) - num_new,
    )
