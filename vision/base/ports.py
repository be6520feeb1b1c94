"""Whether a program can listen on a port of this machine."""

from __future__ import annotations

import socket


def find_port_fault(host: str, port: int) -> OSError | None:
    """What keeps a program from listening there now; None if nothing does.

    Args:
        host: address or name, as the program is to be given it.
        port: 1 to 65535.

    Returns:
        A PermissionError where the port needs more rights; another OSError where somebody listens there, or
        the host is none of this machine.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        return error
    return None
