"""The service of a trained champion, measured: ready, memory, latency, throughput against `model.predict`.

    python -m benchmarks.serving --output docs/serving_benchmarks.md

measures the champion of `--config` in the project that TAXON_STATE names, so after `make train`; `--train`
trains one in a project of its own first. About 20 minutes on two idle cores, 10 of them at 80% of the most
answers a second, 5 more with `--train`; `--quick` is short and proves only that it works. The services run
beside the project's own, on free ports, with state and log in a temporary folder. On a busy machine no goal
on time means anything: say what else it was doing.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from statistics import median

import psutil

from benchmarks.champion import Champion, obtain_champion, own_process
from benchmarks.images import make_images
from benchmarks.pages import page_path, write_page
from benchmarks.serving.endurance import cpu_seconds_of, endure
from benchmarks.serving.load_client import Block, Target, ask_in_turn, ask_together
from benchmarks.serving.page import BARE, KERAS, Figures, render
from benchmarks.serving.services import aim, get, running_rival, running_service
from serving.api.settings import PREFIX, ServiceSettings
from serving.log.prediction_log import PredictionLog
from serving.log.url import resolve_log_url
from serving.runtime.bento import build_in_store
from serving.runtime.running import BuiltBento, RunningService, ServiceFolder
from vision.base.errors import TaxonError
from vision.bundle.assembly import LoadedBundle, load_bundle
from vision.config.data import Resize
from vision.data.images import decode_image

WARM_UP_SECONDS = 5.0
"""Of load at the start of every block, whose answers are not counted."""
TRAINING_LIBRARIES = ("tensorflow", "keras", "sklearn", "pandas", "scipy", "matplotlib", "zenml", "evidently")
PROFILE_IMPORTS = "PYTHONPROFILEIMPORTTIME"
_IMPORTED = re.compile(r"^import time:\s*\d+ \|\s*\d+ \|\s*(\w+)", re.MULTILINE)


@dataclass(frozen=True)
class Sizes:
    """How much is measured: starts, rounds and requests of latency, pairs of blocks of throughput."""

    starts: int = 7
    rounds: int = 30
    requests: int = 40
    pairs: int = 10
    seconds: float = 8.0
    clients: int = 16
    archive: int = 10_000
    soak_seconds: float = 600.0


QUICK = Sizes(2, 4, 20, 2, 3.0, 16, 400, 12.0)
PEAK_SHARE = 0.8
"""Of the answers a second that clients without a pause were given, for the minutes of load."""


# --- measuring ------------------------------------------------------------------------------------------


def time_starts(folder: ServiceFolder, bento: BuiltBento, count: int) -> list[float]:
    """Seconds until ready of so many starts, each stopped again."""
    starts = []
    for _ in range(count):
        begun = time.perf_counter()
        with running_service(folder, bento):
            starts.append(time.perf_counter() - begun)
        _say(f"ready after {starts[-1]:.1f} s")
    return starts


def measure_memory(pid: int) -> float:
    """Megabytes of a process and all below it: private pages, and of each file the most that one shares."""
    root = psutil.Process(pid)
    parts = [part for each in (root, *root.children(recursive=True)) for part in each.memory_maps()]
    shared: dict[str, int] = {}
    for part in parts:  # one for each file and process
        shared[part.path] = max(shared.get(part.path, 0), part.shared_clean + part.shared_dirty)
    private = sum(part.private_clean + part.private_dirty for part in parts)
    return float(private + sum(shared.values())) / 1e6


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


@cache
def _load(root: Path, digest: str) -> LoadedBundle:
    return load_bundle(root, digest, ServiceSettings().engine_threads)


def time_alone(root: Path, digest: str, images: Sequence[bytes], count: int) -> list[float]:
    """Milliseconds of decoder and graph, of images in rotation, after three that are not counted."""
    bundle, most = _load(root, digest), ServiceSettings().max_megapixels
    size, resize = bundle.contract.image_size, Resize(bundle.contract.resize)
    taken = []
    for i in range(3 + count):
        begun = time.perf_counter()
        image = decode_image(images[i % len(images)], size=size, resize=resize, max_megapixels=most)
        bundle.engine.forward(image[None])
        taken.append((time.perf_counter() - begun) * 1000.0)
    return taken[3:]


def measure_latencies(
    champion: Champion, target: Target, images: Sequence[bytes], sizes: Sizes
) -> tuple[list[float], list[Block]]:
    """Rounds without and with the service in turn, so that a slow phase of the machine hits both."""
    alone, kept = [], []
    with own_process() as client, own_process() as graph:
        for _ in range(sizes.rounds):
            timed = graph.submit(time_alone, champion.bundle, champion.digest, images, sizes.requests)
            alone += timed.result()
            asked = client.submit(ask_in_turn, target, images, sizes.requests, keep_alive=True)
            kept.append(asked.result())
    return alone, kept


def measure_pairs(
    pids: Mapping[Target, int], images: Sequence[bytes], sizes: Sizes
) -> list[tuple[Block, Block]]:
    """Blocks of many clients at once, of Taxon and a rival, each with its process id; in turn."""
    target, rival = pids
    pairs = []
    with own_process() as client:
        for number in range(sizes.pairs):
            blocks = {}
            for whom in (target, rival) if number % 2 == 0 else (rival, target):
                begun = cpu_seconds_of(pids[whom])
                asked = client.submit(
                    ask_together, whom, images, sizes.clients, sizes.seconds, WARM_UP_SECONDS
                )
                blocks[whom] = replace(asked.result(), served_cpu=cpu_seconds_of(pids[whom]) - begun)
                _say(f"{whom.name}: {blocks[whom].rate:.1f} answers a second")
            pairs.append((blocks[target], blocks[rival]))
    return pairs


def read_log(folder: ServiceFolder, service: RunningService) -> tuple[int, int]:
    """Entries in the prediction log, and answers that the service counts as lost to it.

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
    return num_entries, round(float(lost.group(1)))


def measure(champion: Champion, work: Path, sizes: Sizes) -> Figures:
    """Every stage, with no more services there than it needs."""
    images, folders = make_images(), (ServiceFolder(work / "served"), ServiceFolder(work / "imports"))
    folder, other = folders
    bento, again = (
        build_in_store(each, champion.bundle, champion.digest, champion.version) for each in folders
    )
    starts, packages = time_starts(folder, bento, sizes.starts), list_imports(other, again, images[0])
    pairs = {}
    with running_service(folder, bento) as service:
        target = aim(folder, service)
        alone, kept = measure_latencies(champion, target, images, sizes)
        memory = {"after the requests of one client": measure_memory(service.pid)}
        for name, bare in ((KERAS, False), (BARE, True)):
            with running_rival(champion, work, bare=bare) as (rival, pid):
                pairs[name] = measure_pairs({target: service.pid, rival: pid}, images, sizes)
                rivals_memory = measure_memory(pid)
            _say(f"memory of {name}: {rivals_memory:.0f} MB")
        memory[f"at the end, after {sizes.clients} clients at once"] = measure_memory(service.pid)
        rate = PEAK_SHARE * median(own.rate for each in pairs.values() for own, _ in each)
        _say(f"{sizes.archive} pictures in an archive, then {sizes.soak_seconds:g} s at {rate:.0f} a second")
        measured = service.pid, measure_memory, rate
        endurance = endure(champion, target, images, (sizes.archive, sizes.soak_seconds), measured)
        num_entries, num_lost = read_log(folder, service)
    training = [name for name in TRAINING_LIBRARIES if name in packages]
    return Figures(starts, memory, training, alone, kept, pairs, num_entries, num_lost, endurance)


def describe(champion: Champion, sizes: Sizes, load: float) -> str:
    """What was measured where, as the page begins."""
    contract = champion.contract
    return (
        f"# Benchmarks of the service\n\n`python -m benchmarks.serving {' '.join(sys.argv[1:])}` on "
        f"{os.cpu_count()} cores ({platform.system()} {platform.machine()}), Python "
        f"{platform.python_version()}; load average {load:.1f} before. Served: {contract.name} version "
        f"{champion.version} ({contract.candidate}, {contract.image_size} pixels, "
        f"{contract.precision.value}, digest {champion.digest[:16]}) as `run.py service start` "
        "starts it. Asked: JPEGs of 640 x 480 "
        f"pixels, painted fish with grain; {sizes.pairs} pairs of {sizes.seconds:g} seconds with "
        f"{sizes.clients} clients at once. The rival is `benchmarks/serving/rival_service.py`: the same "
        "network, without key, log, limits and unknown score; both are there throughout. The client is a "
        "process of its own and competes for the cores with each."
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
    sizes, load = QUICK if options.quick else Sizes(), os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="bench-serving-") as name:
        work = Path(name).resolve()
        try:
            champion = obtain_champion(options.config, work, train=options.train)
            for variable in [each for each in os.environ if each.startswith(PREFIX)]:
                del os.environ[variable]  # default settings are measured
            text = f"{describe(champion, sizes, load)}\n\n{render(measure(champion, work, sizes))}"
        except TaxonError as error:
            sys.stderr.write(f"{type(error).__name__}: {error}\n")
            return error.exit_code
    print(text)
    if options.output:
        write_page(options.output, text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
