"""A store that an earlier version wrote at another place is read: runs, champion, artifacts, report."""

import json
import tarfile
from pathlib import Path

import pytest

from tests.processes import module_command, run_python

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[3]
STORE = ROOT / "tests" / "golden" / "store" / "before_rooms.tar.gz"
DIGEST = "4b4fa74df49ea355"


def test_store_of_the_version_before_the_rooms_is_read(tmp_path: Path) -> None:
    with tarfile.open(STORE) as archive:
        archive.extractall(tmp_path, filter="data")
    command = module_command("tests.orchestration.store.golden_toy")
    done = run_python(*command[1:], TAXON_STATE=str(tmp_path))
    seen = json.loads(done.stdout.splitlines()[-1])
    ((name, *run),) = seen["runs"]
    assert name.startswith("toy-")
    assert run == ["completed", "cnn", "promoted"]
    ((model, version, digest),) = seen["champions"]
    assert (model, version, digest[:16]) == ("toy", "1", DIGEST)
    assert seen["root"].startswith(f"{tmp_path}/state/")
    assert seen["classes"] == ["amber", "cobalt", "moss", "rose"]
    assert len(seen["artifacts"]) == 32
    assert {"summary.json", "report.html"} <= set(seen["folder"])
