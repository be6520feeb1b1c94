"""Texts and outputs by name come back, and altered ones are refused."""

from pathlib import Path

import pytest
from zenml.materializers.materializer_registry import materializer_registry

from materializers import (
    ArraysByNameMaterializer,
    TextMaterializer,
)
from tests.materializers.stored import altered, outputs, store, temperature
from vision.base.errors import StorageError
from vision.base.outputs import ModelOutputs


def test_a_text_is_stored_with_its_digest_and_an_altered_one_refused(tmp_path: Path) -> None:
    assert materializer_registry[str] is TextMaterializer
    stored = store(TextMaterializer, "Äsche", tmp_path / "a")
    stored.expected_content_hash = stored.compute_content_hash("Äsche")
    assert stored.load(str) == "Äsche"
    with pytest.raises(StorageError, match=r"altered or cut short"):
        altered(stored, "Äsche", tmp_path / "a").load(str)


@pytest.mark.parametrize("names", [(), ("noise",), ("noise", "letters/1.x", "Äsche")])
def test_outputs_by_name_come_back_in_their_order(tmp_path: Path, names: tuple[str, ...]) -> None:
    values = {name: outputs(2 + place) for place, name in enumerate(names)}
    assert materializer_registry[dict] is ArraysByNameMaterializer
    stored = store(ArraysByNameMaterializer, values, tmp_path / "a")
    stored.expected_content_hash = stored.compute_content_hash(values)
    loaded = stored.load(dict)
    assert list(loaded) == list(names)
    for name, value in loaded.items():
        assert isinstance(value, ModelOutputs)
        assert {key: each.tolist() for key, each in value.to_arrays().items()} == {
            key: each.tolist() for key, each in values[name].to_arrays().items()
        }


def test_altered_outputs_by_name_and_dicts_of_something_else_are_refused(tmp_path: Path) -> None:
    values = {"noise": outputs(2), "letters": outputs(3)}
    stored = store(ArraysByNameMaterializer, values, tmp_path / "a")
    with pytest.raises(StorageError, match=r"altered or cut short"):
        altered(stored, values, tmp_path / "a").load(dict)
    for wrong in ({"a": 1}, {"a": outputs(2), "b": temperature()}):
        with pytest.raises(StorageError, match=r"expected values of one class"):
            store(ArraysByNameMaterializer, wrong, tmp_path / "b")
