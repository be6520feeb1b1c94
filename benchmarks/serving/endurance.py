"""What `benchmarks.serving` measures beyond single answers: large photographs, archives, minutes of load."""

from __future__ import annotations

import http.client
import io
import json
import threading
import time
import zipfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import psutil
from PIL import Image

from benchmarks.champion import Champion, own_process
from benchmarks.serving.load_client import HOST, Block, Target, ask_paced
from serving.api.answering.answers import Question
from serving.api.answering.loading import load_answerer
from serving.api.answering.pinned import PinnedModel
from serving.api.metrics import ServiceMetrics
from serving.api.settings import ServiceSettings
from vision.config.data import Resize
from vision.data.images import decode_image

LARGE = 4_000, 3_000
SMALL = 320, 240
_BOUNDARY = "archive-51c2"


@dataclass(frozen=True)
class Timed:
    """Pictures answered: how many, in how many seconds, by how many of CPU of who answered."""

    num: int
    seconds: float
    cpu_seconds: float

    @property
    def rate(self) -> float:
        """Pictures a second."""
        return self.num / self.seconds


@dataclass(frozen=True)
class Endurance:
    """What was measured.

    Attributes:
        decoded: CPU milliseconds of a 12-megapixel JPEG, as the service decodes it and in full.
        archive: a ZIP archive answered by the service.
        engine: the same pictures answered without HTTP, archive and log, before and after it.
        soak: minutes of load at a share of what the service can do.
        wanted_rate: of the soak, answers a second.
        memory: megabytes of all processes every few seconds of it.
    """

    decoded: Sequence[tuple[float, float]]
    archive: Timed
    engine: Sequence[Timed]
    soak: Block
    wanted_rate: float
    memory: Sequence[float]

    @property
    def decode_ratio(self) -> float:
        """Time of the service's decoder as a share of that of a full one."""
        return median(ours for ours, _ in self.decoded) / median(full for _, full in self.decoded)

    @property
    def archive_ratio(self) -> float:
        """The archive's pictures a second as a share of the engine's."""
        return self.archive.rate * len(self.engine) / sum(each.rate for each in self.engine)

    @property
    def archive_cpu_ratio(self) -> float:
        """CPU of the engine for a picture as a share of the service's."""
        engine = sum(each.cpu_seconds for each in self.engine) / sum(each.num for each in self.engine)
        return engine * self.archive.num / self.archive.cpu_seconds

    @property
    def growth(self) -> float:
        """Memory of the last third of the soak as a multiple of that of the second."""
        third = max(1, len(self.memory) // 3)
        return median(self.memory[-third:]) / median(self.memory[third : 2 * third] or self.memory)


def time_decoders(champion: Champion, image: bytes, count: int) -> list[tuple[float, float]]:
    """CPU milliseconds of a large photograph, decoded at a reduced scale and in full, in turn."""
    size, resize = champion.contract.image_size, Resize(champion.contract.resize)
    buffer = io.BytesIO()
    Image.open(io.BytesIO(image)).resize(LARGE, Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=92)
    large = buffer.getvalue()

    def decode_fully() -> None:
        Image.open(io.BytesIO(large)).convert("RGB").resize((size, size), Image.Resampling.BILINEAR)

    def decode_as_served() -> None:
        decode_image(large, size=size, resize=resize)

    return [(_cpu_ms(decode_as_served), _cpu_ms(decode_fully)) for _ in range(count)]


def _cpu_ms(work: Callable[[], None]) -> float:
    begun = time.process_time()
    work()
    return (time.process_time() - begun) * 1000.0


def pack_pictures(images: Sequence[bytes], number: int) -> bytes:
    """A ZIP archive of so many JPEGs of 320 x 240 pixels."""
    small = []
    for each in images:
        buffer = io.BytesIO()
        Image.open(io.BytesIO(each)).resize(SMALL).save(buffer, "JPEG", quality=80)
        small.append(buffer.getvalue())
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for i in range(number):
            archive.writestr(f"{i:05}.jpg", small[i % len(small)])
    return packed.getvalue()


def time_engine(root: Path, pin: PinnedModel, archive: bytes, number: int) -> Timed:
    """The archive's first pictures, answered by the service's code with its threads alone."""
    settings = ServiceSettings()
    answerer = load_answerer(root, pin, settings, ServiceMetrics())
    with zipfile.ZipFile(io.BytesIO(archive)) as packed:
        questions = [Question(packed.read(each), each, "engine") for each in packed.namelist()[:number]]
    with ThreadPoolExecutor(settings.threads) as pool:
        list(pool.map(answerer.answer, questions[: settings.threads]))
        begun, cpu = time.perf_counter(), time.process_time()
        list(pool.map(answerer.answer, questions))
        return Timed(number, time.perf_counter() - begun, time.process_time() - cpu)


def time_archive(target: Target, pid: int, archive: bytes) -> Timed:
    """The archive sent, and its rows read as they come.

    Raises:
        SystemExit: a picture of it was not answered.
    """
    head = f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="archive"; filename="a.zip"\r\n\r\n'
    body = head.encode() + archive + f"\r\n--{_BOUNDARY}--\r\n".encode()
    headers = {"Content-Type": f"multipart/form-data; boundary={_BOUNDARY}", "X-API-Key": target.key}
    begun, cpu = time.perf_counter(), cpu_seconds_of(pid)
    with closing(http.client.HTTPConnection(HOST, target.port, timeout=60)) as line:
        line.request("POST", "/predict_batch", body, headers)
        rows = [json.loads(row) for row in line.getresponse()]
    seconds, spent = time.perf_counter() - begun, cpu_seconds_of(pid) - cpu
    if not rows or not all("answer" in row for row in rows):
        raise SystemExit(f"/predict_batch did not answer every picture: {rows[:1]}")
    return Timed(len(rows), seconds, spent)


def cpu_seconds_of(pid: int) -> float:
    """CPU seconds of a process and all below it."""
    root = psutil.Process(pid)
    times = [each.cpu_times() for each in (root, *root.children(recursive=True))]
    return float(sum(each.user + each.system for each in times))


def soak(
    target: Target,
    images: Sequence[bytes],
    rate: float,
    seconds: float,
    measure: Callable[[], float],
) -> tuple[Block, list[float]]:
    """Minutes of load at a rate by 16 clients, and the memory meanwhile, by `measure`."""
    memory, ends = list[float](), threading.Event()

    def watch() -> None:
        while not ends.wait(min(5.0, seconds / 12)):
            memory.append(measure())

    watcher = threading.Thread(target=watch)
    with own_process() as client:
        asked = client.submit(ask_paced, target, images, 16, seconds, rate)
        watcher.start()
        try:
            block = asked.result()
        finally:
            ends.set()
            watcher.join()
    return block, memory


def endure(
    champion: Champion,
    target: Target,
    images: Sequence[bytes],
    sizes: tuple[int, float],
    measure: tuple[int, Callable[[int], float], float],
) -> Endurance:
    """All of it.

    Args:
        champion: that is served.
        target: how to ask the service.
        images: JPEGs.
        sizes: pictures of the archive, and seconds of the soak.
        measure: the supervisor's process id, what tells its memory, and the answers a second of the soak.
    """
    number, seconds = sizes
    pid, memory_of, rate = measure
    archive = pack_pictures(images, number)
    contract = champion.contract
    pin = PinnedModel(name=contract.name, version=champion.version, digest=champion.digest, tag="none:1")
    with own_process() as process:
        decoded = process.submit(time_decoders, champion, images[0], 15).result()
    engine = []
    with own_process() as process:
        engine.append(process.submit(time_engine, champion.bundle, pin, archive, number // 4).result())
        batch = time_archive(target, pid, archive)
        engine.append(process.submit(time_engine, champion.bundle, pin, archive, number // 4).result())
    block, memory = soak(target, images, rate, seconds, lambda: memory_of(pid))
    return Endurance(decoded, batch, engine, block, rate, memory)
