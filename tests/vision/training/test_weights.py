"""Weights become a file with a digest, or a reason, within seconds."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from vision.backbones import BACKBONES
from vision.backbones.declaration import KerasWeights
from vision.base.errors import ConfigError
from vision.config.training import CandidateSettings
from vision.training.weights import default_cache_folder, resolve_weights

CONTENT = b"\x89HDF\r\n\x1a\n" + b"weights" * 100
NAME = "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_96_no_top.h5"
NOWHERE = "http://127.0.0.1:9"


def settings(weights: str, backbone: str = "mobilenet_v2", width: float = 1.0) -> CandidateSettings:
    return CandidateSettings(backbone=backbone, weights=weights, width=width)


def locate(backbone: str, width: float, size: int) -> tuple[str, str]:
    weights = BACKBONES[backbone].weights
    assert isinstance(weights, KerasWeights)
    return weights.locate(width, size)


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    path = tmp_path / "www" / "tensorflow" / "keras-applications" / "mobilenet_v2" / NAME
    path.parent.mkdir(parents=True)
    path.write_bytes(CONTENT)
    handler = partial(_Quiet, directory=str(tmp_path / "www"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as served:
        thread = threading.Thread(target=served.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{served.server_port}"
        served.shutdown()
        thread.join()


def test_none_needs_no_file() -> None:
    own = CandidateSettings(backbone="cnn")
    resolved = resolve_weights(own, 96)
    assert resolved.settings == own


def test_a_path_is_pinned_by_its_digest(tmp_path: Path) -> None:
    path = tmp_path / "own.h5"
    path.write_bytes(CONTENT)
    resolved = resolve_weights(settings(str(path)), 96)
    assert resolved.settings is not None
    assert resolved.settings.weights == str(path)
    assert resolved.settings.weights_digest == hashlib.sha256(CONTENT).hexdigest()


def test_an_absent_path_and_a_file_of_another_kind_are_config_errors(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        resolve_weights(settings(str(tmp_path / "absent.h5")), 96)
    other = tmp_path / "other.h5"
    other.write_bytes(b"PK zip")
    with pytest.raises(ConfigError, match="not an HDF5 file"):
        resolve_weights(settings(str(other)), 96)


@pytest.mark.parametrize(
    ("size", "width", "name"),
    [
        (96, 0.35, "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_96_no_top.h5"),
        (100, 1.0, "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5"),
    ],
)
def test_the_file_of_mobilenet_is_the_one_that_keras_takes(size: int, width: float, name: str) -> None:
    source, found = locate("mobilenet_v2", width, size)
    assert found == name
    assert source == f"tensorflow/keras-applications/mobilenet_v2/{name}"


def test_auto_takes_the_cache_without_asking_the_network(tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(CONTENT)
    resolved = resolve_weights(settings("auto"), 96, tmp_path, address=NOWHERE)
    assert resolved.settings is not None
    assert resolved.settings.weights == str(tmp_path / NAME)


def test_auto_downloads_into_the_cache(tmp_path: Path, server: str) -> None:
    resolved = resolve_weights(settings("auto"), 96, tmp_path / "cache", address=server)
    assert resolved.settings is not None
    assert Path(resolved.settings.weights).read_bytes() == CONTENT
    assert [each.name for each in (tmp_path / "cache").iterdir()] == [NAME]


@pytest.mark.parametrize("backbone", ["efficientnet_b0", "convnext_tiny"])
def test_a_file_that_is_not_the_one_keras_lists_is_refused(tmp_path: Path, backbone: str) -> None:
    _, name = locate(backbone, 1.0, 96)
    (tmp_path / name).write_bytes(CONTENT)
    resolved = resolve_weights(settings("auto", backbone), 96, tmp_path, address=NOWHERE)
    assert resolved.settings is None
    assert "expected" in resolved.reason
    with pytest.raises(ConfigError, match="changed or cut short"):
        resolve_weights(settings("imagenet", backbone), 96, tmp_path, address=NOWHERE)


def test_auto_without_cache_and_network_is_left_out_within_seconds(tmp_path: Path) -> None:
    started = time.monotonic()
    resolved = resolve_weights(settings("auto"), 96, tmp_path, address=NOWHERE)
    assert resolved.settings is None
    assert "not to be had" in resolved.reason
    assert "weights: PATH" in resolved.reason
    assert time.monotonic() - started < 5
    assert list(tmp_path.iterdir()) == []


def test_a_cache_folder_that_cannot_be_looked_into_is_told(tmp_path: Path) -> None:
    folder = tmp_path / ("x" * 300)  # the system refuses to look, as in a folder of somebody else
    assert "File name too long" in resolve_weights(settings("auto"), 96, folder).reason
    with pytest.raises(ConfigError, match="Put the file there"):
        resolve_weights(settings("imagenet"), 96, folder)


def test_imagenet_that_is_not_to_be_had_is_a_config_error(tmp_path: Path, server: str) -> None:
    wanted = settings("imagenet", "efficientnet_v2_b0")
    with pytest.raises(ConfigError, match="404"):
        resolve_weights(wanted, 96, tmp_path / "cache", address=server)


def test_a_download_that_takes_too_long_is_given_up_and_leaves_nothing(tmp_path: Path, server: str) -> None:
    resolved = resolve_weights(
        settings("auto"), 96, tmp_path / "cache", address=server, download_seconds=-1.0
    )
    assert resolved.settings is None
    assert "not delivered within" in resolved.reason
    assert list((tmp_path / "cache").iterdir()) == []


def test_the_cache_folder_follows_keras_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_HOME", "/somewhere")
    assert default_cache_folder() == Path("/somewhere/models")
    monkeypatch.delenv("KERAS_HOME")
    assert default_cache_folder() == Path.home() / ".keras" / "models"
