"""Chunks of work: in order whoever does them, and nothing is lost with a worker."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from multiprocessing.context import SpawnProcess
from pathlib import Path
from threading import Timer

import psutil
import pytest

from tests.shared_data import REPOSITORY
from tests.signals import heeding_signals
from tests.vision.work.functions import die_at_start, die_on, die_once, double, hold_memory, refuse
from vision.base.errors import ExecutorError
from vision.config.work import ExecutorSettings
from vision.work import cluster, processes
from vision.work.chunks import Executor, Lost
from vision.work.cluster import ClusterExecutor
from vision.work.current import current_work, open_executor, open_work
from vision.work.processes import ProcessExecutor

CHUNKS = [list(range(start, min(start + 4, 30))) for start in range(0, 30, 4)]
DOUBLED = [double(chunk) for chunk in CHUNKS]
DASK = ExecutorSettings(engine="dask", workers=2)


@pytest.fixture(scope="module")
def opened() -> Iterator[dict[str, Executor]]:
    with open_executor(DASK) as dask:
        yield {"threads": ProcessExecutor(), "processes": ProcessExecutor(2), "dask": dask}


everywhere = pytest.mark.parametrize("name", ["threads", "processes", "dask"])
others = pytest.mark.parametrize("name", ["processes", "dask"])


@everywhere
def test_results_come_in_the_order_of_the_chunks_and_few_are_taken_ahead(
    name: str, opened: dict[str, Executor]
) -> None:
    taken: list[int] = []

    def take() -> Iterator[list[int]]:
        for item in range(100):
            taken.append(item)
            yield [item]

    results = opened[name].map_chunks(double, take(), 100)
    assert next(results) == [0]
    assert len(taken) <= 17
    assert list(results) == [[2 * item] for item in range(1, 100)]


@everywhere
def test_what_the_function_raises_is_raised(name: str, opened: dict[str, Executor]) -> None:
    with pytest.raises(KeyError, match="five"):
        list(opened[name].map_chunks(refuse, CHUNKS, 30))
    assert list(opened[name].map_chunks(double, CHUNKS, 30)) == DOUBLED


@others
def test_a_killed_worker_loses_nothing(name: str, opened: dict[str, Executor], tmp_path: Path) -> None:
    function = partial(die_once, marker=tmp_path / "marker")
    assert list(opened[name].map_chunks(function, CHUNKS, 30)) == DOUBLED


@others
def test_of_a_chunk_that_kills_its_workers_one_item_is_lost(name: str, opened: dict[str, Executor]) -> None:
    found = list(opened[name].map_chunks(partial(die_on, victims=frozenset({6})), CHUNKS, 30))
    assert isinstance(found[1][2], Lost)
    found[1][2] = 12
    assert found == DOUBLED


def test_workers_that_die_at_once_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "_settle_worker", die_at_start)
    with pytest.raises(ExecutorError, match="as soon as they are started"):
        list(ProcessExecutor(1).map_chunks(double, CHUNKS, 30))


def test_a_worker_that_is_started_while_another_dies_ends_with_the_pool(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def start_slowly(process: SpawnProcess) -> None:
        start(process)
        time.sleep(2)

    start, before = SpawnProcess.start, {each.pid for each in psutil.Process().children()}
    monkeypatch.setattr(SpawnProcess, "start", start_slowly)
    function = partial(die_once, marker=tmp_path / "marker")
    assert list(ProcessExecutor(2).map_chunks(function, CHUNKS, 30)) == DOUBLED
    _wait_until(lambda: {each.pid for each in psutil.Process().children()} <= before)


MAIN = """
import sys
from pathlib import Path
from tests.vision.work.functions import tell_pid
from vision.work.processes import ProcessExecutor
list(ProcessExecutor(1).map_chunks(tell_pid, [[Path(sys.argv[1])]], 1))
"""


def test_workers_end_with_a_process_that_is_killed(tmp_path: Path) -> None:
    told = tmp_path / "pid"
    with subprocess.Popen([sys.executable, "-c", MAIN, str(told)], cwd=REPOSITORY) as main:
        try:
            _wait_until(lambda: told.is_file() and told.read_text() != "")
        finally:
            main.send_signal(signal.SIGKILL)
    worker = int(told.read_text())
    _wait_until(lambda: not psutil.pid_exists(worker))
    assert main.returncode == -signal.SIGKILL


ENDLESS = """
import itertools
from tests.vision.work.functions import double
from vision.config.work import ExecutorSettings
from vision.work.current import open_executor
if __name__ == "__main__":
    try:
        with open_executor(ExecutorSettings(engine="{engine}", workers=2)) as executor:
            for _ in executor.map_chunks(double, ([each] for each in itertools.count()), 10**9):
                print("going", flush=True)
    except KeyboardInterrupt:
        print("stopped", flush=True)
"""


@pytest.mark.parametrize("engine", ["process", "dask"])
def test_ctrl_c_ends_the_workers_without_a_word_from_them(engine: str) -> None:
    with (
        heeding_signals(),
        subprocess.Popen(
            [sys.executable, "-c", ENDLESS.format(engine=engine)],
            cwd=REPOSITORY,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        ) as main,
    ):
        assert main.stdout is not None
        assert main.stdout.readline() == "going\n"
        workers = psutil.Process(main.pid).children(recursive=True)
        stop = Timer(60, main.kill)
        stop.start()
        os.killpg(main.pid, signal.SIGINT)  # a terminal tells the whole group
        told = main.stdout.read().replace("going", "").split()  # an interrupt may come before its line's end
        stop.cancel()
    assert told == ["stopped"]
    assert main.returncode == 0
    _wait_until(lambda: not any(each.is_running() for each in workers))


def _wait_until(holds: Callable[[], bool]) -> None:
    for _ in range(300):
        if holds():
            return
        time.sleep(0.1)
    pytest.fail("waited 30 s in vain")


def test_an_executor_is_a_word_an_address_or_a_section() -> None:
    assert ExecutorSettings.model_validate("dask").engine == "dask"
    assert ExecutorSettings.model_validate("tcp://host:8786").address == "tcp://host:8786"
    with pytest.raises(ValueError, match="workers of its own"):
        ExecutorSettings(engine="process", address="tcp://host:8786")


def test_work_goes_to_the_executor_of_the_block(tmp_path: Path) -> None:
    with open_work(ExecutorSettings(workers=2), tmp_path) as work:
        assert current_work() is work
        assert work.executor == ProcessExecutor(2)
    assert current_work().journal is None
    assert list(tmp_path.iterdir()) == []


@contextmanager
def _start(words: str, folder: Path) -> Iterator[str]:
    """A command of Dask's while the block runs; its address as it says it."""
    words = words.replace(".venv/bin/", f"{Path(sys.executable).parent}/")
    log = folder / f"{len(list(folder.iterdir()))}.txt"
    more = " --port 0 --dashboard-address :0" if "dask scheduler" in words else " --no-dashboard"
    with log.open("w") as file:
        running = subprocess.Popen(words + more, shell=True, cwd=REPOSITORY, stdout=file, stderr=file)
    try:
        _wait_until(lambda: re.search("(Scheduler|worker) at: +tcp", log.read_text()) is not None)
        yield re.findall(r"(tcp://\S+:\d+)", log.read_text())[0]
    finally:
        for each in (*psutil.Process(running.pid).children(recursive=True), running):
            each.terminate()
        running.wait()


class TestClusters:
    @pytest.fixture
    def address(self, opened: dict[str, Executor]) -> str:
        return str(opened["dask"]._client.scheduler.address)  # type: ignore[attr-defined]

    def test_one_that_is_started_listens_on_this_machine_alone(self, address: str) -> None:
        assert address.startswith("tcp://127.0.0.1:")
        family = psutil.Process(), *psutil.Process().children(recursive=True)
        sockets = [each for process in family for each in process.net_connections("tcp")]
        assert {each.laddr.ip for each in sockets if each.status == psutil.CONN_LISTEN} == {"127.0.0.1"}

    def test_its_workers_are_used(self, address: str, tmp_path: Path) -> None:
        with open_executor(ExecutorSettings.model_validate(address)) as executor:
            assert list(executor.map_chunks(double, CHUNKS, 30)) == DOUBLED
            executor.require_folders([tmp_path, tmp_path.parent])
            with pytest.raises(ExecutorError, match="no such folder"):
                executor.require_folders([tmp_path, tmp_path / "absent"])

    def test_workers_of_another_version_are_refused(
        self, address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(cluster, "ROOT", tmp_path)
        with (
            pytest.raises(ExecutorError, match="of another version, 2 of 3"),
            open_executor(ExecutorSettings(engine="dask", address=address)),
        ):
            pass

    def test_a_worker_that_comes_later_must_be_as_the_others(self, address: str, tmp_path: Path) -> None:
        folder = tmp_path / "photos"
        folder.mkdir()
        with open_executor(ExecutorSettings.model_validate(address)) as executor:
            executor.require_folders([folder])
            folder.rmdir()  # as a worker would find it that has another disk
            with pytest.raises(ExecutorError, match=r"photos: a worker on .* has no such folder"):
                list(executor.map_chunks(double, CHUNKS, 30))
            assert isinstance(executor, ClusterExecutor)
            executor._here = replace(executor._here, version="another", folders=())
            with pytest.raises(ExecutorError, match="came later is of another version"):
                list(executor.map_chunks(double, CHUNKS, 30))

    def test_scheduler_and_worker_as_the_messages_start_them(self, tmp_path: Path) -> None:
        with _start(f"{cluster.SCHEDULER} --host 127.0.0.1", tmp_path) as address:
            worker = cluster.WORKER.replace("tcp://HOST:8786", address).replace("-1", "1")
            with (
                _start(f"{worker} --local-directory {tmp_path}", tmp_path),
                open_executor(ExecutorSettings.model_validate(address)) as executor,
            ):
                assert list(executor.map_chunks(double, CHUNKS, 30)) == DOUBLED

    def test_workers_that_are_paused_for_their_memory_are_not_waited_for(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(cluster, "NO_WORKER_S", 1)
        monkeypatch.setattr(cluster, "_POLL_S", 0.5)
        with _start(f"{cluster.SCHEDULER} --host 127.0.0.1", tmp_path) as address:
            worker = cluster.WORKER.replace("tcp://HOST:8786", address).replace("-1", "1")
            pause = "DASK_DISTRIBUTED__WORKER__MEMORY__PAUSE=0.1"
            with (
                _start(f"{pause} {worker} --memory-limit 3GB --local-directory {tmp_path}", tmp_path),
                open_executor(ExecutorSettings.model_validate(address)) as executor,
                pytest.raises(ExecutorError, match="every Dask worker has been paused"),
            ):
                list(executor.map_chunks(hold_memory, CHUNKS, 30))

    def test_a_scheduler_that_does_not_find_the_code_is_refused(self, tmp_path: Path) -> None:
        words = f"{cluster.SCHEDULER.removeprefix('PYTHONPATH=. ')} --host 127.0.0.1"
        with _start(words, tmp_path) as alone:
            worker = cluster.WORKER.replace("tcp://HOST:8786", alone).replace("-1", "1")
            with (
                _start(f"{worker} --local-directory {tmp_path}", tmp_path),
                pytest.raises(ExecutorError, match="No module named 'vision'"),
                open_executor(ExecutorSettings.model_validate(alone)),
            ):
                pass

    @pytest.mark.parametrize("address", ["tcp://host:8786", "host:8786", "tls://[::1]:8786/"])
    def test_an_address_is_as_dask_reads_it(self, address: str) -> None:
        assert ExecutorSettings(engine="dask", address=address).address == address

    def test_tls_without_certificates_is_told(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(*_: object, **_more: object) -> None:
            raise TypeError("TLS expects a `ssl_context` argument")  # as a Client does, and closes for 20 s

        monkeypatch.setattr(cluster, "Client", refuse)
        with (
            pytest.raises(ExecutorError, match="TLS expects"),
            open_executor(ExecutorSettings(engine="dask", address="tls://127.0.0.1:9")),
        ):
            pass

    @pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "nothing://127.0.0.1:9"])
    def test_where_no_scheduler_is_it_is_told_in_seconds(
        self, address: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(cluster, "CONNECT_S", 1)
        started = time.monotonic()
        with (
            pytest.raises(ExecutorError, match="no Dask scheduler answers"),
            open_executor(ExecutorSettings(engine="dask", address=address)),
        ):
            pass
        assert time.monotonic() - started < 10
