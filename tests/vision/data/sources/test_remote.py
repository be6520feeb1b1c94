"""A folder or a table in a bucket: copied once, followed when it changes, refused with the reason."""

from __future__ import annotations

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import pytest

from tests.vision.data.sources.test_conformance import draw, listed
from tests.vision.stores import open_store, point_to
from vision.base.errors import SourceError
from vision.config.data import FolderSource, ImageSettings
from vision.config.sources.tables import CsvSource
from vision.config.work import ExecutorSettings
from vision.data.sources import check_source, digest_source, read_source, remote
from vision.data.store import build_store
from vision.work.current import open_work

pytest.importorskip("moto.server")
pytest.importorskip("s3fs")


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    with open_store(monkeypatch) as bucket:
        yield bucket


def test_a_folder_is_copied_once_and_followed(
    tmp_path: Path, store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    local = draw(tmp_path / "photos")
    store.put(f"{local.path}/", "fish/photos/", recursive=True)
    there = local.model_copy(update={"path": Path("s3://fish/photos")})
    check_source(there)
    found = read_source(there, tmp_path / "data")
    own = read_source(local, tmp_path / "data")
    assert found.entries == own.entries
    fetched: list[str] = []
    fetch = remote._fetch

    def count(bucket: Any, key: str, path: Path) -> None:
        fetched.append(key)
        fetch(bucket, key, path)

    monkeypatch.setattr(remote, "_fetch", count)
    assert digest_source(there, tmp_path / "data") == found.source_digest == own.source_digest
    assert fetched == []
    store.rm("fish/photos/amber/i0_frame1.png")
    store.put(str(local.path / "cobalt/i1_frame0.png"), "fish/photos/amber/i0_frame0.png")
    assert digest_source(there, tmp_path / "data") != found.source_digest
    assert fetched == ["fish/photos/amber/i0_frame0.png"]
    assert len(read_source(there, tmp_path / "data").entries) == 5


def test_processes_read_a_bucket_as_the_same_folder_here(tmp_path: Path, store: Any) -> None:
    local = draw(tmp_path / "photos")
    store.put(f"{local.path}/", "fish/photos/", recursive=True)
    own = read_source(local, tmp_path / "data")
    pixels = build_store(own, ImageSettings(size=32), tmp_path / "here").content_hash
    with open_work(ExecutorSettings(workers=2), tmp_path / "state"):
        there = local.model_copy(update={"path": Path("s3://fish/photos")})
        found = read_source(there, tmp_path / "data")
        assert found.entries == own.entries
        assert build_store(found, ImageSettings(size=32), tmp_path / "there").content_hash == pixels


def test_an_interrupted_copy_goes_on(tmp_path: Path, store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    local = draw(tmp_path / "photos")
    store.put(f"{local.path}/", "fish/photos/", recursive=True)
    fetch, fetched = remote._fetch, []

    def stop_at_last(bucket: Any, key: str, path: Path) -> None:
        if key.endswith("i2_frame1.png") and "stopped" not in fetched:
            fetched.append("stopped")
            raise OSError("connection lost")
        fetched.append(key)
        fetch(bucket, key, path)

    monkeypatch.setattr(remote, "_fetch", stop_at_last)
    monkeypatch.setattr(remote, "_WORKERS", 1)
    there = FolderSource(path=Path("s3://fish/photos"))
    with pytest.raises(SourceError, match=r"s3://fish/photos/\S+i2_frame1.png: .*connection lost.*goes on"):
        digest_source(there, tmp_path / "data")
    assert len(read_source(there, tmp_path / "data").entries) == 6
    assert len(fetched) == len(set(fetched)) == 7


@pytest.mark.parametrize("images", [None, Path("s3://fish/set")])
def test_a_table_in_a_bucket_is_read(tmp_path: Path, store: Any, images: Path | None) -> None:
    local = listed(tmp_path / "set", 2)
    store.put(f"{tmp_path / 'set'}/", "fish/set/", recursive=True)
    there = local.model_copy(update={"path": Path("s3://fish/set/labels.csv"), "images": images})
    check_source(there)
    assert digest_source(there, tmp_path / "data") == digest_source(local, tmp_path / "data")


def test_a_bucket_that_is_not_there_is_told(tmp_path: Path, store: Any) -> None:
    for settings in (
        FolderSource(path=Path("s3://absent/photos")),
        CsvSource(path=Path("s3://absent/labels.csv")),
    ):
        with pytest.raises(SourceError, match="s3://absent"):
            check_source(settings)
        with pytest.raises(SourceError, match="s3://absent"):
            digest_source(settings, tmp_path)


def test_a_bucket_that_may_not_be_read_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Refusal(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
            self.send_response(403)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_HEAD = do_GET  # noqa: N815

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Refusal) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        point_to(monkeypatch, f"http://127.0.0.1:{server.server_port}")
        for ask in (check_source, lambda settings: digest_source(settings, tmp_path)):
            with pytest.raises(SourceError, match=r"s3://fish/photos.*credentials") as caught:
                ask(FolderSource(path=Path("s3://fish/photos")))
            assert "hidden" not in str(caught.value)
        server.shutdown()


def test_a_file_that_another_library_does_not_find_is_of_that_file() -> None:
    gone = FileNotFoundError("gone")
    gone.__cause__ = httpx.HTTPStatusError(
        "404", request=httpx.Request("GET", "/"), response=httpx.Response(404)
    )
    assert remote.is_of_file(gone)
