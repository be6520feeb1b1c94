"""What a step's code reaches is in its cache key; what it does not reach is not."""

import hashlib
from importlib import import_module
from inspect import signature
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from zenml import step
from zenml.orchestrators import cache_utils, step_run_utils

from pipelines.caching import (
    INVOCATION_VARIABLE,
    LOCK_NAME,
    _key_in_project,
    _zenml_key,
    keyed,
    step_cache_policy,
    step_closure,
)
from vision.base.closure import ROOT, _imported_names

TOY = {
    "requirements.txt": "numpy==1\n",
    "materializers/__init__.py": "from materializers.records import save\n",
    "materializers/records.py": "def save():\n    from vision import figures\n",
    "materializers/names.py": "NAME = 'a'\n",
    "steps/__init__.py": "",
    "steps/train.py": (
        "from materializers.names import NAME\n"
        "def train():\n"
        "    if True:\n"
        "        try:\n"
        "            from vision.nets.training import fit\n"
        "        finally:\n"
        "            pass\n"
        "    return fit()\n"
    ),
    "vision/__init__.py": "",
    "report/figures.py": "import vision.metrics\n",
    "vision/metrics.py": "",
    "vision/typed.py": "",
    "vision/unrelated.py": "import vision.metrics\n",
    "vision/nets/__init__.py": "",
    "vision/nets/training.py": (
        "from typing import TYPE_CHECKING\n"
        "import numpy as np\n"
        "from vision import helper\n"
        "from . import layers\n"
        "from ..nets.heads import Head\n"
        "if TYPE_CHECKING:\n    import vision.typed\nelse:\n    import vision.untyped\n"
        "def fit():\n    return import_module('vision.plugins.late')\n"
    ),
    "vision/untyped.py": "",
    "vision/helper.py": "def add(a, b):\n    return a + b\n",
    "vision/nets/layers.py": "",
    "vision/nets/heads.py": "class Head: ...\n",
    "vision/plugins/__init__.py": "",
    "vision/plugins/late.py": "import vision.nets.training\n",
}

STEPS = sorted(f"steps.{path.parent.name}.{path.stem}" for path in (ROOT / "steps").glob("*/[a-z]*.py"))


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    for name, text in TOY.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return tmp_path


def test_closure_holds_every_form_of_import_and_nothing_else(toy: Path) -> None:
    assert step_closure("steps.train", toy) == (
        "materializers/__init__.py",
        "materializers/records.py",
        "steps/__init__.py",
        "steps/train.py",
        "vision/__init__.py",
        "vision/helper.py",
        "vision/nets/__init__.py",
        "vision/nets/heads.py",
        "vision/nets/layers.py",
        "vision/nets/training.py",
        "vision/plugins/__init__.py",
        "vision/plugins/late.py",
        "vision/untyped.py",
    )


def digest_of(module: str, root: Path) -> str:
    """SHA-256 over the files that the policy names, as ZenML's key reads them."""
    digest = hashlib.sha256()
    for name in (*step_closure(module, root), LOCK_NAME):
        digest.update(name.encode() + (root / name).read_bytes())
    return digest.hexdigest()


@pytest.mark.parametrize("name", ["vision/helper.py", "vision/plugins/late.py", LOCK_NAME])
def test_change_of_reached_file_changes_the_digest(toy: Path, name: str) -> None:
    before = digest_of("steps.train", toy)
    with (toy / name).open("a", encoding="utf-8") as file:
        file.write("# changed\n")
    assert digest_of("steps.train", toy) != before


@pytest.mark.parametrize(
    "name", ["vision/unrelated.py", "report/figures.py", "vision/typed.py", "materializers/names.py"]
)
def test_change_of_unreached_file_leaves_the_digest(toy: Path, name: str) -> None:
    before = digest_of("steps.train", toy)
    (toy / name).write_text("import vision.metrics  # changed\n", encoding="utf-8")
    assert digest_of("steps.train", toy) == before


def test_new_import_in_a_helper_enters_the_closure(toy: Path) -> None:
    assert "vision/metrics.py" not in step_closure("steps.train", toy)
    (toy / "vision/helper.py").write_text("def late():\n    import vision.metrics\n", encoding="utf-8")
    assert "vision/metrics.py" in step_closure("steps.train", toy)


def test_policy_keeps_zenmls_own_key_and_adds_closure_and_lock(toy: Path) -> None:
    policy = step_cache_policy("steps.train", toy)
    assert policy.file_dependencies == [*step_closure("steps.train", toy), "requirements.txt"]
    assert policy.include_step_parameters
    assert policy.include_artifact_values


def test_keyed_step_carries_the_policy_of_its_own_module() -> None:
    @step
    def nothing() -> None: ...

    configured = keyed(nothing)
    expected = step_cache_policy(nothing.entrypoint.__module__)
    assert configured.configuration.cache_policy.file_dependencies == expected.file_dependencies  # type: ignore[attr-defined]
    named: Any = keyed(nothing, "nothing_twice")
    assert named.keywords == {"id": "nothing_twice"}
    assert named.func.configuration.environment == {INVOCATION_VARIABLE: "nothing_twice"}


def test_a_module_is_read_once_however_many_steps_reach_it() -> None:
    _imported_names.cache_clear()
    for module in STEPS:
        step_closure(module)
    found = _imported_names.cache_info()
    assert found.misses == found.currsize > 50
    assert found.hits > 3 * found.misses


UNCACHED = (
    "promote",
    "register",
    "deploy",
    "read_window",
    "monitor",
    "trim_log",
    "decide_retraining",
    "answer_batch",
)
"""Steps that read or change the world outside their inputs: registry, service, log, clock, other runs."""


def test_exactly_the_steps_that_touch_the_world_are_never_cached() -> None:
    names = {module.rpartition(".")[2]: module for module in STEPS}
    steps = {name: getattr(import_module(module), name) for name, module in names.items()}
    uncached = {name for name, each in steps.items() if each.configuration.enable_cache is False}
    assert uncached == set(UNCACHED)
    for name in UNCACHED:  # as a pipeline calls them
        assert keyed(steps[name]).configuration.enable_cache is False  # type: ignore[attr-defined]


def test_ingest_is_cached_by_the_digest_of_its_source() -> None:
    ingest = import_module("steps.data.ingest").ingest
    assert ingest.configuration.enable_cache is not False
    assert "source_digest" in signature(ingest.entrypoint).parameters
    assert keyed(ingest).configuration.cache_policy.include_step_parameters  # type: ignore[attr-defined]


def test_where_the_project_lies_is_not_in_zenmls_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """ZenML calls `cache_utils.generate_cache_key` by these names, and the module through this attribute."""
    assert step_run_utils.cache_utils.generate_cache_key is _key_in_project  # type: ignore[attr-defined]
    asked = list(signature(_key_in_project).parameters)
    assert list(signature(_zenml_key).parameters) == asked

    def key_in(home: Path, store: str, invocation: str | None = None) -> str:
        monkeypatch.setenv("TAXON_STATE", str(home))
        artifact_store = SimpleNamespace(id=UUID(int=1), path=store, custom_cache_key=b"user")
        step: Any = keyed(import_module("steps.data.ingest").ingest, invocation)
        config = getattr(step, "func", step).configuration.model_copy(update={"outputs": {}})
        spec = SimpleNamespace(source=SimpleNamespace(import_path="steps.data.ingest.ingest"))
        invoked = SimpleNamespace(config=config, spec=spec)
        key = cache_utils.generate_cache_key(invoked, {}, artifact_store, UUID(int=2))  # type: ignore[arg-type]
        if store.startswith("s3://"):  # a pod of a cluster makes ZenML's own key, without this module
            assert key == _zenml_key(invoked, {}, artifact_store, UUID(int=2))  # type: ignore[arg-type]
        return key

    inside = [key_in(tmp_path / home, str(tmp_path / home / "state" / "store")) for home in ("a", "b")]
    assert inside[0] == inside[1]
    assert key_in(tmp_path / "a", "s3://bucket/store") != inside[0]
    other = key_in(tmp_path / "a", str(tmp_path / "a" / "state" / "store"), "ingest_again")
    assert other != inside[0]  # equal candidates share no artifact
