"""A PostgreSQL server of its own for the tests that ask for one."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

BINARIES = Path("/usr/lib/postgresql/15/bin")


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of an empty database; it needs PostgreSQL 15's programs, and runs as nobody under root."""
    if not (BINARIES / "initdb").is_file():
        pytest.skip(f"PostgreSQL 15 is not installed: {BINARIES}/initdb is absent")
    folder = Path(tempfile.mkdtemp(prefix="taxon-pg-"))
    runner: list[str] = []
    if os.geteuid() == 0:
        shutil.chown(folder, "nobody", "nogroup")
        runner = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    data, log = str(folder / "data"), str(folder / "log")
    options = f"-p {port} -c listen_addresses=127.0.0.1 -k {folder}"

    def run(*words: str) -> None:
        subprocess.run([*runner, *words], check=True, cwd=folder, stdout=subprocess.DEVNULL)

    run(f"{BINARIES}/initdb", "-D", data, "-U", "taxon", "-A", "trust", "-E", "UTF8", "--no-sync")
    try:
        run(f"{BINARIES}/pg_ctl", "-D", data, "-l", log, "-o", options, "-w", "start")
        yield f"postgresql://taxon@127.0.0.1:{port}/postgres"
    finally:
        run(f"{BINARIES}/pg_ctl", "-D", data, "-m", "immediate", "-w", "stop")
        shutil.rmtree(folder)
