"""The database of a moved or copied project names the new place and today's classes; nothing else changes."""

import json
import logging
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import yaml

from orchestration.session.paths import ProjectPaths
from orchestration.session.relocation import relocate_store
from vision.base.errors import RunLockedError, StorageError
from vision.base.lock import RunLock

STORES = "state/zenml/local_stores"
OLD = Path("/once/project")
FAR = "s3://bucket/once/project/state/zenml/local_stores/a"


def source(module: str, attribute: str) -> str:
    return json.dumps({"module": module, "attribute": attribute, "type": "user"}, separators=(",", ":"))


RECORD = source("materializers.records", "RecordMaterializer")
CONTAINER = source("zenml.materializers.built_in_materializer", "BuiltInContainerMaterializer")


@pytest.fixture
def paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ProjectPaths:
    """A project whose database was written at OLD."""
    monkeypatch.setenv("TAXON_STATE", str(tmp_path))
    paths = ProjectPaths.of(tmp_path)
    (tmp_path / STORES / "default_zen_store").mkdir(parents=True)
    with closing(connect(paths)) as database, database:
        database.execute("CREATE TABLE artifact_version (uri TEXT, data_type TEXT, materializer TEXT)")
        database.execute("CREATE TABLE artifact_visualization (uri TEXT)")
        database.execute("CREATE TABLE logs (uri TEXT)")
        inside = f"{OLD}/{STORES}/7"
        rows = [
            (f"{inside}/manifest", source("vision.records", "Manifest"), RECORD),
            (
                f"{inside}/outputs",
                source("vision.records", "ModelOutputs"),
                source("materializers.arrays", "OutputsMaterializer"),
            ),
            (f"{inside}/gone", source("vision.records", "NoSuchRecord"), RECORD),
            (f"{inside}/far", source("builtins", "list"), CONTAINER),
            (FAR, source("vision.data.records", "Manifest"), RECORD),
            (f"{OLD}/elsewhere/a", source("vision.data.records", "Manifest"), RECORD),
        ]
        database.executemany("INSERT INTO artifact_version VALUES (?, ?, ?)", rows)
        database.execute("INSERT INTO artifact_visualization VALUES (?)", (f"{inside}/view.md",))
        database.execute("INSERT INTO logs VALUES (?)", (f"{inside}/logs/1",))
    return paths


def connect(paths: ProjectPaths) -> sqlite3.Connection:
    return sqlite3.connect(paths.home / STORES / "default_zen_store" / "zenml.db")


def read(paths: ProjectPaths, query: str) -> list[str]:
    with closing(connect(paths)) as database:
        return [each for (each,) in database.execute(query)]


def test_uris_below_the_store_follow_and_others_stay(
    paths: ProjectPaths, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        relocate_store(paths)
    assert str(OLD) in caplog.text
    inside = f"{paths.home}/{STORES}/7"
    uris = [f"{inside}/{name}" for name in ("manifest", "outputs", "gone", "far")]
    assert read(paths, "SELECT uri FROM artifact_version") == [*uris, FAR, f"{OLD}/elsewhere/a"]
    assert read(paths, "SELECT uri FROM artifact_visualization") == [f"{inside}/view.md"]
    assert read(paths, "SELECT uri FROM logs") == [f"{inside}/logs/1"]


def test_classes_are_named_where_they_are_now_and_unknown_ones_stay(paths: ProjectPaths) -> None:
    relocate_store(paths)
    assert read(paths, "SELECT data_type FROM artifact_version")[:3] == [
        source("vision.data.records", "Manifest"),
        source("vision.base.outputs", "ModelOutputs"),
        source("vision.records", "NoSuchRecord"),
    ]
    assert read(paths, "SELECT materializer FROM artifact_version")[:2] == [
        RECORD,
        source("materializers.arrays", "ArraysMaterializer"),
    ]


def test_elements_of_a_container_follow(paths: ProjectPaths) -> None:
    folder = paths.home / STORES / "7" / "far"
    folder.mkdir(parents=True)
    entry = {
        "type": "vision.records.ModelOutputs",
        "materializer": "materializers.arrays.OutputsMaterializer",
    }
    listed = folder / "metadata.json"
    listed.write_text(json.dumps([{"path": f"{OLD}/{STORES}/7/far/0", **entry}]), encoding="utf-8")
    relocate_store(paths)
    assert json.loads(listed.read_text(encoding="utf-8")) == [
        {
            "path": f"{folder}/0",
            "type": "vision.base.outputs.ModelOutputs",
            "materializer": "materializers.arrays.ArraysMaterializer",
        }
    ]


def test_second_look_changes_nothing_and_needs_no_lock(paths: ProjectPaths) -> None:
    relocate_store(paths)
    database = paths.home / STORES / "default_zen_store" / "zenml.db"
    before = database.read_bytes()
    with RunLock(paths.lock, "going"):
        relocate_store(paths)
    assert database.read_bytes() == before


def test_nothing_is_changed_while_a_run_is_going(paths: ProjectPaths) -> None:
    before = read(paths, "SELECT uri FROM artifact_version")
    with RunLock(paths.lock, "toy-1"), pytest.raises(RunLockedError, match=r"moved.*toy-1"):
        relocate_store(paths)
    assert read(paths, "SELECT uri FROM artifact_version") == before


def test_database_that_is_damaged_is_told_of(paths: ProjectPaths) -> None:
    database = paths.home / STORES / "default_zen_store" / "zenml.db"
    database.write_bytes(database.read_bytes()[:5000])
    with pytest.raises(StorageError, match="copy it again"):
        relocate_store(paths)


def test_database_without_all_tables_is_left_to_zenml(paths: ProjectPaths) -> None:
    with closing(connect(paths)) as database, database:
        database.execute("DROP TABLE logs")
    relocate_store(paths)
    assert f"{OLD}/{STORES}/7/far" in read(paths, "SELECT uri FROM artifact_version")


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        (f"sqlite:///{OLD}/{STORES}/default_zen_store/zenml.db", False),
        ("https://zenml.example", True),
        ("sqlite:////elsewhere/zenml.db", True),
    ],
)
def test_configuration_forgets_the_database_of_another_place_alone(
    paths: ProjectPaths, url: str, *, kept: bool
) -> None:
    configs = paths.zenml / "config.yaml", paths.zenml / "dashboard" / "config.yaml"
    configs[1].parent.mkdir()
    for config in configs:
        config.write_text(yaml.safe_dump({"user_id": "u", "store": {"url": url}}), encoding="utf-8")
    relocate_store(paths)
    for config in configs:
        now = yaml.safe_load(config.read_text(encoding="utf-8"))
        assert now["user_id"] == "u"
        assert ("store" in now) is kept
