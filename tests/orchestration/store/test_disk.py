"""Cleaning removes what Taxon made and nothing else."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import pytest

from materializers.records import describe_record
from orchestration.session.paths import ProjectPaths
from orchestration.store import disk
from vision.base.errors import ConfigError
from vision.data.records import AddedFolder, Manifest

KEY = "0123456789abcdef"


def fill(folder: Path, *names: str) -> None:
    folder.mkdir(parents=True)
    for name in names:
        (folder / name).write_bytes(b"0" * 10)


def remove_stores(paths: ProjectPaths, monkeypatch: pytest.MonkeyPatch, *referred: Path) -> int:
    monkeypatch.setattr(disk, "_referred_folders", lambda *_: set(referred))
    client: Any = None  # never asked
    return disk._remove_all(disk._unused_stores(client, paths), paths.home)


def test_photographs_and_files_of_the_user_in_data_are_never_removed(
    paths: ProjectPaths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(paths.data / "photos" / "perch", "a.jpg")
    fill(paths.data / f"reef-{KEY}", "a.jpg")  # a name like a painted one, without the painter's stamp
    fill(paths.data / "reef-of-mine", "reef.json")
    fill(paths.data / f"reef-{KEY}-copy", "reef.json")
    fill(tmp_path / "elsewhere", "reef.json")
    (paths.data / "reef-00000000000000ff").symlink_to(tmp_path / "elsewhere")
    (paths.data / "labels.csv").write_text("", encoding="utf-8")
    (paths.data / "reef-00000000000000aa").write_text("a file", encoding="utf-8")
    before = sorted(tmp_path.rglob("*"))
    assert remove_stores(paths, monkeypatch) == 0
    assert sorted(tmp_path.rglob("*")) == before


def test_folders_that_taxon_made_and_what_a_killed_process_left_go_unless_an_artifact_refers_to_them(
    paths: ProjectPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, gone = paths.data / f"reef-{KEY}", paths.data / f"reef-{KEY[::-1]}"
    fill(kept, "reef.json", "a.jpg")
    fill(gone, "reef.json", "a.jpg")
    fill(paths.data / f".reef-{KEY}.unfinished-123", "a.jpg")
    fill(paths.data / f"boxes-{KEY}", ".done")
    fill(paths.data / f".boxes-{KEY}.partial", "a.jpg")
    fill(paths.data / f"tfds-fashion_mnist-{KEY[:12]}", "set.json")
    assert remove_stores(paths, monkeypatch, kept) == 60
    assert list(paths.data.iterdir()) == [kept]


def test_folders_named_as_stores_and_drawn_pictures_are_removed_and_nothing_else(
    paths: ProjectPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = paths.images / (KEY * 2)
    fill(kept, "images.npy")
    fill(paths.images / (KEY[::-1] * 2), "images.npy")
    fill(paths.images / "mine", "images.npy")
    (paths.images / "notes.txt").write_text("", encoding="utf-8")
    fill(paths.pictures, "c0ffee.png")
    assert remove_stores(paths, monkeypatch, kept) == 20
    assert {path.name for path in paths.images.iterdir()} == {kept.name, "mine", "notes.txt"}
    assert not list(paths.pictures.iterdir())


def test_an_artifact_store_outside_the_project_is_not_swept(paths: ProjectPaths, tmp_path: Path) -> None:
    fill(tmp_path / "photos" / "perch", "a.jpg")
    store = SimpleNamespace(config=SimpleNamespace(is_local=True), path=str(tmp_path / "photos"))
    client: Any = SimpleNamespace(active_stack=SimpleNamespace(artifact_store=store))
    assert disk._orphaned_artifacts(client, paths) == []


def test_nothing_outside_the_project_is_ever_deleted(paths: ProjectPaths, tmp_path: Path) -> None:
    """Neither by its path nor through a link."""
    other = tmp_path.parent / f"{tmp_path.name}-other"
    fill(other / "runs" / "a", "summary.json")
    paths.runs.symlink_to(other / "runs")
    assert disk._remove_all([other / "runs" / "a", paths.runs / "a"], paths.home) == 0
    assert (other / "runs" / "a" / "summary.json").is_file()


def test_a_shared_server_is_refused_before_anything_is_listed_or_removed(
    paths: ProjectPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: Any, **__: Any) -> NoReturn:
        raise AssertionError

    fill(paths.scratch, "left")
    server = SimpleNamespace(is_local_store=lambda: False, url="https://zenml.example")
    client = SimpleNamespace(zen_store=server, list_pipeline_runs=never, delete_pipeline_run=never)
    monkeypatch.setattr(disk, "Client", lambda: client)
    with pytest.raises(ConfigError, match=r"zenml\.example.*ZENML_STORE_URL"):
        disk.clean(paths, keep=1)
    assert (paths.scratch / "left").is_file()


def test_folders_of_a_manifests_additions_are_in_use_as_its_root_is(
    paths: ProjectPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A champion's data set may have grown by painted folders: without them it is not to be had again."""
    base, added, unused = (paths.data / f"reef-{digit * 16}" for digit in "abc")
    for folder in (base, added, unused):
        fill(folder, "reef.json")
        fill(folder / "known" / "cod", "a.jpg")
    manifest = Manifest(
        root=str(base),
        additions=(AddedFolder(name="april", root=str(added / "known")),),
        source_digest="s",
        class_names=("cod",),
        entries=(),
    )
    metadata = describe_record(manifest)
    stored: Any = SimpleNamespace(run_metadata=metadata, load=lambda: manifest)
    remove_stores(paths, monkeypatch, *disk._sources_of(stored))
    assert sorted(paths.data.iterdir()) == [base, added]
    alone = manifest.model_copy(update={"additions": ()})
    unread: Any = SimpleNamespace(run_metadata=describe_record(alone))  # cannot be loaded
    assert disk._sources_of(unread) == {base}
