"""Which machines train together is read from TF_CONFIG, or typed; what is wrong is said."""

from __future__ import annotations

import json

import pytest

from vision.base.errors import ConfigError
from vision.training.machines import Machines, read_machines, read_wait

TWO = ["a:1", "b:2"]


def set_tf_config(
    monkeypatch: pytest.MonkeyPatch, cluster: object, kind: str = "worker", index: int = 0
) -> None:
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": cluster, "task": {"type": kind, "index": index}}))


def test_without_tf_config_or_with_one_machine_there_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TF_CONFIG", raising=False)
    assert read_machines() is None
    set_tf_config(monkeypatch, {"worker": ["a:1"], "ps": []})
    assert read_machines() is None


def test_the_chief_comes_first_and_workers_are_counted_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    set_tf_config(monkeypatch, {"chief": ["a:1"], "worker": ["b:2"]})
    assert read_machines() == Machines(("a:1", "b:2"), 1)
    set_tf_config(monkeypatch, {"chief": ["a:1"], "worker": ["b:2"]}, "chief")
    assert read_machines() == Machines(("a:1", "b:2"), 0)


def test_what_was_typed_comes_back_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TF_CONFIG", "")
    typed = Machines.of(TWO, 1)
    typed.publish()
    assert read_machines() == typed


@pytest.mark.parametrize(
    ("addresses", "index"),
    [(["a:1"], 0), (["a:1", "b"], 0), (["a:1", "a:1"], 0), (["a:1", "http://b:2"], 0), (TWO, 2)],
)
def test_wrong_machines_are_refused(addresses: list[str], index: int) -> None:
    with pytest.raises(ConfigError, match="Expected"):
        Machines.of(addresses, index)


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[1]",
        '{"cluster": {"worker": ["a:1", "b:2"]}}',
        '{"cluster": {"ps": ["a:1"], "worker": ["b:2"]}, "task": {"type": "ps", "index": 0}}',
    ],
)
def test_a_broken_tf_config_is_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(ConfigError, match="TF_CONFIG"):
        read_machines()


def test_the_time_to_wait_is_whole_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAXON_WAIT_SECONDS", "soon")
    with pytest.raises(ConfigError, match="soon"):
        read_wait()
