"""Chunks on the processor cores of this machine.

Of few items, threads do the work: decoders run outside the interpreter's lock, and to start a process takes a
second. Processes are spawned, not forked, for TensorFlow does not survive a fork; a pool of
`concurrent.futures` notices a worker that was killed, where `multiprocessing.Pool` waits for it for ever.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import Executor as Pool
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.connection import wait as wait_for_any
from pathlib import Path
from typing import Any, ClassVar

from vision.base.errors import ExecutorError
from vision.work.chunks import Backend, Function, Item, Lost, Result, run_chunks

FEWEST_ITEMS = 4_000
"""Of which processes are started without being asked for."""

_MOST_THREADS = 8


@dataclass(frozen=True)
class ProcessExecutor:
    """As many processes as `workers`; by default one a core, or threads where items are few."""

    workers: int | None = None

    def map_chunks(
        self, function: Function[Item, Result], chunks: Iterable[Sequence[Item]], total: int
    ) -> Generator[list[Result | Lost], None, None]:
        """As `Executor.map_chunks`; processes end with it."""
        cores = len(os.sched_getaffinity(0))
        if self.workers is None and total < FEWEST_ITEMS:
            with ThreadPoolExecutor(min(_MOST_THREADS, cores)) as pool:
                yield from run_chunks(_Pooled(pool, min(_MOST_THREADS, cores)), function, chunks)
            return
        processes = _Processes(self.workers or cores)
        try:
            yield from run_chunks(processes, function, chunks)
        finally:
            processes.close()

    def require_folders(self, folders: Iterable[Path]) -> None:
        """Nothing: workers see what this process sees."""


class _Pooled(Backend):
    """A pool of threads or processes."""

    def __init__(self, pool: Pool, workers: int) -> None:
        self._pool = pool
        self.capacity = 2 * workers

    def submit(self, function: Function[Any, Any], items: Sequence[Any]) -> Future[Any]:
        return self._pool.submit(function, items)

    def wait(self, futures: Sequence[Future[Any]]) -> None:
        wait(futures)

    def result(self, future: Future[Any]) -> Sequence[Any]:
        return list(future.result())


class _Processes(_Pooled):
    """A pool of processes that is made anew when one of them dies."""

    lost: ClassVar[tuple[type[Exception], ...]] = (BrokenProcessPool,)

    def __init__(self, workers: int) -> None:
        self._workers = workers
        super().__init__(self._open(), workers)

    def submit(self, function: Function[Any, Any], items: Sequence[Any]) -> Future[Any]:
        try:
            with _without_interrupts():  # a new process never sees Ctrl-C, which is left to this one
                return super().submit(function, items)
        except BrokenProcessPool as error:
            failed: Future[Any] = Future()
            failed.set_exception(error)
            return failed

    def renew(self) -> None:
        # Python 3.11 forgets a worker that is started while another one dies, and may wait for it for ever
        self._ours.close()
        self.close()
        self._pool = self._open()
        try:
            self.submit(list, ()).result()
        except BrokenProcessPool as error:
            raise ExecutorError(
                "Worker processes end as soon as they are started. Expected them to live: is there no memory "
                "left, or a limit on the number of processes? Type: --set executor.workers=1, or see dmesg "
                "for what ended them."
            ) from error

    def close(self) -> None:
        """End the processes, after the chunks that they are at."""
        self._pool.shutdown(cancel_futures=True)
        self._ours.close()
        self._theirs.close()

    def _open(self) -> ProcessPoolExecutor:
        resource_tracker.ensure_running()  # when it is started it lets SIGINT through again
        context = multiprocessing.get_context("spawn")
        self._theirs, self._ours = context.Pipe(duplex=False)
        return ProcessPoolExecutor(
            self._workers, mp_context=context, initializer=_settle_worker, initargs=(self._theirs,)
        )


@contextmanager
def _without_interrupts() -> Iterator[None]:
    """Ctrl-C comes after the block, and never to a process that is started in it."""
    former = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, former)


def _settle_worker(pipe: Connection) -> None:
    """End when the process that started this one closes the pipe or is killed."""
    threading.Thread(target=_end_with, args=(pipe,), daemon=True).start()


def _end_with(pipe: Connection) -> None:
    wait_for_any([pipe])  # nothing is ever sent
    os._exit(1)
