"""A Bento holds the code that the service reaches and the pin of its bundle, and nothing that trains."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from serving.api.endpoints import ENDPOINTS
from serving.runtime.bento import REQUIREMENTS, stage_code
from serving.runtime.launch import make_environment
from serving.runtime.pinned import PINNED_NAME, PinnedModel, read_pinned
from vision.base.closure import ROOT
from vision.base.errors import BundleError

PIN = PinnedModel(name="toy", version="3", digest="a" * 64, tag="toy:aaaa")
ALL_OF_IT = """
import sys
sys.path[0] = sys.argv[1]
import serving.api.application, serving.api.loading, serving.runtime.supervised
import serving.service
assert serving.service.__file__.startswith(sys.argv[1]), serving.service.__file__
found = {"tensorflow", "keras", "sklearn", "pandas", "matplotlib", "zenml", "evidently"} & set(sys.modules)
sys.exit(", ".join(sorted(found)) or 0)
"""
WORKER = """
import asyncio, json
from serving.service import Taxon
guard, reached = Taxon.to_asgi(), []

async def note(scope, *_):
    reached.append(scope["type"])

guard._lifespan = note
for path in ("/livez", "/metrics", "/docs.json", "/healthz", "/"):
    scope = {"type": "http", "method": "GET", "path": path, "headers": [], "query_string": b""}
    asyncio.run(guard(scope | {"client": ("127.0.0.1", 1)}, None, lambda _: asyncio.sleep(0)))
asyncio.run(guard({"type": "lifespan"}, None, None))
inside = guard._application
print(json.dumps([sorted(each.path for each in inside.routes), len(inside.user_middleware), reached]))
"""


def test_the_staged_code_is_whole_and_reaches_no_training_library(tmp_path: Path) -> None:
    stage_code(tmp_path, PIN)
    done = subprocess.run(
        [sys.executable, "-c", ALL_OF_IT, str(tmp_path)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_what_trains_draws_or_builds_stays_out(tmp_path: Path) -> None:
    stage_code(tmp_path, PIN)
    names = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.py")}
    assert {"serving/service.py", "vision/decision/predictor.py", "serving/api/application.py"} <= names
    starts = r"serving/(agreement|app/.*|bento|bento_store|client|deployment|launch|process|running)\.py"
    shapes = r"vision/(nets|figures|sources)/|vision/(lock|drift|retraining|gate|closure|splits)\.py"
    assert not [name for name in names if re.match(f"{starts}|{shapes}", name)]


def test_the_digest_of_the_code_follows_code_and_pin_alone(tmp_path: Path) -> None:
    digest = stage_code(tmp_path / "a", PIN)
    assert stage_code(tmp_path / "b", PIN) == digest
    assert stage_code(tmp_path / "c", PIN.model_copy(update={"version": "4"})) != digest


def test_the_pin_comes_back_and_a_missing_or_malformed_one_is_refused(tmp_path: Path) -> None:
    stage_code(tmp_path, PIN)
    assert read_pinned(tmp_path / PINNED_NAME) == PIN
    with pytest.raises(BundleError, match="not the checkout"):
        read_pinned(tmp_path / "absent.json")
    (tmp_path / PINNED_NAME).write_text(PIN.model_dump_json().replace("a" * 64, "short"))
    with pytest.raises(BundleError, match="digest"):
        read_pinned(tmp_path / PINNED_NAME)


def test_the_slim_requirements_are_the_main_locks_versions() -> None:
    pattern = re.compile(r"^([a-z0-9-]+==[^ ]+)", re.MULTILINE)
    main = set(pattern.findall((ROOT / "requirements.txt").read_text()))
    slim = set(pattern.findall((ROOT / "serving" / REQUIREMENTS).read_text()))
    assert slim <= main
    assert not {each.partition("==")[0] for each in slim} & {
        "tensorflow-cpu",
        "scikit-learn",
        "pandas",
        "zenml",
    }


def test_bentomls_own_application_hears_of_start_and_end_and_of_no_request(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WORKER],
        env=make_environment(tmp_path, {"TAXON_API_KEYS": ""}),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    paths, num_layers, reached = json.loads(done.stdout.splitlines()[-1])
    assert paths == sorted(each.path for each in ENDPOINTS)
    assert num_layers == 0
    assert reached == ["lifespan"]


def test_bentoml_is_the_version_whose_inside_the_service_was_written_for() -> None:
    assert version("bentoml") == "1.4.39", (
        "read serving/service.py against the new one, then change this line"
    )
