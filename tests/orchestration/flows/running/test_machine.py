"""A run says on which machine its figures were made."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestration.flows.running import machine
from orchestration.flows.running.machine import describe_machine

CPU_INFO = """processor\t: 0
model name\t: Planted CPU
flags\t\t: fpu avx2 avx512f

processor\t: 1
model name\t: Another CPU
flags\t\t: fpu
"""


def test_processor_instructions_threads_and_onednn_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cpuinfo").write_text(CPU_INFO)
    monkeypatch.setattr(machine, "CPU_INFO", tmp_path / "cpuinfo")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
    told = describe_machine()
    assert (told["processor"], told["instructions"]) == ("Planted CPU", "avx512f")
    assert (told["threads"], told["onednn"]) == (1, False)


def test_a_system_without_cpuinfo_is_described_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "CPU_INFO", tmp_path / "absent")
    monkeypatch.setenv("OMP_NUM_THREADS", "many")
    told = describe_machine()
    assert told["processor"]
    assert told["instructions"] == ""
    assert int(told["threads"]) >= 1
