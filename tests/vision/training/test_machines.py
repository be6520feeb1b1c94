"""Which machines train together is read from TF_CONFIG, or typed; what is wrong is said."""

from __future__ import annotations

import json
import socket
import threading

import pytest

from vision.base.errors import ConfigError, TrainingError
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


def free_addresses(number: int) -> tuple[str, ...]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    addresses = tuple(f"127.0.0.1:{each.getsockname()[1]}" for each in sockets)
    for each in sockets:
        each.close()
    return addresses


def test_machines_meet_in_any_order_and_no_stranger_counts() -> None:
    addresses = free_addresses(3)
    workers = [threading.Thread(target=Machines(addresses, i).meet, args=(0,), daemon=True) for i in (1, 2)]
    leader = threading.Thread(target=Machines(addresses, 0).meet, args=(30,), daemon=True)
    workers[0].start()
    host, _, port = addresses[1].rpartition(":")
    while True:
        try:
            with socket.create_connection((host, int(port))) as stranger:
                stranger.sendall(b"GET / HTTP/1.1")
                break
        except ConnectionRefusedError:
            pass
    with socket.create_connection((host, int(port))):  # says nothing
        leader.start()
        leader.join(0.3)
        assert leader.is_alive()
        assert workers[0].is_alive()
        workers[1].start()
        for each in (*workers, leader):
            each.join(30)
            assert not each.is_alive()


def test_a_machine_that_never_comes_is_named_with_what_to_type_there() -> None:
    here, there = free_addresses(2)
    with pytest.raises(TrainingError, match=f"{there}, does not answer") as refused:
        Machines((here, there), 0).meet(0)
    assert f"run.py worker 1 --machines {here},{there}" in str(refused.value)


def test_a_port_that_is_taken_is_named() -> None:
    with socket.create_server(("", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(TrainingError, match=f"port {port}"):
            Machines(("127.0.0.1:1", f"127.0.0.1:{port}"), 1).meet(0)


def _hang_up(server: socket.socket) -> None:
    call, _ = server.accept()
    call.close()


def test_something_else_at_the_address_is_no_worker() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=_hang_up, args=(server,), daemon=True).start()
        with pytest.raises(TrainingError, match="machine 1"):
            Machines(("127.0.0.1:1", f"127.0.0.1:{server.getsockname()[1]}"), 0).meet(0)
