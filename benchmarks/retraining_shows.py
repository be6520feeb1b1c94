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

    python -m benchmarks.retraining_shows --images 60 --batch-images 20 --set images.size=64 \
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
import yaml

from benchmarks.pages import page_path, write_page
from vision.config.data import ReefSource
from vision.data.sources.reef.dataset import GROUP_PATTERN, paint_reef
from vision.data.sources.reef.species import KNOWN_SPECIES

ROOT = Path(__file__).resolve().parent.parent
BATCH_SEED = 60_000
LEAST_GROUPS = 80
TURBID = 1.0
SWAPPED = KNOWN_SPECIES[0], KNOWN_SPECIES[1]
WANTED = {
    "clean": ("promoted", "kept"),
    "shuffled": ("refused", "kept"),
    "swapped": ("refused", "kept"),
    "turbid": ("promoted",),
}


@dataclass(frozen=True)
class Batch:
    """A folder of labelled images, one folder per class.

    Attributes:
        name: one of WANTED.
        folder: holds the class folders.
        num_images: in all.
        num_groups: individuals.
    """

    name: str
    folder: Path
    num_images: int
    num_groups: int


@dataclass(frozen=True)
class Ending:
    """How the retraining on a batch ended.

    Attributes:
        batch: what was learned from.
        exit_code: of the command line.
        decision: of the retraining pipeline: its summary.
        gate: checks and verdict of the training that followed; None where none did.
        seconds: of the whole process.
    """

    batch: Batch
    exit_code: int
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
        return self.verdict in WANTED[self.batch.name]

    def failed_checks(self) -> list[tuple[str, str]]:
        """(name, message) of the checks that were not passed."""
        checks = self.gate["checks"] if self.gate else []
        return [(each["name"], each["message"]) for each in checks if not each["passed"]]


# --- batches --------------------------------------------------------------------------------------------


def make_batches(folder: Path, images_per_class: int, seed: int) -> list[Batch]:
    """Paint the batches; the poisoned ones hold the very images of the clean one."""
    plain = _paint(folder / "painted-plain", images_per_class, seed, turbidity=0.0)
    turbid = _paint(folder / "painted-turbid", images_per_class, seed + 1, turbidity=TURBID)
    rng = np.random.default_rng(seed)
    first, second = SWAPPED
    drawn = {group: str(rng.choice(KNOWN_SPECIES)) for group in sorted({_group_of(path) for path in plain})}
    return [
        _file("clean", folder, {path: path.parent.name for path in plain}),
        _file("shuffled", folder, {path: drawn[_group_of(path)] for path in plain}),
        _file("swapped", folder, {path: _swap(path.parent.name, first, second) for path in plain}),
        _file("turbid", folder, {path: path.parent.name for path in turbid}),
    ]


def _paint(folder: Path, images_per_class: int, seed: int, turbidity: float) -> list[Path]:
    """Images of the known species."""
    source = ReefSource(
        seed=seed, images_per_class=images_per_class, unknown_images_per_class=0, turbidity=turbidity
    )
    paint_reef(source, folder)
    return sorted(folder.glob("known/*/*.jpg"))


def _swap(name: str, first: str, second: str) -> str:
    return {first: second, second: first}.get(name, name)


def _group_of(path: Path) -> str:
    match = GROUP_PATTERN.match(path.name)
    if match is None:
        raise ValueError(f"{path}: expected a painted file, NAME_frameNN.jpg")
    return match["group"]


def _file(name: str, folder: Path, labels: Mapping[Path, str]) -> Batch:
    """Copy images into class folders by their labels."""
    target = folder / name
    for path, label in labels.items():
        (target / label).mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target / label / path.name)
    num_groups = len({_group_of(path) for path in labels})
    if num_groups < LEAST_GROUPS:
        raise SystemExit(
            f"{num_groups} groups in batch {name}; expected {LEAST_GROUPS}. Raise --batch-images."
        )
    return Batch(name, target, len(labels), num_groups)


# --- runs -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Bench:
    """A configuration with a batch, and a state folder that is put back before every batch.

    ZenML keeps absolute paths, so a copy of the champion's state works only where the state lay: the copy is
    put in its place.
    """

    folder: Path
    config: dict[str, Any]

    @property
    def home(self) -> Path:
        """Where TAXON_STATE points."""
        return self.folder / "home"

    @property
    def saved(self) -> Path:
        """The champion's state."""
        return self.folder / "saved"

    def crown(self) -> dict[str, Any]:
        """Train the champion and save its state; its summary."""
        code, _ = self.run("training", self.config)
        summary = self.latest()
        if code != 0 or summary["gate"]["verdict"] != "promoted":
            raise SystemExit(f"The champion was not promoted (exit code {code}): {summary['gate']}")
        shutil.copytree(self.home, self.saved, symlinks=True)
        return summary

    def retrain(self, batch: Batch) -> Ending:
        """Retrain on a batch, from the champion's state."""
        shutil.rmtree(self.home)
        shutil.copytree(self.saved, self.home, symlinks=True)
        named = {"path": str(batch.folder), "group_by": GROUP_PATTERN.pattern}
        tree = {**self.config, "retraining": {**self.config.get("retraining", {}), "new_images": [named]}}
        started = time.monotonic()
        code, output = self.run("retraining", tree)
        seconds = time.monotonic() - started
        folders = list(self.home.glob("runs/*-retraining-*/summary.json"))
        if len(folders) != 1:
            raise SystemExit(f"Batch {batch.name}: no decision (exit code {code}).\n{output[-4000:]}")
        decision = json.loads(folders[0].read_text(encoding="utf-8"))
        gate = self.latest()["gate"] if decision["training"] else None
        return Ending(batch, code, decision, gate, seconds)

    def run(self, pipeline: str, tree: Mapping[str, Any]) -> tuple[int, str]:
        """Exit code and output of one command."""
        config = self.folder / "reef.yaml"
        config.write_text(yaml.safe_dump(dict(tree)), encoding="utf-8")
        done = subprocess.run(
            [sys.executable, "run.py", "--pipeline", pipeline, "--config", str(config)],
            cwd=ROOT,
            env=os.environ | {"TAXON_STATE": str(self.home), "NO_COLOR": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    def latest(self) -> dict[str, Any]:
        """Summary of the newest training."""
        summary: dict[str, Any] = json.loads((self.home / "runs" / "latest" / "summary.json").read_text())
        return summary


# --- report ---------------------------------------------------------------------------------------------


def render(champion: Mapping[str, Any], endings: Sequence[Ending]) -> str:
    """The table, and every failed check in full."""
    accuracy = champion["test"]["accuracy"]
    lines = [
        f"Champion: {champion['winner']}, {champion['dataset']['num_images']} images, test accuracy "
        f"{accuracy['value']:.3f} ({accuracy['low']:.3f} to {accuracy['high']:.3f}).",
        "",
        "| batch | images, groups | asked by | verdict | as expected | checks not passed | s |",
        "|-|-|-|-|-|-|-|",
    ]
    for each in endings:
        failed = ", ".join(name for name, _ in each.failed_checks()) or "none"
        mark = "yes" if each.as_expected else "**no**"
        size = f"{each.batch.num_images}, {each.batch.num_groups}"
        asked = each.decision["decision"]["trigger"]
        cells = [each.batch.name, size, asked, each.verdict, mark, failed, f"{each.seconds:.0f}"]
        lines.append(f"| {' | '.join(cells)} |")
    for each in endings:
        lines += ["", f"**{each.batch.name}: {each.verdict}**", ""]
        reasons = each.gate["reasons"] if each.gate else each.decision["decision"]["reasons"]
        lines += [f"- {reason}" for reason in reasons]
    return "\n".join(lines) + "\n"


def read_config(path: Path, num_images: int | None, overrides: Sequence[str]) -> dict[str, Any]:
    """The tree of a YAML with overrides; checked by the command line, which reads it next."""
    tree: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    if num_images is not None:
        overrides = [f"dataset.images_per_class={num_images}", *overrides]
    for override in overrides:
        key, _, value = override.partition("=")
        *parents, last = key.split(".")
        node = tree
        for parent in parents:
            node = node.setdefault(parent, {})
        node[last] = yaml.safe_load(value)
    return tree


def main() -> int:
    """Train, retrain on every batch, write the table; 1 where a verdict is not as expected."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config", type=Path, default=ROOT / "configs" / "fast.yaml")
    parser.add_argument("--images", type=int, help="of each class, for the champion; default: the config's")
    parser.add_argument("--batch-images", type=int, default=60, help="of each class in a batch (default 60)")
    parser.add_argument("--batches", nargs="+", choices=sorted(WANTED), default=sorted(WANTED))
    parser.add_argument("--seed", type=int, default=BATCH_SEED, help="of the batches")
    parser.add_argument("--set", action="append", default=[], dest="overrides", metavar="KEY=VALUE")
    parser.add_argument("--output", type=page_path, help="Markdown; default: printed alone")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="retraining-") as name:
        bench = Bench(Path(name), read_config(options.config, options.images, options.overrides))
        champion = bench.crown()
        print("champion:", champion["test"]["accuracy"], flush=True)
        endings = []
        for batch in make_batches(Path(name) / "batches", options.batch_images, options.seed):
            if batch.name in options.batches:
                endings.append(bench.retrain(batch))
                print(f"{batch.name}: {endings[-1].verdict} ({endings[-1].seconds:.0f} s)", flush=True)
    text = render(champion, endings)
    print(text)
    if options.output:
        write_page(options.output, text)
    return 0 if all(each.as_expected for each in endings) else 1


if __name__ == "__main__":
    sys.exit(main())
