"""Pictures of an object store: each is fetched when it is asked for, and answered as if it lay here."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any

import fsspec
import pytest

from tests.serving.toy import BLACK, GREEN, GREY, RED, make_bundle, paint
from tests.vision.stores import open_store, point_to
from vision.base.errors import ImageError, SourceError
from vision.config.work import ExecutorSettings
from vision.data.sources.remote import connect
from vision.prediction import bucket
from vision.prediction.batch import Batch, BatchModel, run_batch
from vision.prediction.bucket import Bucket, check_output, copy_output
from vision.prediction.listing import open_items, require_sources
from vision.work.current import open_work

pytest.importorskip("moto.server")
pytest.importorskip("s3fs")
pytestmark = pytest.mark.slow


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    with open_store(monkeypatch) as bucket:
        yield bucket


@pytest.fixture
def photos(tmp_path: Path, store: Any) -> Path:
    folder = tmp_path / "photos"
    for name, colour in {"red": RED, "deep/green": GREEN, "grey": GREY, "black": BLACK}.items():
        path = folder / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(paint(colour))
    (folder / "torn.png").write_bytes(paint(RED)[:50])
    for name in ("notes.txt", ".hidden.png", "@eaDir/red.png"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"x")
    for file in folder.rglob("*"):
        if file.is_file():
            store.put_file(str(file), f"fish/photos/{file.relative_to(folder).as_posix()}")
    return folder


def _answer(source: Path, out: Path, executor: ExecutorSettings | None = None) -> bytes:
    bundle = make_bundle()
    with open_work(executor or ExecutorSettings()), open_items([source]) as listing:
        batch = Batch(listing, BatchModel(bundle.root, bundle.digest, "toy"))
        summary, _ = run_batch(batch, out, lambda _done, _total: None)
    assert summary.others == {".txt": 1, "hidden": 2}
    return (out / "predictions.csv").read_bytes()


def test_a_folder_of_a_bucket_is_answered_as_the_same_folder_here(photos: Path, tmp_path: Path) -> None:
    here = _answer(photos, tmp_path / "here")
    assert _answer(Path("s3://fish/photos"), tmp_path / "there") == here
    for executor in (ExecutorSettings(workers=2), ExecutorSettings(engine="dask", workers=1)):
        assert _answer(Path("s3://fish/photos"), tmp_path / executor.engine, executor) == here
    assert here.count(b"\r\n") == 1 + 5
    assert b"torn.png,unreadable" in here


def test_one_picture_is_answered_and_tables_are_to_be_copied(photos: Path, store: Any) -> None:
    with open_items([Path("s3://fish/photos/deep/green.png")]) as listing:
        assert [each.path for each in listing.items] == ["green.png"]
        assert listing.items[0].read() == (photos / "deep/green.png").read_bytes()
        assert listing.sources == ("s3://fish/photos/deep/green.png",)
    with (
        pytest.raises(SourceError, match=r"aws s3 cp s3://fish/list\.csv"),
        open_items([Path("s3://fish/list.csv")]),
    ):
        pass


@pytest.mark.parametrize("source", ["s3://absent/photos", "s3://fish/nothing"])
def test_a_place_that_is_not_there_is_told(store: Any, source: str) -> None:
    with pytest.raises(SourceError, match=source), open_items([Path(source)]):
        pass


@pytest.mark.usefixtures("photos")
def test_a_picture_that_is_gone_is_its_own_fault_and_a_store_that_is_gone_stops_the_batch(
    store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_items([Path("s3://fish/photos")]) as listing:
        item = next(each for each in listing.items if each.path == "red.png")
        store.rm_file("fish/photos/red.png")
        with pytest.raises(ImageError, match="cannot be read"):
            item.read()
        require_sources(listing)
        store.rm("fish/photos", recursive=True)
        with pytest.raises(SourceError, match="is not there any more"):
            require_sources(listing)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    with pytest.raises(SourceError, match="cannot be read"):
        Bucket("s3://fish/elsewhere").read("red.png")


class _Faulty(ThreadingHTTPServer):
    """A store that answers the first `faults` requests as `fault` says, then with a picture."""

    daemon_threads = True

    def __init__(self, fault: str, faults: int) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.fault, self.faults, self.ended = fault, faults, Event()


class _Answer(BaseHTTPRequestHandler):
    server: _Faulty

    def do_GET(self) -> None:
        self.server.faults -= 1
        status, _, code = ("200 " if self.server.faults < 0 else self.server.fault).partition(" ")
        if status == "silent":
            self.server.ended.wait(10)
        if status.isdigit():
            body = f"<Error><Code>{code}</Code><Message>told</Message></Error>".encode() if code else b"red"
            self.send_response(int(status))
            self.send_header("Content-Length", str(len(body) + (code == "cut")))
            self.end_headers()
            self.wfile.write(body if self.command == "GET" else b"")

    do_HEAD = do_GET  # noqa: N815

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def faulty(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, int], None]]:
    servers: list[_Faulty] = []

    def start(fault: str, faults: int) -> None:
        servers.append(_Faulty(fault, faults))
        Thread(target=servers[0].serve_forever, args=(0.01,), daemon=True).start()
        point_to(monkeypatch, f"http://127.0.0.1:{servers[0].server_port}")

    yield start
    servers[0].ended.set()
    servers[0].shutdown()
    servers[0].server_close()


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("503 SlowDown", SourceError),
        ("503 ServiceUnavailable", SourceError),
        ("429 TooManyRequests", SourceError),
        ("500 InternalError", SourceError),
        ("400 RequestTimeout", SourceError),
        ("400 ExpiredToken", SourceError),
        ("200 cut", SourceError),
        ("closed", SourceError),
        ("silent", SourceError),
        ("404 NoSuchKey", ImageError),
        ("403 AccessDenied", ImageError),
    ],
)
def test_only_what_the_store_says_of_a_file_is_that_file_s_fault(
    fault: str, error: type[Exception], faulty: Callable[[str, int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")  # of botocore
    faulty(fault, 1_000)
    kind = fsspec.get_filesystem_class("s3")
    monkeypatch.setattr(kind, "retries", 1)
    monkeypatch.setattr(kind, "read_timeout", 0.2)
    with pytest.raises(error, match="cannot be read") as caught:
        Bucket("s3://fish/photos").read("red.png")
    if error is SourceError:
        assert "s3://fish/photos/red.png" in str(caught.value)
        assert "the same command again: it goes on" in str(caught.value)


@pytest.mark.parametrize("fault", ["503 SlowDown", "closed"])
def test_a_passing_fault_of_a_store_is_waited_for(
    fault: str, faulty: Callable[[str, int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("botocore.retryhandler.random.random", lambda: 0.0)  # the share of a wait
    faulty(fault, 2)
    assert Bucket("s3://fish/photos").read("red.png") == b"red"


def test_a_store_that_is_busy_ends_a_batch_which_goes_on_when_it_answers(
    photos: Path, tmp_path: Path, store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Busy:
        def __getattr__(self, name: str) -> Any:
            return getattr(store, name)

        def cat_file(self, key: str) -> bytes:
            if key.endswith("red.png"):
                raise OSError(16, "Please reduce your request rate.")
            return bytes(store.cat_file(key))

    with monkeypatch.context() as patch:
        patch.setattr(bucket, "connect", lambda url: (Busy(), connect(url)[1]))
        with pytest.raises(SourceError, match=r"photos/red\.png: cannot be read: .*request rate"):
            _answer(Path("s3://fish/photos"), tmp_path / "there")
    assert _answer(Path("s3://fish/photos"), tmp_path / "there") == _answer(photos, tmp_path / "here")


def test_answers_go_to_a_new_folder_of_a_bucket_that_may_be_written(store: Any, tmp_path: Path) -> None:
    (tmp_path / "out" / "heat_maps").mkdir(parents=True)
    (tmp_path / "out" / "predictions.csv").write_bytes(b"path\r\n")
    (tmp_path / "out" / "heat_maps" / "a.jpg").write_bytes(os.urandom(9))
    check_output("s3://fish/answers")
    copy_output(tmp_path / "out", "s3://fish/answers")
    assert store.cat_file("fish/answers/predictions.csv") == b"path\r\n"
    assert sorted(store.find("fish")) == ["fish/answers/heat_maps/a.jpg", "fish/answers/predictions.csv"]
    with pytest.raises(SourceError, match="is not empty"):
        check_output("s3://fish/answers")
    with pytest.raises(SourceError, match="s3://absent/answers: cannot be written"):
        check_output("s3://absent/answers")
    with pytest.raises(SourceError, match="are whole in"):
        copy_output(tmp_path / "out", "s3://absent/answers")
