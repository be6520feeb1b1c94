"""A stored path inside the project is relative to it; any other is stored as it is."""

from pathlib import Path

import pytest

from vision.base.home import home_context
from vision.data.records import AddedFolder, Manifest


def manifest(root: Path, added: Path) -> Manifest:
    addition = AddedFolder(name="april", root=str(added))
    return Manifest(root=str(root), additions=(addition,), source_digest="s", class_names=("a",), entries=())


def test_places_inside_follow_the_project_and_others_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, now = tmp_path / "before", tmp_path / "now"
    monkeypatch.setenv("TAXON_STATE", str(before))
    stored = manifest(before / "data" / "reef", Path("/photos/april")).model_dump_json(context=home_context())
    assert str(tmp_path) not in stored
    monkeypatch.setenv("TAXON_STATE", str(now))
    loaded = Manifest.model_validate_json(stored, context=home_context())
    assert loaded == manifest(now / "data" / "reef", Path("/photos/april"))
