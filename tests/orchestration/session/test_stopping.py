"""SIGTERM and SIGHUP end a command as Ctrl-C does, once, and nothing is left changed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import run
from orchestration.session.stopping import stop_on_signals
from tests.signals import heeding_signals

BOTH = (signal.SIGTERM, signal.SIGHUP)

WAITING = """
import sys, time, run
def wait(*_):
    try:
        print('begun', flush=True)
        for _ in range(600):  # one long sleep would not hear what arrives just before it
            time.sleep(0.1)
    finally:
        print('cleaned up', flush=True)
run._run = wait
sys.exit(run.main(['runs']))
"""


@pytest.fixture(autouse=True)
def _heeded() -> Iterator[None]:
    with heeding_signals():
        yield


@pytest.mark.parametrize("number", BOTH)
def test_a_signal_interrupts_once_and_its_repeats_do_not_cut_the_clean_up_short(
    number: signal.Signals,
) -> None:
    former = [signal.getsignal(each) for each in BOTH]
    with stop_on_signals() as stopped:
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)
        for each in BOTH:
            os.kill(os.getpid(), each)
        time.sleep(0.01)
    assert stopped.exit_code == 128 + number
    assert [signal.getsignal(each) for each in BOTH] == former


def test_what_nohup_ignores_stays_ignored() -> None:
    former = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stop_on_signals() as stopped:
            os.kill(os.getpid(), signal.SIGHUP)
            with pytest.raises(KeyboardInterrupt):
                os.kill(os.getpid(), signal.SIGTERM)
            os.kill(os.getpid(), signal.SIGHUP)
        assert stopped.exit_code == 143
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, former)


def test_beside_the_main_thread_no_handler_is_set() -> None:
    former = [signal.getsignal(each) for each in BOTH]
    seen: list[object] = []

    def enter() -> None:
        with stop_on_signals() as stopped:
            seen.extend([*(signal.getsignal(each) for each in BOTH), stopped.exit_code])

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert seen == [*former, 130]


@pytest.mark.parametrize("number", [*BOTH, signal.SIGINT])
def test_a_command_that_is_killed_cleans_up_says_so_and_has_the_signals_exit_code(
    number: signal.Signals, tmp_path: Path
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", WAITING],
        cwd=run.ROOT,
        env=os.environ | {"TAXON_STATE": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        process.send_signal(number)
        said, told = process.communicate(timeout=30)
    assert said == "cleaned up\n"
    assert told == "Stopped.\n"
    assert process.returncode == 128 + number
