"""How the supervisor starts a worker, whose code may be older."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

from serving.runtime import supervisor

EARLIER = """
import argparse, socket
parser = argparse.ArgumentParser()
parser.add_argument("--public", type=int, required=True)
parser.add_argument("--check", type=int)
options = parser.parse_args()
print(*(socket.socket(fileno=each).getsockname()[1] for each in (options.public, options.check)))
"""


def test_a_worker_of_an_earlier_version_is_given_its_sockets(tmp_path: Path) -> None:
    room = tmp_path / "src" / "serving" / "runtime"
    room.mkdir(parents=True)
    for each in (room.parent, room):
        (each / "__init__.py").touch()
    (room / "worker.py").write_text(EARLIER)
    address = ("127.0.0.1", 0)
    with socket.create_server(address) as public, socket.create_server(address) as check:
        sockets = public.fileno(), check.fileno()
        command = [sys.executable, "-P", supervisor.__file__, "--instance", "word", "src", *map(str, sockets)]
        with subprocess.Popen(
            command, cwd=tmp_path, pass_fds=sockets, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            told = process.stdout.read()
        assert told.split() == [b"%d" % each.getsockname()[1] for each in (public, check)]
