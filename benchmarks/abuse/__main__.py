"""The service under abuse: what was sent, how many, what came back; and whether others were served meanwhile.

    python -m benchmarks.abuse --output docs/abuse.md

serves the champion of `--config` in the project that TAXON_STATE names, on a free port with a log of its own,
and sends it damaged pictures, slow bodies, wrong keys, requests that two readers read differently, hostile
archives; it kills the worker, locks, deletes and fills the log. Wanted: no 5xx, no request without an answer
for a minute (but those of a worker that was killed), every answer in the log or counted as lost. About 5
minutes; `--quick` takes a tenth of the pictures and keys. Exit code 1 where something is not as wanted.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path
from typing import NamedTuple

import psutil

from benchmarks.abuse.hostile import FORM, archives, form, mutate, part, picture_form, smuggling, wrong_forms
from benchmarks.abuse.victim import CLOSED, HANGS, WAIT_SECONDS, Victim
from benchmarks.champion import obtain_champion
from benchmarks.images import make_images
from benchmarks.pages import page_path, write_page
from benchmarks.serving.load_client import HOST
from benchmarks.serving.page import make_table
from benchmarks.serving.services import running_service
from serving.api.settings import PREFIX
from serving.runtime.bento import build_in_store
from serving.runtime.running import ServiceFolder
from vision.base.errors import TaxonError

KEY, FRIEND = "abuser-" + "a" * 24, "friend-" + "b" * 24
_HOLD_LOCK = (
    "import sqlite3, sys; log = sqlite3.connect(sys.argv[1]); log.execute('BEGIN IMMEDIATE'); "
    "print(flush=True); sys.stdin.read()"
)
"""A process of its own: what this one closes of a file drops all locks that it holds on it."""
CLIENTS, SLOW = 16, 40


class Seen(NamedTuple):
    """Outcomes of one kind of abuse, and what else is to be told."""

    outcomes: Counter[str]
    note: str = ""
    fault: str = ""


def _together(ask: Callable[[bytes], str], bodies: Iterable[bytes]) -> Counter[str]:
    """Outcomes of asking by CLIENTS threads."""
    with ThreadPoolExecutor(CLIENTS) as pool:
        return Counter(pool.map(ask, bodies))


# --- kinds ----------------------------------------------------------------------------------------------


def damaged_pictures(victim: Victim) -> Seen:
    """Mutations of pictures of six formats."""
    return Seen(
        _together(
            lambda raw: victim.post(picture_form(raw)), mutate(victim.images, round(10_000 * victim.scale), 0)
        )
    )


def damaged_pictures_elsewhere(victim: Victim) -> Seen:
    """The same to /explain and /similar, and five at a time to /enrol."""
    pictures = list(mutate(victim.images, round(1_000 * victim.scale), 1))
    seen = _together(lambda raw: victim.post(picture_form(raw), "/explain"), pictures)
    seen += _together(lambda raw: victim.post(picture_form(raw), "/similar"), pictures)
    fives = [
        form(part("class_name", b"new"), *(part("image", raw, "a.jpg") for raw in pictures[at : at + 5]))
        for at in range(0, len(pictures), 5)
    ]
    return Seen(seen + _together(lambda body: victim.post(body, "/enrol"), fives))


def wrong_bodies(victim: Victim) -> Seen:
    """URLs, paths, texts, nested and broken forms where a picture is expected."""
    sent = wrong_forms(victim.images[0])
    return Seen(Counter(victim.post(each.body, media_type=each.media_type) for each in sent))


def ambiguous_requests(victim: Victim) -> Seen:
    """Lengths, chunks and first lines that two readers could read differently."""
    sent = smuggling(victim.key, victim.images[0])
    with ThreadPoolExecutor(CLIENTS) as pool:
        outcomes = list(pool.map(victim.raw, (request for _, request in sent)))
    told = [(name, outcome) for (name, _), outcome in zip(sent, outcomes, strict=True)]
    passed = [f"{name}: {outcome}" for name, outcome in told if not outcome.startswith("4") or "+" in outcome]
    return Seen(Counter(outcomes), f"not refused: {'; '.join(passed)}")


def wrong_keys(victim: Victim) -> Seen:
    """Keys that are none of the service's."""
    body = picture_form(victim.images[0])
    keys = [os.urandom(16).hex().encode() for _ in range(round(1_000 * victim.scale))]
    seen = _together(lambda key: victim.post(body, key=key.decode()), keys)
    return Seen(seen, fault="" if set(seen) == {"401"} else "another answer than 401")


def slow_bodies(victim: Victim) -> Seen:
    """Forms whose bytes come one by one, more at a time than one key has places for."""
    head = f"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nX-API-Key: {victim.key}\r\nContent-Type: {FORM}\r\n"
    request = f"{head}Content-Length: 100000\r\n\r\n".encode() + part("image", b"", "a.jpg")[:-2]

    def ask(_: bytes) -> str:
        with closing(socket.create_connection((HOST, victim.port), WAIT_SECONDS)) as line:
            line.sendall(request)
            line.settimeout(0.5)
            said, ends = b"", time.monotonic() + WAIT_SECONDS
            while time.monotonic() < ends:
                with suppress(TimeoutError):
                    said = line.recv(65_536)
                    break
                with suppress(ConnectionError):
                    line.sendall(b"-")
        return said[9:12].decode() or (CLOSED if time.monotonic() < ends else HANGS)

    with ThreadPoolExecutor(SLOW) as pool:
        return Seen(Counter(pool.map(ask, [b""] * SLOW)))


def hostile_archives(victim: Victim) -> Seen:
    """ZIP files: too many entries, bombs, lies, paths that lead out, damage."""
    made = (form(part("archive", archive, "a.zip")) for _, archive in archives(victim.images[0]))
    return Seen(Counter(victim.post(body, "/predict_batch") for body in made))


def killed_worker(victim: Victim) -> Seen:
    """SIGKILL to the worker while 16 clients ask."""
    body, asked = picture_form(victim.images[0]), Counter[str]()
    worker = psutil.Process(victim.service.pid).children()[0]
    with ThreadPoolExecutor(CLIENTS) as pool:
        futures = [pool.submit(victim.post, body) for _ in range(round(4_000 * victim.scale))]
        time.sleep(1.0)
        worker.send_signal(signal.SIGKILL)
        asked.update(each.result() for each in futures)
    restarts = victim.metric("taxon_worker_restarts")
    return Seen(asked, f"restarts counted: {restarts}", "" if restarts == 1 else "the restart is not counted")


def locked_log(victim: Victim) -> Seen:
    """Another program holds the log's write lock for seconds."""
    command = [sys.executable, "-c", _HOLD_LOCK, str(victim.log)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        if other.stdout is None or not other.stdout.readline():
            return Seen(Counter(), fault="the lock was not had")
        seen = _count_losses(victim)
        other.communicate()
    return seen


def deleted_log(victim: Victim) -> Seen:
    """The file of the log is deleted while pictures are answered."""
    for path in victim.log.parent.glob(victim.log.name + "*"):
        path.unlink()
    return _count_losses(victim)


def full_log(victim: Victim) -> Seen:
    """The worker may not write files any longer than the log is (the disk is full)."""
    worker = psutil.Process(victim.service.pid).children()[0]
    before = worker.rlimit(resource.RLIMIT_FSIZE)
    worker.rlimit(resource.RLIMIT_FSIZE, (1, before[1]))
    try:
        return _count_losses(victim)
    finally:
        worker.rlimit(resource.RLIMIT_FSIZE, before)


def _count_losses(victim: Victim) -> Seen:
    """Ask while the log fails; every answer is in it or counted as lost."""
    lost = "taxon_log_entries_lost_total"
    entries, begun = victim.count_entries(), victim.metric(lost)
    seen = _together(victim.post, [picture_form(victim.images[0])] * round(1_000 * victim.scale))
    kept, gone = victim.count_entries() - entries, victim.metric(lost) - begun
    fault = "" if kept + gone == seen["200"] else f"{seen['200'] - kept - gone} neither logged nor counted"
    return Seen(seen, f"{kept} of {seen['200']} answers in it, {gone} counted as lost", fault)


KINDS: dict[str, Callable[[Victim], Seen]] = {
    "damaged pictures, /predict": damaged_pictures,
    "damaged pictures, /explain, /similar, /enrol": damaged_pictures_elsewhere,
    "URLs, paths and broken forms": wrong_bodies,
    "ambiguous requests": ambiguous_requests,
    "wrong keys": wrong_keys,
    "slow bodies, 40 at a time": slow_bodies,
    "hostile archives": hostile_archives,
    "a worker killed under load": killed_worker,
    "the log locked": locked_log,
    "the log deleted": deleted_log,
    "the log full": full_log,
}


# --- running --------------------------------------------------------------------------------------------


class Row(NamedTuple):
    """What one kind came to."""

    kind: str
    seen: Seen
    seconds: float
    friend: list[tuple[str, float]]
    megabytes: float

    @property
    def faults(self) -> list[str]:
        """What is not as wanted."""
        allowed = {CLOSED, "502", "503"} if "killed" in self.kind else set()
        bad = {each for each in self.seen.outcomes if each.startswith("5") or each == HANGS} - allowed
        hidden = {each for each in self.seen.outcomes if re.match(r"4\d\d\+.*2", each)}
        others = [status for status, _ in self.friend if status != "200" and status not in allowed]
        told = [f"{each}: {self.seen.outcomes[each]}" for each in sorted(bad | hidden)]
        return (
            told
            + [f"another client got {each}" for each in others]
            + [self.seen.fault] * bool(self.seen.fault)
        )


def abuse(victim: Victim, kind: str, act: Callable[[Victim], Seen]) -> Row:
    """One kind, while another client sends a good picture several times a second."""
    ends, friend, peak = threading.Event(), list[tuple[str, float]](), [0.0]

    def ask() -> None:
        while not ends.is_set():
            begun = time.monotonic()
            status = victim.post(picture_form(victim.images[0]), "/explain", key=victim.friend)
            friend.append((status, time.monotonic() - begun))
            with suppress(psutil.Error, IndexError):  # the worker may just be gone
                worker = psutil.Process(victim.service.pid).children()[0]
                peak[0] = max(peak[0], worker.memory_info().rss / 1e6)
            ends.wait(0.2)

    thread, begun = threading.Thread(target=ask), time.monotonic()
    thread.start()
    try:
        seen = act(victim)
    finally:
        ends.set()
        thread.join()
    return Row(kind, seen, time.monotonic() - begun, friend, peak[0])


def render(rows: list[Row]) -> str:
    """The table of the page, and what else was seen."""
    lines = []
    for row in rows:
        outcomes = ", ".join(f"{count:,} x {each}" for each, count in sorted(row.seen.outcomes.items()))
        slowest = max((seconds for _, seconds in row.friend), default=0.0)
        met = "**" + "; ".join(row.faults) + "**" if row.faults else "yes"
        total = f"{sum(row.seen.outcomes.values()):,}"
        lines.append(
            (row.kind, total, outcomes, f"{row.seconds:.0f}", f"{slowest:.1f}", f"{row.megabytes:.0f}", met)
        )
    head = (
        "sent",
        "how many",
        "what came back",
        "seconds",
        "another client waited, s",
        "worker, MB",
        "as wanted",
    )
    notes = [f"- {row.kind}: {row.seen.note}" for row in rows if row.seen.note]
    return "\n".join([*make_table(head, lines), "", *notes])


def main() -> int:
    """Abuse and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config", default="fast.yaml", help="whose champion (default fast.yaml)")
    parser.add_argument("--train", action="store_true", help="train one first, in a project of its own")
    parser.add_argument("--quick", action="store_true", help="a tenth of the pictures and keys")
    parser.add_argument("--only", help="kinds whose name holds this text")
    parser.add_argument("--output", type=page_path, help="Markdown; default: printed alone")
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory(prefix="abuse-") as name:
        work = Path(name).resolve()
        try:
            champion = obtain_champion(options.config, work, train=options.train)
            for variable in [each for each in os.environ if each.startswith(PREFIX)]:
                del os.environ[variable]
            os.environ["TAXON_API_KEYS"] = f"abuser:{KEY},friend:{FRIEND}"
            os.environ["TAXON_RATE_LIMIT"] = os.environ["TAXON_PREDICT_RATE_LIMIT"] = "none"
            folder = ServiceFolder(work / "served")
            bento = build_in_store(folder, champion.bundle, champion.digest, champion.version)
            with running_service(folder, bento) as service:
                victim = Victim(folder, service, make_images(), 0.1 if options.quick else 1.0, KEY, FRIEND)
                with closing(victim):
                    for kind, act in KINDS.items():
                        if options.only is None or options.only in kind:
                            rows.append(abuse(victim, kind, act))
                            print(render(rows[-1:]).splitlines()[2], flush=True)
        except TaxonError as error:
            sys.stderr.write(f"{type(error).__name__}: {error}\n")
            return error.exit_code
    contract = champion.contract
    text = (
        f"# The service under abuse\n\n`python -m benchmarks.abuse {' '.join(sys.argv[1:])}` on "
        f"{os.cpu_count()} cores ({platform.system()} {platform.machine()}), Python "
        f"{platform.python_version()}: {contract.name} ({contract.candidate}, {contract.image_size} pixels), "
        "no rate limits. Meanwhile another key asks /explain for a good picture several times a second. "
        "A request whose kept connection broke is sent once more over a new one.\n\n"
        f"{render(rows)}"
    )
    print(text)
    if options.output:
        write_page(options.output, text)
    return int(any(row.faults for row in rows))


if __name__ == "__main__":
    sys.exit(main())
