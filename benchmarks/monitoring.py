"""Seconds and memory of the monitoring command on 10,000 logged answers of a trained champion.

    python -m benchmarks.monitoring --config fast.yaml

The champion is that of the project which TAXON_STATE names, so after `make train`; `--train` trains one
first. Its answers are drawn from its own reference into a log of their own, four frames of each individual,
and the command runs as a user's, in a process and a copy of the project: once with 200 answers in the window,
once with all. Say what else the machine was doing. About 1 minute on two idle cores.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from benchmarks.champion import ROOT, Champion, obtain_champion
from benchmarks.serving.page import make_table
from orchestration.session.paths import ProjectPaths
from serving.log.entries import LogEntry
from serving.log.prediction_log import PredictionLog
from vision.base.errors import TaxonError
from vision.base.home import STATE_VARIABLE
from vision.bundle.assembly import load_reference
from vision.decision.records import Decision

FRAMES, NUM_ANSWERS = 4, 10_000


def fill_log(url: str, champion: Champion) -> None:
    """10,000 answers of the champion, a second apart: rows of its reference, one group for every four."""
    reference, contract = load_reference(champion.bundle, champion.digest), champion.contract
    rows = np.random.default_rng(0).integers(0, len(reference.groups), NUM_ANSWERS // FRAMES).repeat(FRAMES)
    start = datetime.now(UTC) - timedelta(seconds=NUM_ANSWERS)
    with closing(PredictionLog(url)) as log:
        for i, row in enumerate(rows):
            log.append(
                LogEntry(
                    prediction_id=f"bench-{i}",
                    time=start + timedelta(seconds=i),
                    client="bench",
                    file_name=f"{i}.jpg",
                    latency_ms=10.0,
                    model_name=contract.name,
                    model_version=champion.version,
                    model_digest=champion.digest,
                    group=f"group-{i // FRAMES}",
                    decision=Decision.ACCEPT,
                    class_name=contract.class_names[int(reference.logits[row].argmax())],
                    confidence=0.99,
                    unknown_score=0.01,
                    p_value=0.5,
                    logits=reference.logits[row],
                    embedding=reference.embeddings[row],
                    quality=reference.quality[row],
                )
            )


def measure(home: Path, config: str, url: str, window: int) -> tuple[float, float]:
    """Seconds and peak resident megabytes of the command in a project.

    Raises:
        SystemExit: it failed; with what it said.
    """
    command = [sys.executable, "run.py", "--pipeline", "monitoring", "--config", config]
    command += ["--set", f"monitoring.window={window}", "--set", f"serve.log.url={url}"]
    environment, said = os.environ | {STATE_VARIABLE: str(home), "NO_COLOR": "1"}, home / "output.txt"
    started = time.monotonic()
    with said.open("w") as sink:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=sink, stderr=sink)
        _, status, usage = os.wait4(process.pid, 0)
    seconds = time.monotonic() - started
    if os.waitstatus_to_exitcode(status) != 0:
        raise SystemExit(f"{' '.join(command)} failed:\n{said.read_text(encoding='utf-8')[-4000:]}")
    return seconds, usage.ru_maxrss / 1024


def main() -> int:
    """Measure in one copy for each window, so that no run finds its answers judged already."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config", default="fast.yaml", help="whose champion (default fast.yaml)")
    parser.add_argument("--train", action="store_true", help="train one first, in a project of its own")
    options = parser.parse_args()
    rows: list[tuple[int, str, str]] = []
    with tempfile.TemporaryDirectory(prefix="bench-monitoring-") as name:
        work = Path(name).resolve()
        try:
            champion = obtain_champion(options.config, work, train=options.train)
        except TaxonError as error:
            sys.stderr.write(f"{type(error).__name__}: {error}\n")
            return error.exit_code
        url = f"sqlite:///{work / 'answers.sqlite'}"
        fill_log(url, champion)
        for window in (200, NUM_ANSWERS):
            home = work / f"window-{window}"
            shutil.copytree(ProjectPaths.of(ROOT).home, home, symlinks=True)
            seconds, megabytes = measure(home, options.config, url, window)
            rows.append((window, f"{seconds:.1f}", f"{megabytes:.0f}"))
    print("\n".join(make_table(("window", "seconds", "peak memory, MB"), rows)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
