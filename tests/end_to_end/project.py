"""A project folder for whole runs: easy images, a small network, the real command line in its own process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image

from tests.end_to_end.commands import MOST_SECONDS, Commands

ROOT = Path(__file__).resolve().parents[2]
CLASSES = {"amber": (230, 170, 40), "cobalt": (40, 70, 200), "moss": (60, 140, 60), "rose": (220, 90, 140)}
HELD_OUT = {"slate": (110, 120, 130)}
NUM_INDIVIDUALS = 22


@dataclass(frozen=True)
class Finished:
    """One finished process of the command line."""

    code: int
    output: str


@dataclass(frozen=True)
class Project:
    """Images, a config and a state folder of their own.

    Attributes:
        folder: of all three.
        home: name of the state folder.
        commands: what runs a command; None: each is a process of its own from the start.
    """

    folder: Path
    home: str = "home"
    commands: Commands | None = None

    def at(self, home: str) -> Project:
        """The same images and config with another state folder."""
        return replace(self, home=home, commands=None)

    @property
    def photos(self) -> Path:
        """One folder a class."""
        return self.folder / "photos"

    @property
    def state(self) -> Path:
        """Where TAXON_STATE points."""
        return self.folder / self.home

    @property
    def config(self) -> Path:
        """The run's configuration."""
        return self.folder / "toy.yaml"

    def command(self, *arguments: str) -> list[str]:
        """The command line as a list."""
        return [sys.executable, str(ROOT / "run.py"), *arguments]

    def environment(self) -> dict[str, str]:
        """The variables of a run of this project."""
        return os.environ | {"TAXON_STATE": str(self.state), "NO_COLOR": "1"}

    def run(self, *arguments: str) -> Finished:
        """Run one command to its end."""
        if self.commands is not None:
            words = self.folder / "output.txt"
            code = self.commands.run(arguments, self.environment(), words)
            return Finished(code, words.read_text(encoding="utf-8"))
        done = subprocess.run(
            self.command(*arguments),
            cwd=ROOT,
            env=self.environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=MOST_SECONDS,
        )
        return Finished(done.returncode, done.stdout + done.stderr)

    def train(self, *overrides: str) -> Finished:
        """Run the training pipeline with overrides."""
        settings = [part for override in overrides for part in ("--set", override)]
        return self.run("--pipeline", "training", "--config", str(self.config), *settings)

    def summary(self) -> dict[str, Any]:
        """summary.json of the latest run."""
        loaded: dict[str, Any] = json.loads((self.state / "runs" / "latest" / "summary.json").read_text())
        return loaded

    def executed(self) -> set[str]:
        """Steps of the latest run that were not reused."""
        summary = self.summary()
        return set(summary["seconds"]["steps"]) - set(summary["cached_steps"])


def make_project(folder: Path, candidates: Sequence[str]) -> Project:
    """Draw the images and write the config."""
    project = Project(folder)
    for number, (name, colour) in enumerate({**CLASSES, **HELD_OUT}.items()):
        draw_class(project.photos / name, colour, number)
    settings = {"width": 0.125, "epochs": 5, "learning_rate": 0.01, "batch_size": 16}
    tree = {
        "name": "toy",
        "dataset": {
            "source": "folder",
            "path": str(project.photos),
            "group_by": "^(?P<group>.+)_frame",
            "unknown_classes": list(HELD_OUT),
        },
        "images": {"size": 32},
        "training": {"candidates": {name: {"backbone": name, **settings} for name in candidates}},
        "bootstrap": {"resamples": 200},
        "unknowns": {"num_far": 20, "alpha": 0.3, "delta": 0.3},
        "review": {"target_risk": 0.3, "delta": 0.3},
        "gate": {"max_known_called_unknown": 1.0},
    }
    project.config.write_text(yaml.safe_dump(tree))
    return project


def draw_class(folder: Path, colour: tuple[int, int, int], seed: int) -> None:
    """Two frames of each of some individuals: a noisy disc of one colour on grey."""
    folder.mkdir(parents=True)
    for individual in range(NUM_INDIVIDUALS):
        for frame in range(2):
            draw_image(
                folder / f"i{seed}-{individual:02d}_frame{frame}.png", colour, (seed, individual, frame)
            )


def draw_image(path: Path, colour: tuple[int, int, int], seed: tuple[int, ...]) -> None:
    """One noisy disc in a file."""
    paint_image(colour, seed).save(path)


def paint_image(colour: tuple[int, int, int], seed: tuple[int, ...]) -> Image.Image:
    """One noisy disc."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:40, :48]
    centre, radius = rng.uniform(14, 30, 2), rng.uniform(10, 15)
    inside = (x - centre[0]) ** 2 + (y - centre[1]) ** 2 < radius**2
    pixels = np.where(inside[..., None], np.array(colour), 128.0) + rng.normal(0, 18, (40, 48, 3))
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
