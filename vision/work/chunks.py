"""Runs a function on chunks of items in order, few at a time; a chunk whose worker died is done again.

A chunk that was under way when workers died twice is done alone, and if its worker dies again, by halves,
until the one item is found that ends its worker. That one has no result, and is not tried again.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")
Function = Callable[[Sequence[Item]], Sequence[Result]]

_SUSPECTED = 2  # losses after which a chunk is done alone


@dataclass(frozen=True)
class Lost:
    """In place of a result: the item ended every process that worked on it."""

    reason: str = "reading it ended the process (its decoder crashed, or ran out of memory)"

    def __str__(self) -> str:
        return self.reason


class Executor(Protocol):
    """Does chunks of work somewhere; the results are the same wherever that is."""

    def map_chunks(
        self, function: Function[Item, Result], chunks: Iterable[Sequence[Item]], total: int
    ) -> Generator[list[Result | Lost], None, None]:
        """For every chunk, in order, what the function gave: a result an item, or `Lost`.

        Args:
            function: given some items, gives a result for each. Of a module, or a `partial` of one, for it is
                sent to other processes; several threads may run it at once, and more than once on a chunk.
                What it raises is raised here.
            chunks: taken as they are needed, some more than there are workers.
            total: items in all chunks, roughly: of few, this process does them itself.

        Raises:
            ExecutorError: there are no workers, or none that lives.
        """

    def require_folders(self, folders: Iterable[Path]) -> None:
        """Make sure that workers see folders of this machine, which are absolute.

        Raises:
            ExecutorError: one does not.
        """


class Backend(ABC):
    """What runs single chunks: a pool of threads, of processes, or a cluster."""

    lost: ClassVar[tuple[type[Exception], ...]] = ()
    """What a future raises whose worker died."""

    capacity: int
    """Chunks that are given to it at a time."""

    @abstractmethod
    def submit(self, function: Function[Any, Any], items: Sequence[Any]) -> Any:
        """A future of the function's results; raises nothing of `lost`."""

    @abstractmethod
    def wait(self, futures: Sequence[Any]) -> None:
        """Return when all are done, well or not; raises ExecutorError if there is nobody left to do them."""

    @abstractmethod
    def result(self, future: Any) -> Sequence[Any]:
        """What a future comes to; raises what the function raised, `lost`, or as `wait` does."""

    def renew(self) -> None:  # noqa: B027  most backends replace a dead worker by themselves
        """Replace what died; raises ExecutorError if new workers die at once."""


@dataclass
class _Task:
    items: Sequence[Any]
    future: Any
    losses: int = 0


def run_chunks(
    backend: Backend, function: Function[Item, Result], chunks: Iterable[Sequence[Item]]
) -> Generator[list[Result | Lost], None, None]:
    """As `Executor.map_chunks`, on an open backend."""
    waiting, tasks = iter(chunks), deque[_Task]()
    try:
        while True:
            while len(tasks) < backend.capacity and (chunk := next(waiting, None)) is not None:
                tasks.append(_Task(chunk, backend.submit(function, chunk)))
            if not tasks:
                return
            if tasks[0].losses >= _SUSPECTED:
                _let_others_end(backend, function, tasks)
                yield _do_alone(backend, function, tasks.popleft().items)
                continue
            try:
                results = list(backend.result(tasks[0].future))
            except backend.lost:
                _do_again(backend, function, tasks)
                continue
            tasks.popleft()
            yield results
    finally:
        for task in tasks:
            task.future.cancel()


def _is_lost(backend: Backend, task: _Task) -> bool:
    return task.future.done() and isinstance(task.future.exception(), backend.lost)


def _do_again(backend: Backend, function: Function[Item, Result], tasks: Iterable[_Task]) -> None:
    """Count the loss of every task that has one, and give those out again that are not suspected yet."""
    backend.renew()
    for task in tasks:
        if task.losses < _SUSPECTED and _is_lost(backend, task):
            task.losses += 1
            if task.losses < _SUSPECTED:
                task.future = backend.submit(function, task.items)


def _let_others_end(backend: Backend, function: Function[Item, Result], tasks: Iterable[_Task]) -> None:
    """Return when every task is done that is not suspected."""
    while others := [each for each in tasks if each.losses < _SUSPECTED]:
        backend.wait([each.future for each in others])
        if not any(_is_lost(backend, each) for each in others):
            return
        _do_again(backend, function, tasks)


def _do_alone(
    backend: Backend, function: Function[Item, Result], items: Sequence[Item]
) -> list[Result | Lost]:
    """The results of items that nothing else runs beside, so that it is theirs if the worker dies."""
    try:
        return list(backend.result(backend.submit(function, items)))
    except backend.lost:
        backend.renew()
    if len(items) == 1:
        return [Lost()]
    half = len(items) // 2
    return [*_do_alone(backend, function, items[:half]), *_do_alone(backend, function, items[half:])]
