"""EfficientNet-Lite0 with its package's weights means what ImageNet means; damaged files are refused."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from sklearn.datasets import load_sample_images

from tests.shared_data import shared_data
from tests.vision.training.nets.toy import KERAS_WARNINGS
from vision.backbones import efficientnet_lite
from vision.backbones.efficientnet_lite import SHA256, find_weights, load_weights
from vision.backbones.torch_file import read_tensors
from vision.base.errors import ConfigError
from vision.config.data import Resize
from vision.config.training import CandidateSettings
from vision.data.images import decode_image
from vision.training.weights import resolve_weights

pytestmark = [pytest.mark.slow, KERAS_WARNINGS]

SETTINGS = CandidateSettings(backbone="efficientnet_lite0", strategy="frozen", weights="auto")
ANIMALS = {"cat": range(281, 286), "dog": range(151, 269), "wild": range(269, 294)}


@pytest.fixture(scope="module")
def network() -> Any:
    """The pretrained network with its own head: images (n, 224, 224, 3) to ImageNet logits (n, 1000)."""
    import keras

    image = keras.Input((224, 224, 3))
    model = keras.Model(image, efficientnet_lite.build(image, 1.0))
    load_weights(model, find_weights())
    tensors = read_tensors(find_weights())

    def classify(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        features = model.predict(images.astype(np.float32), verbose=0).mean(axis=(1, 2))
        return np.asarray(features @ tensors["_fc.weight"].T + tensors["_fc.bias"])

    assert model.count_params() == 3_413_024
    return classify


def test_photographs_are_named_as_imagenet_names_them(network: Any) -> None:
    pictures = [Image.fromarray(image).resize((224, 224)) for image in load_sample_images().images]
    best = np.argsort(-network(np.stack([np.asarray(picture) for picture in pictures])), axis=1)[:, :5]
    assert {698, 442, 663, 668, 832} & set(best[0])  # palace, bell cote, monastery, mosque, stupa
    assert {985, 738, 308, 309, 723} & set(best[1])  # daisy, pot, fly, bee, pinwheel


def test_animals_are_cats_dogs_and_wild_ones(network: Any) -> None:
    right = []
    for name, classes in ANIMALS.items():
        files = sorted(shared_data(f"afhq_stargan_v2/{name}").glob("*.jpg"))
        images = np.stack([decode_image(path.read_bytes(), size=224, resize=Resize.PAD) for path in files])
        right += list(np.isin(network(images).argmax(axis=1), list(classes)))
    assert np.mean(right) > 0.9


def test_weights_are_at_hand_by_their_hash() -> None:
    found = resolve_weights(SETTINGS, 160)
    assert found.settings is not None
    assert found.settings.weights_digest == SHA256


def test_a_file_whose_hash_differs_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / find_weights().name
    path.write_bytes(find_weights().read_bytes()[:-7])
    monkeypatch.setattr(efficientnet_lite, "find_spec", lambda _: None)
    missing = resolve_weights(SETTINGS, 160)
    assert missing.settings is None
    assert "make setup" in missing.reason
    monkeypatch.setattr(
        efficientnet_lite, "find_spec", lambda _: type("Spec", (), {"origin": str(tmp_path / "__init__.py")})
    )
    (tmp_path / "models").mkdir()
    path.rename(tmp_path / "models" / path.name)
    digest = hashlib.sha256((tmp_path / "models" / path.name).read_bytes()).hexdigest()
    with pytest.raises(ConfigError, match=f"SHA-256 {digest}; expected {SHA256}"):
        resolve_weights(SETTINGS, 160)


def test_a_file_that_is_cut_or_holds_code_is_refused_and_nothing_runs(tmp_path: Path) -> None:
    cut = tmp_path / "cut.pth"
    cut.write_bytes(find_weights().read_bytes()[:-7])
    with pytest.raises(ConfigError, match="cannot be read as tensors"):
        read_tensors(cut)
    code = tmp_path / "code.pth"
    code.write_bytes(b"cos\nsystem\n(S'touch ran'\ntR.")
    with pytest.raises(ConfigError, match=r"it names os\.system"):
        read_tensors(code)
    assert not (tmp_path / "ran").exists()
    for content in (b"I1\n." * 4, b"I1\n.I1\n.I1\n.(d.I1\n."):  # pickles of other things
        code.write_bytes(content)
        with pytest.raises(ConfigError, match="cannot be read as tensors"):
            read_tensors(code)
