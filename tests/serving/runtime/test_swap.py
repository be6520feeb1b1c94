"""Under a load of sixteen clients a new version takes over, and none of their requests fails."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from benchmarks.serving.swap import CLIENTS, under_load
from serving.runtime.agreement import TestImage, compare_service
from serving.runtime.bento import build_in_store
from serving.runtime.launch import Launched
from serving.runtime.process import deploy_service, start_service, stop_service
from serving.runtime.running import ServiceFolder, find_service
from tests.serving.runtime.services import find_port, find_workers, forget_keys, serve_at
from tests.serving.toy import RED, make_bundle, paint
from tests.vision.training.nets.toy import KERAS_WARNINGS
from vision.base.errors import ServiceError
from vision.bundle.assembly import load_bundle

pytestmark = [pytest.mark.slow, KERAS_WARNINGS]


def test_no_request_fails_in_a_promotion_a_rollback_and_a_refused_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forget_keys(monkeypatch)
    folder, bundle, image = ServiceFolder(tmp_path), make_bundle(), tmp_path / "red.png"
    image.write_bytes(paint(RED))
    first = build_in_store(folder, bundle.root, bundle.digest, "1")
    second = build_in_store(folder, bundle.root, bundle.digest, "2")
    service = start_service(folder, first, serve_at(find_port()))

    def check(launched: Launched) -> None:
        loaded = load_bundle(bundle.root, bundle.digest)
        compare_service(
            launched.url, launched.key, loaded, [TestImage(image, is_unknown=False, class_name="")], 0.0
        )

    try:
        with under_load(service.url, folder.key.read_text().strip(), image.read_bytes()) as load:
            time.sleep(0.5)
            for bento in (second, first):
                deploy_service(folder, bento, service.serve, check)
                swapped = time.monotonic()
                time.sleep(0.5)
                assert load.versions_since(swapped) == {bento.model.version}
            (graph,) = folder.bentoml.rglob("models/**/fp32.tflite")
            graph.write_bytes(graph.read_bytes()[:-1])
            kept, began = find_service(folder), time.monotonic()
            with pytest.raises(ServiceError, match=r"fp32\.tflite"):
                deploy_service(folder, second, service.serve, check)
            assert find_service(folder) == kept
            assert load.versions_since(began) == {"1"}
        assert not load.failures
        assert len(load.answers) > 10 * CLIENTS
        assert {each.digest for each in load.answers} == {bundle.digest}
        assert max(each.seconds for each in load.answers) < 10
        assert kept is not None
        assert len(find_workers(kept)) == 1
    finally:
        stop_service(folder)
