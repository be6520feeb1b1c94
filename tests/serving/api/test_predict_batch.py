"""POST /predict_batch: a row a file in the archive's order, as /predict answers it."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import stat
import time
import tracemalloc
import zipfile
from collections.abc import AsyncGenerator, Iterator
from contextlib import AsyncExitStack, closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient
from starlette.types import Message

from serving.api.answering import batches
from serving.api.answering.answers import Question
from serving.api.answering.batches import Batch, answer_batch, open_archive
from serving.api.answering.state import ServiceState
from serving.api.endpoints.predict_batch import BatchResponse
from serving.api.metrics import ServiceMetrics
from serving.api.problems import ProblemError
from serving.api.settings import ServiceSettings
from serving.log.prediction_log import PredictionLog
from tests.serving.api.client import (
    WITH_KEY,
    Response,
    check_problem,
    logged_toy,
    pack,
    predict,
    read_metric,
    serve,
)
from tests.serving.toy import BLACK, BLUE, GREY, RED, make_answerer, make_bomb, make_bundle, paint
from tests.vision.training.nets.toy import KERAS_WARNINGS

pytestmark = [pytest.mark.slow, KERAS_WARNINGS]
TOLD = ("decision", "class_name", "confidence", "top_k", "unknown", "reasons")


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    with serve(ServiceSettings(max_batch_files=50, max_batch_unpacked_bytes=20_000_000)) as client:
        yield client


def send(client: TestClient, archive: bytes, query: str = "", accept: str = "*/*") -> Response:
    files = {"archive": ("photos.zip", archive, "application/zip")}
    return client.post(f"/predict_batch{query}", files=files, headers={**WITH_KEY, "accept": accept})


def rows_of(response: Response) -> list[dict[str, Any]]:
    assert response.status_code == 200, response.text
    assert response.headers["content-type"].startswith("application/x-ndjson")
    return [json.loads(line) for line in response.text.splitlines()]


def make_pictures(number: int) -> dict[str, bytes]:
    """Pictures of noise, whose order in the archive is not that of their names."""
    rng, files = np.random.default_rng(3), {}
    for place in range(number):
        buffer = io.BytesIO()
        noise = rng.integers(0, 256, (40, 50, 3), np.uint8) // (1 + rng.integers(0, 4, 3, np.uint8))
        Image.fromarray(noise.astype(np.uint8)).save(buffer, "PNG")
        files[f"{97 * place % 100:02}/{place}.png"] = buffer.getvalue()
    return files


def test_every_picture_is_answered_as_predict_does_in_the_order_of_the_archive(client: TestClient) -> None:
    pictures = make_pictures(20) | {"black.png": paint(BLACK), "grey.png": paint(GREY)}
    rows = rows_of(send(client, pack(pictures)))
    assert [each["file"] for each in rows] == list(pictures)
    for row, picture in zip(rows, pictures.values(), strict=True):
        alone = predict(client, picture).json()
        assert {name: row["answer"][name] for name in TOLD} == {name: alone[name] for name in TOLD}
    assert {row["answer"]["decision"] for row in rows} >= {"unknown", "review"}


def test_as_csv_it_has_the_columns_of_predict_and_no_formulas(client: TestClient) -> None:
    archive = pack(
        {"=1+1.png": paint(RED), "März.png": paint(BLACK), "blue.png": paint(BLUE), "notes.txt": b"words"}
    )
    archive = archive.replace(b"\x14\0\0\x08", b"\x14\0\0\0")  # without the flag of UTF-8, as `zip -r` packs
    for answer in (
        send(client, archive, "?format=csv"),
        send(client, archive, accept="text/csv"),
    ):
        assert answer.headers["content-type"].startswith("text/csv")
        red, black, blue, notes = csv.DictReader(io.StringIO(answer.text))
        assert (red["path"], red["decision"], red["class"]) == ("./=1+1.png", "accept", "red")
        assert (black["path"], black["decision"], black["class"]) == ("März.png", "unknown", "")
        assert black["nearest"]
        assert (list(blue)[-1], blue["caution"]) == ("caution", "Do not rely on blue (2 of 9 right on test).")
        assert red["caution"] == notes["caution"] == ""
        assert (red["set"], black["set"]) == ("red", "")
        assert (notes["decision"], len(red["prediction_id"])) == ("unreadable", 32)
        assert "not a picture but text" in notes["reason"]
    check_problem(send(client, archive, "?format=xml"), 422, "query")


@pytest.mark.parametrize(
    ("query", "groups"),
    [
        ("", [f"fish{number:02}" for number in range(8) for _ in range(3)]),
        ("&group_by=folder", [f"day {number % 2}" for number in range(8) for _ in range(3)]),
        ("&group_by=none", [None] * 24),
    ],
)
def test_the_groups_are_told_and_logged(tmp_path: Path, query: str, groups: list[str | None]) -> None:
    names = [f"day {fish % 2}/Fish{fish:02}_frame{frame}.png" for fish in range(8) for frame in range(3)]
    archive = pack(dict.fromkeys(names, paint(RED)))
    with serve(load=logged_toy(tmp_path / "log.sqlite")) as client:
        rows = rows_of(send(client, archive, f"?format=ndjson{query}"))
        told = list(csv.DictReader(io.StringIO(send(client, archive, f"?format=csv{query}").text)))
    assert [each.get("group") for each in rows] == groups
    assert [each["group"] or None for each in told] == groups
    with closing(PredictionLog(f"sqlite:///{tmp_path / 'log.sqlite'}")) as log:
        assert {each.group for each in log.read_newest(make_bundle().digest, 99)} == set(groups)


def test_what_cannot_be_answered_is_a_row_with_its_reason_and_harms_no_other(client: TestClient) -> None:
    link = zipfile.ZipInfo("link.png")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr(link, "/etc/passwd")
        packed.writestr("inner.zip", pack({"a.png": paint(RED)}))
        packed.writestr("../out.png", paint(RED))
        packed.writestr("/abs.png", paint(RED))
        packed.writestr("bomb.png", make_bomb())
        packed.writestr("cut.png", paint(RED)[:60])
        packed.writestr("large.png", b"\x00" * 6_000_000)
        packed.writestr("lzma.png", paint(RED), zipfile.ZIP_LZMA)
        packed.writestr("__MACOSX/._red.png", b"x")
        packed.writestr("folder/", b"")
        packed.writestr("red.png", paint(RED))
    damaged = bytearray(buffer.getvalue())
    place = damaged.index(b"cut.png") + len("cut.png") + 5
    damaged[place : place + 3] = b"\xff\xff\xff"
    *faulty, red = rows_of(send(client, bytes(damaged)))
    said = {each["file"]: each["problem"]["detail"] for each in faulty}
    assert list(said) == [
        "link.png", "inner.zip", "../out.png", "/abs.png", "bomb.png", "cut.png", "large.png", "lzma.png"
    ]  # fmt: skip
    for name, word in (("link.png", "is a link"), ("../out.png", "leads out"), ("/abs.png", "leads out")):
        assert word in said[name]
    assert "megapixels" in said["bomb.png"]
    assert "unpacked" in said["cut.png"]
    assert "6.0 MB" in said["large.png"]
    assert red["answer"]["class_name"] == "red"


def lie(archive: bytes, entries: int) -> bytes:
    """The archive with another number of entries in its end, as read without a comment."""
    return archive[:-14] + entries.to_bytes(2, "little") * 2 + archive[-10:]


@pytest.mark.parametrize(
    ("archive", "said"),
    [
        (b"", "no ZIP archive"),
        (paint(RED), "no ZIP archive"),
        (pack({"a.png": paint(RED)})[:-30], "no ZIP archive"),
        (pack({"a.png": paint(RED)}).replace(b"PK\1\2", b"PK\1\3"), "cannot be read"),
        (pack({f"{number}.png": b"" for number in range(51)}), "51 files"),
        (lie(pack({f"{number}.png": b"" for number in range(51)}), 1), "51 files"),
        (pack({f"{number}.bin": bytes(4_000_000) for number in range(6)}), "24 MB"),
        (pack({"n" * 40_000 + str(number): b"" for number in range(2)}), "2 files"),
    ],
)
def test_an_archive_beyond_the_bounds_is_refused_before_it_is_unpacked(
    client: TestClient, archive: bytes, said: str
) -> None:
    assert said in check_problem(send(client, archive), 422, "archive")["arrived"]


def test_a_hundred_thousand_entries_are_refused_without_reading_their_names() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as packed:
        for number in range(100_000):
            packed.writestr(f"{number}.png", b"")
    tracemalloc.start()
    with pytest.raises(ProblemError, match="100000 files"):
        open_archive(buffer, ServiceSettings())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000


def test_a_form_without_one_archive_is_422_and_one_too_large_413(client: TestClient) -> None:
    check_problem(predict_there(client, {"image": ("a.png", paint(RED))}), 422, "form")
    check_problem(predict_there(client, {"archive": (None, "http://127.0.0.1/")}), 422, "form")
    with serve(ServiceSettings(max_batch_bytes=2_000)) as small:
        check_problem(send(small, pack({"a.bin": np.random.default_rng(0).bytes(3_000)})), 413, "too-large")


def predict_there(client: TestClient, files: Any) -> Response:
    return client.post("/predict_batch", files=files, headers=WITH_KEY)


def test_rows_are_counted_and_logged_and_the_place_is_free_afterwards(tmp_path: Path) -> None:
    with serve(ServiceSettings(max_in_flight=1), logged_toy(tmp_path / "log.sqlite")) as client:
        for _ in range(3):
            first, _ = rows_of(send(client, pack({"a.png": paint(RED), "b.png": b"no"})))
        assert read_metric(client, 'taxon_decisions_total{decision="accept"}') == 3
        files = {"prediction_id": (None, first["answer"]["prediction_id"]), "class_name": (None, "green")}
        assert client.post("/corrections", files=files, headers=WITH_KEY).status_code == 200
    with closing(PredictionLog(f"sqlite:///{tmp_path / 'log.sqlite'}")) as log:
        logged = log.read_newest(first["answer"]["model"]["digest"], 9)
    assert {(each.client, each.file_name) for each in logged} == {("team", "a.png")}


@pytest.mark.parametrize("asgi", ["2.3", "2.4"])
@pytest.mark.parametrize(("making", "taking", "num_rows"), [(0.3, 0.0, 3), (0.0, 0.3, 1)])
def test_rows_may_take_long_to_be_made_but_not_long_to_be_read(
    making: float, taking: float, num_rows: int, asgi: str
) -> None:
    sent: list[bytes] = []
    held = AsyncExitStack()
    held.callback(sent.append, b"freed")

    async def make_rows() -> AsyncGenerator[str]:
        for _ in range(3):
            await asyncio.sleep(making)
            yield "row"

    async def take(message: Message) -> None:
        if message.get("body"):
            await asyncio.sleep(taking)
            sent.append(message["body"])

    async def receive() -> Message:
        await asyncio.sleep(60)
        return {"type": "http.disconnect"}

    answer = BatchResponse(make_rows(), "text/csv", held, seconds=0.5)
    asyncio.run(answer({"type": "http", "asgi": {"spec_version": asgi}}, receive, take))
    assert sent == [b"row"] * num_rows + [b"freed"]


def test_a_row_is_not_kept_back_until_the_next_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    answer_file = batches._answer_file

    def answer_slowly(*asked: Any) -> Any:
        time.sleep(0.5 if asked[2].path == "slow.png" else 0.0)
        return answer_file(*asked)

    async def list_files() -> list[str]:
        settings = ServiceSettings(threads=1)
        answerer = make_answerer(settings, ServiceMetrics())
        state = ServiceState(settings, ServiceMetrics(), lambda *_: answerer)
        batch = Batch(archive, Question(b"", "", "team"))
        return ["" if each is None else each[0].file async for each in answer_batch(state, answerer, batch)]

    monkeypatch.setattr(batches, "_answer_file", answer_slowly)
    with open_archive(
        io.BytesIO(pack({"a.png": paint(RED), "slow.png": paint(RED)})), ServiceSettings()
    ) as archive:
        told = asyncio.run(list_files())
    assert told[told.index("a.png") + 1] == ""
    assert [each for each in told if each] == ["a.png", "slow.png"]
