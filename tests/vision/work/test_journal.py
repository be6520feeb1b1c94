"""What was added to a journal is there after a kill, whole."""

import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from tests.shared_data import REPOSITORY
from vision.base.errors import StorageError
from vision.work.journal import JOURNAL_NAME, Journal

DYING = """
import os, signal, sys
from pathlib import Path
from vision.work.journal import Journal
journal = Journal(Path(sys.argv[1]))
journal.add("a", b"1" * 5000)
journal.add("b", b"2")
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_process_added_is_found(tmp_path: Path) -> None:
    path = tmp_path / "new" / JOURNAL_NAME
    died = subprocess.run([sys.executable, "-c", DYING, str(path)], cwd=REPOSITORY, check=False)
    assert died.returncode == -signal.SIGKILL
    journal = Journal(path)
    assert (journal.find("a"), journal.find("b"), journal.find("c")) == (b"1" * 5000, b"2", None)
    assert journal.keys() == {"a", "b"}
    journal.remove()
    assert list(path.parent.iterdir()) == []


def test_a_journal_that_cannot_be_opened_now_keeps_what_it_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / JOURNAL_NAME
    before = Journal(path)
    before.add("a", b"1")
    before.close()
    connect = partial(sqlite3.connect, timeout=0)
    with monkeypatch.context() as patch, closing(connect(path, isolation_level=None)) as other:
        patch.setattr(sqlite3, "connect", connect)
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StorageError, match="database is locked"):
            Journal(path)
    after = Journal(path)
    assert after.find("a") == b"1"
    after.close()


@pytest.mark.parametrize("damage", ["no database", "cut short", "overwritten"])
def test_a_damaged_journal_is_begun_anew(damage: str, tmp_path: Path) -> None:
    path = tmp_path / JOURNAL_NAME
    before = Journal(path)
    for number in range(200):
        before.add(f"key {number}", b"1" * 1000)
    before.close()
    whole = path.read_bytes()
    middle = len(whole) // 2
    path.write_bytes(
        {
            "no database": b"no database" * 500,
            "cut short": whole[:middle],
            "overwritten": whole[: middle - 5000] + b"\xff" * 10_000 + whole[middle + 5000 :],
        }[damage]
    )
    journal = Journal(path)
    assert journal.keys() == set()
    journal.add("a", b"1")
    assert journal.find("a") == b"1"
    journal.close()
