"""A port is free, taken, or of another machine."""

import errno
import socket

import pytest

from vision.base.ports import find_port_fault


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0.0.0.0"])
def test_a_port_is_taken_while_somebody_listens(host: str) -> None:
    with socket.socket() as taken:
        taken.bind((host, 0))
        taken.listen()
        port = taken.getsockname()[1]
        fault = find_port_fault("127.0.0.1", port)
        assert fault is not None
        assert fault.errno == errno.EADDRINUSE
    assert find_port_fault("127.0.0.1", port) is None


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid"])
def test_an_address_of_another_machine_is_a_fault(host: str) -> None:
    assert isinstance(find_port_fault(host, 3000), OSError)
