"""Chunks on a Dask cluster: one that is there, or one that is started on this machine for the while.

Only this file imports Dask.
"""

from __future__ import annotations

import hashlib
import logging
import platform
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar

import dask
from distributed import Client, Future, KilledWorker, LocalCluster, wait

from vision.base.closure import ROOT
from vision.base.errors import ExecutorError
from vision.config.work import ExecutorSettings
from vision.work.chunks import Backend, Function, Item, Lost, Result, run_chunks

CONNECT_S = 10
"""Seconds in which a scheduler and its first worker must answer."""

NO_WORKER_S = 60
"""Seconds that work waits for a new worker when the last one is gone."""

_POLL_S = 5
_LIBRARIES = "numpy", "pillow", "simplejpeg", "pillow-heif", "ai-edge-litert"
_LOCAL = {
    # what a dead worker was at is done again by `run_chunks`, which finds the image that ends workers
    "distributed.scheduler.allowed-failures": 0,
    # a worker that is being started again is not given up: nobody else would start one
    "distributed.deploy.lost-worker-timeout": "1 day",
    # nobody looks at where workers spend their time, which is sampled a hundred times a second
    "distributed.worker.profile.enabled": False,
    # Ctrl-C reaches them as well, and is left to this process
    "distributed.worker.preload": ["import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n"],
}
_MOST_LOOKED_FOR = 64
"""Folders that a worker looks for before its first chunk."""

SCHEDULER = "PYTHONPATH=. .venv/bin/dask scheduler"
WORKER = "PYTHONPATH=. .venv/bin/dask worker tcp://HOST:8786 --nthreads 1 --nworkers -1"
"""How both are started, in a copy of the project's folder: both must find its code."""


class ClusterExecutor(Backend):
    """The workers of a Dask scheduler."""

    lost: ClassVar[tuple[type[Exception], ...]] = (KilledWorker,)

    def __init__(self, client: Client) -> None:
        self._client = client
        self._here = _Here(tell_version(), ())

    def map_chunks(
        self,
        function: Function[Item, Result],
        chunks: Iterable[Sequence[Item]],
        total: int,  # noqa: ARG002
    ) -> Generator[list[Result | Lost], None, None]:
        """As `Executor.map_chunks`."""
        self.capacity = 2 * max(1, sum(self._client.nthreads().values()))
        return run_chunks(self, function, chunks)

    def require_folders(self, folders: Iterable[Path]) -> None:
        """As `Executor.require_folders`."""
        names = [str(each) for each in folders]
        absent = self._client.run(_list_absent, names)
        lacks = sorted(address for address, gone in absent.items() if gone)
        if lacks:
            raise ExecutorError(
                f"{absent[lacks[0]][0]}: {len(lacks)} of {len(absent)} workers have no such folder (first: "
                f"{lacks[0]}). Expected images and model under the same path on every machine. Put them on a "
                "shared disk, or use this machine alone with --executor process."
            )
        self._here = _Here(self._here.version, tuple(names[:_MOST_LOOKED_FOR]))

    def submit(self, function: Function[Any, Any], items: Sequence[Any]) -> Future[Any]:
        """As `Backend.submit`."""
        return self._client.submit(_do_as_here, self._here, function, items, pure=False)

    def wait(self, futures: Sequence[Future[Any]]) -> None:
        """As `Backend.wait`."""
        with self._client.as_current():
            self._wait_for(lambda: wait(futures, timeout=_POLL_S))

    def result(self, future: Future[Any]) -> Sequence[Any]:
        """As `Backend.result`."""
        self.wait([future])
        if future.status == "error":
            return list(future.result())  # raises it
        # a result is lost with the worker that has it, and then made again
        return list(self._wait_for(lambda: future.result(timeout=_POLL_S)))

    def _wait_for(self, call: Callable[[], Any]) -> Any:
        """What a call gives that may time out, as long as there are workers."""
        waited = 0
        while waited < NO_WORKER_S:
            try:
                return call()
            except TimeoutError:
                waited = 0 if self._count_running() else waited + _POLL_S
            except CancelledError as error:
                raise ExecutorError(
                    "The Dask scheduler does not answer any more. Expected it to live as long as the run. "
                    "Start it again and type the same command: what is finished is not done again."
                ) from error
        if self._client.nthreads():
            raise ExecutorError(
                f"For {NO_WORKER_S} s every Dask worker has been paused, because its memory is nearly full. "
                "Expected more: some 250 MB, and 4 bytes a pixel of large pictures. Start workers with "
                f"more, as in: {WORKER} --memory-limit 2GB, and type the same command: it goes on."
            )
        raise ExecutorError(
            f"The last Dask worker is gone, and for {NO_WORKER_S} s none has come. Expected workers that are "
            f"started again when they end. Start some, in a copy of this folder: {WORKER}"
        )

    def _count_running(self) -> int:
        """Workers that take work: not those that are paused because their memory is full."""
        return len(self._client.sync(self._client.scheduler.ncores_running))


@dataclass(frozen=True)
class _Here:
    """What every worker must have: the version of this process, and folders that it sees."""

    version: str
    folders: tuple[str, ...]


def _do_as_here(here: _Here, function: Function[Item, Result], items: Sequence[Item]) -> Sequence[Result]:
    """The function's results, by a worker that is as this process; one may have come since all were asked."""
    _require_same(here)
    return function(items)


@cache
def _require_same(here: _Here) -> None:
    if (own := tell_version()) != here.version:
        raise ExecutorError(
            f"A worker on {platform.node()} that came later is of another version ({own}). Expected "
            f"{here.version}. End it, and type the same command: what is finished is not done again."
        )
    if absent := _list_absent(here.folders):
        raise ExecutorError(
            f"{absent[0]}: a worker on {platform.node()} that came later has no such folder. Expected images "
            "and model under the same path on every machine. End it, or let it see the folder, and type the "
            "same command: what is finished is not done again."
        )


@contextmanager
def open_cluster(settings: ExecutorSettings) -> Iterator[ClusterExecutor]:
    """The executor of a scheduler's workers; without an address of some that end with the block.

    Raises:
        ExecutorError: no scheduler answers, it has no workers, or they are of another version.
    """
    for name in ("distributed", "distributed.client"):  # what matters of their lines, errors tell
        logging.getLogger(name).setLevel(logging.CRITICAL)
    with ExitStack() as stack:
        if settings.address is None:
            stack.enter_context(dask.config.set(_LOCAL))
            cluster = LocalCluster(
                n_workers=settings.workers,
                threads_per_worker=1,
                dashboard_address="127.0.0.1:0",
                silence_logs=logging.CRITICAL,
            )
            client = stack.enter_context(Client(stack.enter_context(cluster), set_as_default=False))
        else:
            client = stack.enter_context(_connect(settings.address))
            _require_same_version(client, settings.address)
        yield ClusterExecutor(client)


def _connect(address: str) -> Client:
    try:
        client = Client(address, timeout=CONNECT_S, set_as_default=False)
    except (OSError, ValueError, TypeError) as error:  # TypeError: tls:// without certificates
        raise ExecutorError(
            f"{address}: no Dask scheduler answers within {CONNECT_S} s ({error}). Expected one at "
            f"executor.address. Start it in a copy of this folder: {SCHEDULER}. Or leave the address "
            "out: a cluster is started on this machine."
        ) from error
    try:
        client.wait_for_workers(1, timeout=CONNECT_S)
    except TimeoutError as error:
        client.close()
        raise ExecutorError(
            f"{address}: the scheduler has no worker. Expected one at least. Start some, in a copy of this "
            f"folder: {WORKER}"
        ) from error
    return client


def _require_same_version(client: Client, address: str) -> None:
    try:
        client.get_versions(check=True)
        told = {"the scheduler": client.run_on_scheduler(tell_version), **client.run(tell_version)}
    except Exception as error:
        raise ExecutorError(
            f"{address}: scheduler or workers run other software "
            f"({str(error).strip() or type(error).__name__}). Expected the same lock and the "
            f"same code. Start them in copies of this folder: {SCHEDULER}, then {WORKER}"
        ) from error
    own = tell_version()
    other = {worker: version for worker, version in told.items() if version != own}
    if other:
        worker, version = next(iter(other.items()))
        raise ExecutorError(
            f"{address}: scheduler or workers are of another version, {len(other)} of {len(told)} (first: "
            f"{worker}, {version}). Expected {own}: else results depend on who made them. Start them in "
            f"copies of this folder: {SCHEDULER}, then {WORKER}"
        )


def tell_version() -> str:
    """What the results of a chunk depend on beside the images: Python, libraries, this project's code."""
    digest = hashlib.sha256()
    for path in sorted((ROOT / "vision").rglob("*.py")):
        digest.update(f"{path.relative_to(ROOT).as_posix()}\n".encode() + path.read_bytes())
    python = ".".join(platform.python_version_tuple()[:2])
    libraries = ", ".join(f"{name} {version(name)}" for name in _LIBRARIES)
    return f"Python {python}, {libraries}, code {digest.hexdigest()[:8]}"


def _list_absent(folders: Sequence[str]) -> list[str]:
    return [each for each in folders if not Path(each).is_dir()]
