"""The service of a trained champion, measured: ready, memory, latency, throughput against `model.predict`.

    python -m benchmarks.serving --output docs/serving_benchmarks.md

measures the champion of `--config` in the project that TAXON_STATE names, so after `make train`; `--train`
trains one in a project of its own first. About 9 minutes on two idle cores, 5 more with `--train`; `--quick`
is short and proves only that it works. The services run beside the project's own, on free ports, with state
and log in a temporary folder. On a busy machine no goal on time means anything: say what else it was doing.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import psutil

from benchmarks.champion import Champion, find_champion, train_champion
from benchmarks.graph_alone import Parts, time_alone
from benchmarks.images import make_images
from benchmarks.load_client import Block, Target, ask_in_turn, ask_together
from benchmarks.pages import page_path, write_page
from benchmarks.services import (
    BARE,
    RIVALS,
    RivalThreads,
    aim,
    get,
    running_rival,
    running_service,
    running_without_log,
)
from benchmarks.serving_page import (
    ALONE,
    FRESH,
    KEPT,
    SILENT,
    Figures,
    Imports,
    Latencies,
    Logged,
    Memory,
    Served,
    Start,
    Throughput,
    render,
)
from benchmarks.surroundings import describe_surroundings
from serving.api.settings import PREFIX
from serving.log.prediction_log import PredictionLog
from serving.log.url import resolve_log_url
from serving.runtime.bento import build_in_store
from serving.runtime.running import BuiltBento, RunningService, ServiceFolder
from vision.base.errors import TaxonError
from vision.base.home import STATE_VARIABLE

WARM_UP_SECONDS, PAUSE_SECONDS = 5.0, 1.0
"""Of load whose answers are not counted: on a service that has just been started, and in every block."""

TRAINING_LIBRARIES = ("tensorflow", "keras", "sklearn", "pandas", "scipy", "matplotlib", "zenml", "evidently")
PROFILE_IMPORTS = "PYTHONPROFILEIMPORTTIME"
_IMPORTED = re.compile(r"^import time:\s*\d+ \|\s*\d+ \|\s*(\w+)", re.MULTILINE)


@dataclass(frozen=True)
class Sizes:
    """How much is measured.

    Attributes:
        starts: of the service.
        rounds: of blocks of latency.
        requests: in each of these blocks.
        pairs: of blocks of throughput.
        seconds: of each of these blocks.
        load_seconds: of load before memory is measured.
        clients: at once.
    """

    starts: int = 7
    rounds: int = 30
    requests: int = 40
    pairs: int = 10
    seconds: float = 8.0
    load_seconds: float = 20.0
    clients: int = 16


QUICK = Sizes(starts=2, rounds=4, requests=20, pairs=2, seconds=3.0, load_seconds=3.0)


# --- starts, memory, imports ----------------------------------------------------------------------------


def time_starts(folder: ServiceFolder, bento: BuiltBento, count: int) -> list[Start]:
    """So many starts, each stopped again."""
    starts = []
    for _ in range(count):
        begun = time.perf_counter()
        with running_service(folder, bento) as service:
            seconds = time.perf_counter() - begun
            times = [process.cpu_times() for process in list_tree(service.pid)]
        starts.append(Start(seconds, sum(each.user + each.system for each in times)))
        _say(f"ready after {seconds:.1f} s, {starts[-1].cpu_seconds:.1f} s of CPU")
    return starts


def list_tree(pid: int) -> list[psutil.Process]:
    """A process and all below it."""
    root = psutil.Process(pid)
    return [root, *root.children(recursive=True)]


def measure_memory(what: str, pid: int) -> Memory:
    """PSS, RSS and what a process tree would take by itself, now."""
    tree = [process.memory_maps() for process in list_tree(pid)]
    parts = [part for process in tree for part in process]
    shared: dict[str, int] = {}
    for part in parts:  # one for each file and process
        shared[part.path] = max(shared.get(part.path, 0), part.shared_clean + part.shared_dirty)
    private = sum(part.private_clean + part.private_dirty for part in parts)
    pss, rss = (sum(getattr(part, name) for part in parts) for name in ("pss", "rss"))
    memory = Memory(what, len(tree), pss / 1e6, (private + sum(shared.values())) / 1e6, rss / 1e6)
    _say(f"{what}: PSS {memory.pss:.0f} MB, by itself {memory.alone:.0f} MB, RSS {memory.rss:.0f} MB")
    return memory


def list_imports(folder: ServiceFolder, bento: BuiltBento, image: bytes) -> tuple[str, ...]:
    """Every top-level package that a service's processes import until one answer with a heat map is given.

    Raises:
        SystemExit: the worker named none, so that nothing can be said.
    """
    os.environ[PROFILE_IMPORTS] = "1"
    try:
        with running_service(folder, bento) as service:
            target = replace(aim(folder, service), path="/predict?explain=true")
            answered = ask_in_turn(target, [image], 1, keep_alive=True)
    finally:
        del os.environ[PROFILE_IMPORTS]
    output = folder.logs / service.output
    packages = read_imports(output.read_text(encoding="utf-8", errors="replace"))
    if "ai_edge_litert" not in packages or not answered.latencies_ms:
        raise SystemExit(f"The worker answered nothing or named no imports; see {output}.")
    return packages


def read_imports(output: str) -> tuple[str, ...]:
    """The top-level packages in what Python says under PYTHONPROFILEIMPORTTIME, sorted."""
    return tuple(sorted(set(_IMPORTED.findall(output))))


def find_mapped(pid: int) -> tuple[str, ...]:
    """The training libraries of which a file is mapped into a process of the tree."""
    paths = {mapped.path for process in list_tree(pid) for mapped in process.memory_maps()}
    found = (name for name in TRAINING_LIBRARIES if any(f"/site-packages/{name}/" in path for path in paths))
    return tuple(found)


# --- latency and throughput -----------------------------------------------------------------------------


@contextmanager
def own_process() -> Iterator[ProcessPoolExecutor]:
    """A process of its own that does one thing at a time."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield pool


def measure_latencies(
    champion: Champion, target: Target, silent: Target, images: Sequence[bytes], sizes: Sizes
) -> Latencies:
    """Blocks of every kind, round by round; each round begins with another kind."""
    alone: list[list[Parts]] = []
    served: dict[str, list[Block]] = {KEPT: [], FRESH: [], SILENT: []}
    with own_process() as client, own_process() as graph:

        def compute() -> None:
            asked = graph.submit(time_alone, champion.bundle, champion.digest, images, sizes.requests)
            alone.append(asked.result())

        def ask(kind: str) -> Callable[[], None]:
            def ask_now() -> None:
                whom = silent if kind == SILENT else target
                asked = client.submit(ask_in_turn, whom, images, sizes.requests, keep_alive=kind != FRESH)
                served[kind].append(asked.result())

            return ask_now

        kinds = {ALONE: compute, KEPT: ask(KEPT), SILENT: ask(SILENT), FRESH: ask(FRESH)}
        blocks = list(kinds.values())
        for number in range(sizes.rounds):
            for i in range(len(blocks)):
                blocks[(number + i) % len(blocks)]()
    latencies = Latencies(alone, served)
    for kind in kinds:
        low, high = np.quantile(latencies.pooled(kind), [0.5, 0.95])
        _say(f"{kind}: p50 {low:.2f} ms, p95 {high:.2f} ms")
    return latencies


def pick_rival(
    champion: Champion, work: Path, images: Sequence[bytes], sizes: Sizes
) -> tuple[RivalThreads, dict[str, Block]]:
    """The rival's choice of threads that answers most, and a block of each."""
    tried: dict[str, Block] = {}
    with own_process() as client:
        for threads in RIVALS:
            with running_rival(champion, work, threads) as (rival, _):
                asked = client.submit(
                    ask_together, rival, images, sizes.clients, sizes.seconds, WARM_UP_SECONDS
                )
                tried[threads.name] = asked.result()
            _say(f"FastAPI, {threads.name}: {tried[threads.name].rate:.1f} answers a second")
    return max(RIVALS, key=lambda threads: tried[threads.name].rate), tried


def measure_throughput(
    target: Target, rival: Target, images: Sequence[bytes], sizes: Sizes, tried: Mapping[str, Block]
) -> Throughput:
    """Alternating blocks; who begins alternates too. Before the first ones each is warmed up."""
    blocks: dict[Target, list[Block]] = {target: [], rival: []}
    with own_process() as client:
        for number in range(sizes.pairs):
            for whom in (target, rival) if number % 2 == 0 else (rival, target):
                ignored = PAUSE_SECONDS if blocks[whom] else WARM_UP_SECONDS
                asked = client.submit(ask_together, whom, images, sizes.clients, sizes.seconds, ignored)
                block = asked.result()
                blocks[whom].append(block)
                _say(f"{whom.name}: {block.rate:.1f} answers a second")
    return Throughput(sizes.clients, tried, blocks[target], blocks[rival])


def read_log(folder: ServiceFolder, service: RunningService, num_answers: int) -> Logged:
    """What is in the prediction log, and what the service counts as lost.

    Raises:
        SystemExit: /metrics does not tell.
    """
    url = resolve_log_url(service.serve.log.url, folder.home)
    with closing(PredictionLog(url, create=False)) as log:
        num_entries = log.count(service.bento.model.digest)
    _, metrics = get(aim(folder, service), "/metrics")
    lost = re.search(r"^taxon_log_entries_lost_total (\S+)$", metrics, re.MULTILINE)
    if lost is None:
        raise SystemExit("The service's /metrics does not tell how many log entries were lost.")
    return Logged(num_answers, num_entries, round(float(lost.group(1))))


# --- all ------------------------------------------------------------------------------------------------


def measure(champion: Champion, work: Path, sizes: Sizes) -> Figures:
    """Every stage, with no more services there than it needs."""
    begun, load_before, images = time.monotonic(), os.getloadavg()[0], make_images()
    folder, silent_folder = ServiceFolder(work / "served"), ServiceFolder(work / "without_log")
    bento, silent_bento = (
        build_in_store(each, champion.bundle, champion.digest, champion.version)
        for each in (folder, silent_folder)
    )
    starts = time_starts(folder, bento, sizes.starts)
    packages = list_imports(silent_folder, silent_bento, images[0])
    with running_service(folder, bento) as service:
        target = aim(folder, service)
        with own_process() as client:
            warm = client.submit(ask_in_turn, target, images, len(images), keep_alive=True).result()
            memories = [measure_memory("ready and warm", service.pid)]
            load = client.submit(ask_together, target, images, sizes.clients, sizes.load_seconds).result()
        told = f"after {sum(load.statuses.values())} requests of {sizes.clients} clients at once"
        memories.append(measure_memory(told, service.pid))
        with running_without_log(silent_folder, silent_bento) as silent:
            latencies = measure_latencies(champion, target, silent, images, sizes)
        threads, tried = pick_rival(champion, work, images, sizes)
        with running_rival(champion, work, threads) as (rival, pid):
            throughput = measure_throughput(target, rival, images, sizes, tried)
            rival_memory = measure_memory("the rival, at the end", pid)
        with running_rival(champion, work, BARE) as (rival, _):
            bare = measure_throughput(target, rival, images, sizes, {})
        asked = [warm, load, *latencies.served[KEPT], *latencies.served[FRESH]]
        asked += [*throughput.product, *bare.product]
        statuses = {
            "Taxon": add_up(asked),
            "Taxon without log": add_up(latencies.served[SILENT]),
            "FastAPI": add_up([*tried.values(), *throughput.rival]),
            "FastAPI + LiteRT": add_up(bare.rival),
        }
        memories.append(
            measure_memory(f"at the end, after {statuses['Taxon'].total()} requests", service.pid)
        )
        logged = read_log(folder, service, statuses["Taxon"][200])
        mapped = find_mapped(service.pid)
    ours, its = collect_classes(asked), collect_classes(throughput.rival)
    return Figures(
        surroundings=describe_surroundings(work, load_before, (time.monotonic() - begun) / 60),
        served=describe_served(champion, images, ours, its),
        starts=starts,
        imports=Imports(
            len(packages), tuple(name for name in TRAINING_LIBRARIES if name in packages), mapped
        ),
        memories=memories,
        rival_memory=rival_memory,
        latencies=latencies,
        throughput=throughput,
        bare=bare,
        logged=logged,
        statuses=statuses,
    )


def add_up(blocks: Sequence[Block]) -> Counter[int]:
    """How many requests of all blocks ended with which status."""
    total: Counter[int] = Counter()
    for block in blocks:
        total += block.statuses
    return total


def collect_classes(blocks: Sequence[Block]) -> dict[int, set[str]]:
    """The classes that each image was given, by its number, in all blocks."""
    found: dict[int, set[str]] = {}
    for block in blocks:
        for number, names in block.classes.items():
            found.setdefault(number, set()).update(names)
    return found


def describe_served(
    champion: Champion, images: Sequence[bytes], ours: Mapping[int, set[str]], its: Mapping[int, set[str]]
) -> Served:
    """The champion and the images, and how its and the rival's answers agree."""
    contract = champion.contract
    return Served(
        name=contract.name,
        version=champion.version,
        digest=champion.digest,
        candidate=contract.candidate,
        precision=contract.precision.value,
        image_size=contract.image_size,
        image_kilobytes=sum(map(len, images)) / len(images) / 1000,
        num_images=len(images),
        num_equal=sum(len(names) == 1 and its.get(number) == names for number, names in ours.items()),
        num_fickle=sum(len(names) > 1 for found in (ours, its) for names in found.values()),
    )


def _say(text: str) -> None:
    print(text, flush=True)


def main() -> int:
    """Measure and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config", default="fast.yaml", help="whose champion (default fast.yaml)")
    parser.add_argument("--train", action="store_true", help="train one first, in a project of its own")
    parser.add_argument("--quick", action="store_true", help="small: only to see that it works")
    parser.add_argument("--output", type=page_path, help="Markdown; default: printed alone")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-serving-") as name:
        work = Path(name).resolve()
        if options.train:
            os.environ[STATE_VARIABLE] = str(work / "trained")
            train_champion(options.config, work / "trained")
        try:
            with own_process() as process:
                champion = process.submit(find_champion, options.config).result()
            for variable in [each for each in os.environ if each.startswith(PREFIX)]:
                del os.environ[variable]  # default settings are measured
            text = render(measure(champion, work, QUICK if options.quick else Sizes()))
        except TaxonError as error:
            sys.stderr.write(f"{type(error).__name__}: {error}\n")
            return error.exit_code
    print(text)
    if options.output:
        write_page(options.output, text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
