"""Everything that steps hand on crosses a bucket: ZenML's S3 artifact store, with Moto in the place of S3."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pytest
from zenml.enums import StackComponentType

from materializers import (
    ArraysByNameMaterializer,
    ArraysMaterializer,
    FilesMaterializer,
    FolderMaterializer,
    RecordMaterializer,
    TextMaterializer,
)
from tests.materializers.stored import bundle, outputs, temperature
from tests.materializers.test_folders import PIXELS, decode
from vision.data.store import open_images

moto_server = pytest.importorskip("moto.server")
pytest.importorskip("s3fs")
boto3 = pytest.importorskip("boto3")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning", "ignore::DeprecationWarning"),
]


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    from zenml.integrations.s3.artifact_stores import S3ArtifactStore
    from zenml.integrations.s3.flavors.s3_artifact_store_flavor import S3ArtifactStoreConfig

    server = moto_server.ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url, keys = f"http://{host}:{port}", {"key": "some", "secret": "hidden"}
    client = boto3.client(
        "s3", "us-east-1", endpoint_url=url, aws_access_key_id="some", aws_secret_access_key="hidden"
    )
    bucket = f"taxon-{uuid4().hex[:8]}"  # a bucket outlives its server
    client.create_bucket(Bucket=bucket)
    now = datetime.now(UTC)
    store = S3ArtifactStore(
        name="bucket",
        id=uuid4(),
        config=S3ArtifactStoreConfig(path=f"s3://{bucket}", client_kwargs={"endpoint_url": url}, **keys),
        flavor="s3",
        type=StackComponentType.ARTIFACT_STORE,
        user=uuid4(),
        created=now,
        updated=now,
    )
    yield store
    store.cleanup()
    server.stop()


def test_all_kinds_of_values_come_back(store: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAXON_STATE", str(tmp_path / "here"))
    arrays = outputs()
    saved = [
        (RecordMaterializer, temperature()),
        (TextMaterializer, "cnn"),
        (ArraysMaterializer, arrays),
        (ArraysByNameMaterializer, {"cnn": arrays}),
        (FilesMaterializer, bundle(tmp_path / "work")),
        (FolderMaterializer, decode(tmp_path / "here")),
    ]
    for kind, value in saved:
        kind(f"{store.path}/{kind.__name__}", store).save(value)
    monkeypatch.setenv("TAXON_STATE", str(tmp_path / "there"))
    back: list[Any] = [
        kind(f"{store.path}/{kind.__name__}", store).load(type(value)) for kind, value in saved
    ]
    assert back[0].value == temperature().value
    assert back[1] == "cnn"
    assert np.array_equal(back[2].logits, arrays.logits)
    assert np.array_equal(back[3]["cnn"].logits, arrays.logits)
    assert back[4].path("graphs/fp16.tflite").read_bytes() == b"graph"
    assert np.array_equal(open_images(back[5]), PIXELS)
    assert Path(back[5].path).is_relative_to(tmp_path / "there")
