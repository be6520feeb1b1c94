r"""What a retraining does with a clean, a turbid and two poisoned batches, by the command line.

    python -m benchmarks.retraining_shows --output docs/retraining.md

A champion is trained on painted reef. Then each batch of newly painted and labelled images is named in
`retraining.new_images` of the same configuration, in a copy of the champion's state:

- clean: as the reef, of another seed;
- shuffled: the same images, each individual filed under a class drawn anew;
- swapped: the same images, two classes filed under each other's names throughout;
- turbid: the painter's own drift at the end of its scale, rightly labelled.

Expected: clean is promoted or kept, turbid is promoted, the poisoned are not. A batch has at least 80 groups,
below which the check of labels is weak (`docs/decisions/0010-poisoned-labels.md`). The full size trains five
times what `--config` trains; a small one to try the script:

    python -m benchmarks.retraining_shows --batch-images 20 --set dataset.images_per_class=60 \
        --set images.size=64 \
        --set 'training.candidates={cnn: {backbone: cnn, width: 0.25, epochs: 15, learning_rate: 0.004}}' \
        --set gate.max_known_called_unknown=0.7 --set gate.min_accuracy=0.4
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.pages import page_path, write_page
from vision.config.data import ReefSource
from vision.data.sources.reef.dataset import GROUP_PATTERN, paint_reef
from vision.data.sources.reef.species import KNOWN_SPECIES

ROOT = Path(__file__).resolve().parent.parent
BATCH_SEED = 60_000
LEAST_GROUPS = 80
WANTED = {
    "clean": ("promoted", "kept"),
    "shuffled": ("refused", "kept"),
    "swapped": ("refused", "kept"),
    "turbid": ("promoted",),
}


@dataclass(frozen=True)
class Ending:
    """How the retraining on a batch ended.

    Attributes:
        name: of the batch, one of WANTED.
        size: images and groups of the batch, in words.
        decision: of the retraining pipeline, from its summary.
        gate: checks and verdict of the training that followed; None where none did.
        seconds: of the whole process.
    """

    name: str
    size: str
    decision: dict[str, Any]
    gate: dict[str, Any] | None
    seconds: float

    @property
    def verdict(self) -> str:
        """promoted, kept or refused; `not trained` where it was decided not to."""
        return str(self.gate["verdict"]) if self.gate else "not trained"

    @property
    def as_expected(self) -> bool:
        """Whether the gate did what a person would want of it."""
        return self.verdict in WANTED[self.name]


# --- batches --------------------------------------------------------------------------------------------


def make_batch(name: str, folder: Path, images_per_class: int, seed: int) -> tuple[Path, str]:
    """Paint a batch, a poisoned one of the images of the clean one; its folder, and its size in words."""
    turbid = float(name == "turbid")  # the painter's own drift at the end of its scale
    source = ReefSource(
        seed=seed + int(turbid),
        images_per_class=images_per_class,
        unknown_images_per_class=0,
        turbidity=turbid,
    )
    paint_reef(source, folder / f"{name}-painted")
    paths = sorted((folder / f"{name}-painted").glob("known/*/*.jpg"))
    groups = sorted({_group_of(path) for path in paths})
    if len(groups) < LEAST_GROUPS:
        raise SystemExit(f"{len(groups)} groups; expected {LEAST_GROUPS}. Raise --batch-images.")
    first, second, *_ = KNOWN_SPECIES
    swapped = {first: second, second: first}
    rng = np.random.default_rng(seed)
    drawn = {group: str(rng.choice(KNOWN_SPECIES)) for group in groups}
    for path in paths:
        label = path.parent.name
        if name == "shuffled":
            label = drawn[_group_of(path)]
        elif name == "swapped":
            label = swapped.get(label, label)
        target = folder / name / label
        target.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target / path.name)
    return folder / name, f"{len(paths)}, {len(groups)}"


def _group_of(path: Path) -> str:
    match = GROUP_PATTERN.match(path.name)
    if match is None:
        raise ValueError(f"{path}: expected a painted file, NAME_frameNN.jpg")
    return match["group"]


# --- runs -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Bench:
    """A state folder `home` that is put back before every batch, and how the command line is called.

    ZenML keeps absolute paths, so a copy of the champion's state works only where the state lay: the copy is
    put in its place.
    """

    home: Path
    config: str
    overrides: Sequence[str]

    def crown(self) -> dict[str, Any]:
        """Train the champion and save its state; its summary.

        Raises:
            SystemExit: it was not promoted.
        """
        output = self.run("training")
        summary = self.latest()
        if summary["gate"]["verdict"] != "promoted":
            raise SystemExit(f"The champion was not promoted: {summary['gate']}\n{output[-4000:]}")
        shutil.copytree(self.home, self.home.with_name("saved"), symlinks=True)
        return summary

    def retrain(self, name: str, folder: Path, size: str) -> Ending:
        """Retrain on a batch, from the champion's state."""
        shutil.rmtree(self.home)
        shutil.copytree(self.home.with_name("saved"), self.home, symlinks=True)
        new_images = [{"path": str(folder), "group_by": GROUP_PATTERN.pattern}]
        started = time.monotonic()
        output = self.run("retraining", f"retraining.new_images={json.dumps(new_images)}")
        seconds = time.monotonic() - started
        summaries = list(self.home.glob("runs/*-retraining-*/summary.json"))
        if len(summaries) != 1:
            raise SystemExit(f"Batch {name}: no decision.\n{output[-4000:]}")
        decision = json.loads(summaries[0].read_text(encoding="utf-8"))
        gate = self.latest()["gate"] if decision["training"] else None
        return Ending(name, size, decision["decision"], gate, seconds)

    def run(self, pipeline: str, *overrides: str) -> str:
        """Output of one command."""
        given = [part for each in (*self.overrides, *overrides) for part in ("--set", each)]
        done = subprocess.run(
            [sys.executable, "run.py", "--pipeline", pipeline, "--config", self.config, *given],
            cwd=ROOT,
            env=os.environ | {"TAXON_STATE": str(self.home), "NO_COLOR": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        return done.stdout + done.stderr

    def latest(self) -> dict[str, Any]:
        """Summary of the newest training."""
        summary: dict[str, Any] = json.loads((self.home / "runs" / "latest" / "summary.json").read_text())
        return summary


# --- report ---------------------------------------------------------------------------------------------


def render(champion: Mapping[str, Any], endings: Sequence[Ending]) -> str:
    """The table, and every reason in full."""
    accuracy = champion["test"]["accuracy"]
    lines = [
        f"Champion: {champion['winner']}, {champion['dataset']['num_images']} images, test accuracy "
        f"{accuracy['value']:.3f} ({accuracy['low']:.3f} to {accuracy['high']:.3f}).",
        "",
        "| batch | images, groups | asked by | verdict | as expected | checks not passed | s |",
        "|-|-|-|-|-|-|-|",
    ]
    for each in endings:
        checks = each.gate["checks"] if each.gate else []
        failed = ", ".join(check["name"] for check in checks if not check["passed"]) or "none"
        mark = "yes" if each.as_expected else "**no**"
        cells = [each.name, each.size, each.decision["trigger"], each.verdict, mark, failed]
        lines.append(f"| {' | '.join(cells)} | {each.seconds:.0f} |")
    for each in endings:
        lines += ["", f"**{each.name}: {each.verdict}**", ""]
        lines += [f"- {reason}" for reason in (each.gate or each.decision)["reasons"]]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Train, retrain on every batch, write the table; 1 where a verdict is not as expected."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config", default="fast")
    parser.add_argument("--batch-images", type=int, default=60, help="of each class in a batch (default 60)")
    parser.add_argument("--batches", nargs="+", choices=sorted(WANTED), default=sorted(WANTED))
    parser.add_argument("--seed", type=int, default=BATCH_SEED, help="of the batches")
    parser.add_argument("--set", action="append", default=[], dest="overrides", metavar="KEY=VALUE")
    parser.add_argument("--output", type=page_path, help="Markdown; default: printed alone")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="retraining-") as work:
        bench = Bench(Path(work) / "home", options.config, options.overrides)
        champion = bench.crown()
        print("champion:", champion["test"]["accuracy"], flush=True)
        endings = []
        for name in options.batches:
            batch = make_batch(name, Path(work) / "batches", options.batch_images, options.seed)
            endings.append(bench.retrain(name, *batch))
            print(f"{name}: {endings[-1].verdict} ({endings[-1].seconds:.0f} s)", flush=True)
    text = render(champion, endings)
    print(text)
    if options.output:
        write_page(options.output, text)
    return 0 if all(each.as_expected for each in endings) else 1


if __name__ == "__main__":
    sys.exit(main())
