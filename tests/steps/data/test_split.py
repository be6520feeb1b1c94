"""The step that splits tells what the gate could only refuse."""

from __future__ import annotations

import pytest

from steps.data.split import split
from tests.vision.toy import make_splits
from vision.config.data import SplitSettings
from vision.data.records import ImageEntry, Manifest


@pytest.mark.parametrize(("known", "told"), [(("cod",), False), (("cod", "whale"), True)])
def test_a_class_of_the_model_in_production_that_is_gone_is_told_before_training(
    known: tuple[str, ...], told: bool, caplog: pytest.LogCaptureFixture
) -> None:
    entries = tuple(
        ImageEntry(path=f"cod/{i}.png", class_name="cod", digest=f"{i}", num_bytes=1, width=9, height=9)
        for i in range(8)
    )
    manifest = Manifest(root="photos", source_digest="d", class_names=("cod",), entries=entries)
    split.entrypoint(manifest, SplitSettings(), 7, make_splits([], known))
    assert ("knows whale" in caplog.text) is told
