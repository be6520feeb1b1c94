"""The main job measured as a user meets it: seconds, memory, accuracy, unknowns, over several seeds.

    python -m benchmarks.fast_run --seeds 101 102 103 --output docs/benchmarks.md

Each seed paints fresh fish, splits and trains in a state folder of its own; then the same command runs again
with nothing changed. Timings are of whole processes on whatever else the machine was doing: say what.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median
from typing import Any

from benchmarks.pages import page_path, write_page
from orchestration.flows.running.machine import describe_machine
from vision.config.reading.loading import find_config, load_config

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Measured:
    """One seed: the summary of the first run, and the whole processes of both runs."""

    seed: int
    summary: dict[str, Any]
    first_seconds: float
    second_seconds: float
    second_cached: int
    second_steps: int


def measure(seed: int, config: str) -> Measured:
    """Run `config` twice in a new state folder."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        environment = os.environ | {"TAXON_STATE": folder}
        command = [sys.executable, "run.py", "--pipeline", "training", "--config", config]
        command += ["--set", f"seed={seed}", "--set", f"dataset.seed={seed}"]
        first_seconds = _run(command, environment)
        summary = json.loads((Path(folder) / "runs" / "latest" / "summary.json").read_text())
        second_seconds = _run(command, environment)
        second = json.loads((Path(folder) / "runs" / "latest" / "summary.json").read_text())
    return Measured(
        seed=seed,
        summary=summary,
        first_seconds=first_seconds,
        second_seconds=second_seconds,
        second_cached=len(second["cached_steps"]),
        second_steps=len(second["seconds"]["steps"]),
    )


def _run(command: list[str], environment: dict[str, str]) -> float:
    started = time.monotonic()
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr[-4000:]}")
    return time.monotonic() - started


def render(runs: list[Measured], config: str, score: str) -> str:
    """The figures as Markdown.

    Args:
        runs: one for each seed.
        config: its name.
        score: the unknown score that decides in it.
    """
    summaries = [run.summary for run in runs]
    tests = [summary["test"] for summary in summaries]
    decisions = [test["decisions"] for test in tests]
    machine = describe_machine()
    lines = [
        "# Benchmarks of the main job",
        "",
        f"`python -m benchmarks.fast_run --seeds {' '.join(str(run.seed) for run in runs)}` on "
        f"`configs/{config}`: {machine['cpus']} cores ({machine['processor']}, {machine['instructions']}), "
        f"{machine['threads']} threads, oneDNN {'on' if machine['onednn'] else 'off'}, Python "
        f"{machine['python']}. Each seed paints fresh fish. Medians of {len(runs)} runs; "
        "timings are of whole processes.",
        "",
        "| | " + " | ".join(f"seed {run.seed}" for run in runs) + " | median |",
        "|---|" + "---|" * (len(runs) + 1),
    ]
    rows: list[tuple[str, list[float], str]] = [
        ("first run, seconds", [run.first_seconds for run in runs], ".0f"),
        ("orchestration of it, seconds", [s["seconds"]["orchestration"] for s in summaries], ".1f"),
        ("report of it, seconds", [s["seconds"]["report"] for s in summaries], ".1f"),
        ("second run, nothing changed, seconds", [run.second_seconds for run in runs], ".1f"),
        ("peak memory, MB", [s["peak_memory_mb"] for s in summaries], ".0f"),
        ("test accuracy", [t["accuracy"]["value"] for t in tests], ".3f"),
        ("test macro F1", [t["macro_f1"]["value"] for t in tests], ".3f"),
        ("test NLL", [t["nll"]["value"] for t in tests], ".3f"),
        ("test ECE", [t["ece"] for t in tests], ".3f"),
        ("near unknown AUROC, deciding score", [_pooled(t, "near", score) for t in tests], ".3f"),
        ("near unknown AUROC, maximum softmax", [_pooled(t, "near", "msp") for t in tests], ".3f"),
        ("far unknown AUROC, deciding score", [_pooled(t, "far", score) for t in tests], ".3f"),
        ("known: accepted", [d["known"]["accepted"]["value"] for d in decisions], ".3f"),
        ("known: reviewed", [d["known"]["reviewed"]["value"] for d in decisions], ".3f"),
        ("known: called unknown", [d["known"]["called_unknown"]["value"] for d in decisions], ".3f"),
        ("wrong among the accepted", [d["known"]["wrong_among_accepted"] for d in decisions], ".3f"),
        ("near unknown: called unknown", [d["near"]["called_unknown"]["value"] for d in decisions], ".3f"),
        ("near unknown: accepted", [d["near"]["accepted"]["value"] for d in decisions], ".3f"),
        ("far unknown: called unknown", [d["far"]["called_unknown"]["value"] for d in decisions], ".3f"),
    ]
    for name, values, form in rows:
        cells = " | ".join(format(value, form) for value in values)
        lines.append(f"| {name} | {cells} | {format(median(values), form)} |")
    lines += [
        "",
        "Winners: "
        + ", ".join(f"{s['winner']} (seed {r.seed})" for r, s in zip(runs, summaries, strict=True)),
    ]
    lines += [
        "",
        "Steps reused by the second run: "
        + ", ".join(f"{run.second_cached} of {run.second_steps}" for run in runs)
        + ".",
    ]
    return "\n".join([*lines, *_against_softmax(tests, score), *_species(tests, score)]) + "\n"


def _against_softmax(tests: list[dict[str, Any]], score: str) -> list[str]:
    """The deciding score minus maximum softmax on the same near unknowns, for every seed."""
    gains = [_pooled(test, "near", score) - _pooled(test, "near", "msp") for test in tests]
    each = ", ".join(f"{gain:+.3f}" for gain in gains)
    return [
        "",
        f"Near unknowns, AUROC of {score} minus that of maximum softmax on the same images: {each}; mean "
        f"{mean(gains):+.3f}, above zero in {sum(gain > 0 for gain in gains)} of {len(gains)} seeds.",
    ]


def _species(tests: list[dict[str, Any]], score: str) -> list[str]:
    """AUROC of every unknown species, both scores, mean over the seeds."""
    names = sorted({(row["kind"], row["class_name"]) for row in tests[0]["unknown_classes"]}, reverse=True)
    lines = ["", "## Every unknown, mean over the seeds", ""]
    lines += [
        f"| kind | unknown | AUROC {score} (each seed) | AUROC msp | found by the threshold |",
        "|---|---|---|---|---|",
    ]
    for kind, name in names:
        if name == "all":
            continue
        own = [_row(test, kind, name, score) for test in tests]
        other = [_row(test, kind, name, "msp") for test in tests]
        values = [row["auroc"]["value"] for row in own]
        each = ", ".join(f"{value:.2f}" for value in values)
        softmax, found = mean(row["auroc"]["value"] for row in other), mean(row["found"] for row in own)
        lines.append(f"| {kind} | {name} | {mean(values):.3f} ({each}) | {softmax:.3f} | {found:.2f} |")
    return lines


def _pooled(test: dict[str, Any], kind: str, score: str) -> float:
    return float(test["unknown_auroc"][kind][score]["value"])


def _row(test: dict[str, Any], kind: str, name: str, score: str) -> dict[str, Any]:
    wanted = (kind, name, score)
    rows = test["unknown_classes"]
    return next(row for row in rows if (row["kind"], row["class_name"], row["score"]) == wanted)


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[101, 102, 103])
    parser.add_argument("--config", default="fast.yaml")
    parser.add_argument("--output", type=page_path, default=str(ROOT / "docs" / "benchmarks.md"))
    options = parser.parse_args()
    score = load_config(find_config(options.config, ROOT / "configs")).unknowns.score
    runs = []
    for seed in options.seeds:
        runs.append(measure(seed, options.config))
        print(
            f"seed {seed}: {runs[-1].first_seconds:.0f} s, then {runs[-1].second_seconds:.1f} s", flush=True
        )
    write_page(options.output, render(runs, options.config, score))
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"Wrote {options.output}. Largest process: {peak:.0f} MB.")


if __name__ == "__main__":
    main()
