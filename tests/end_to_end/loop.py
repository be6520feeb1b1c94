"""One project through the whole loop: trained as `run.py` does it, served, monitored, trained again."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from serving.runtime.running import RunningService, ServiceFolder
from tests.end_to_end.answers import GROUP_BY, Answers, ask_about, read_service
from tests.end_to_end.commands import Commands
from tests.end_to_end.project import Finished, Project, make_project


@dataclass(frozen=True)
class Loop:
    """A project with its one service, and how its first training ended."""

    project: Project
    folder: ServiceFolder
    trained: Finished

    def command(self, *arguments: str) -> Finished:
        """A command with the project's config."""
        return self.project.run(*arguments, "--config", str(self.project.config))

    def monitor(self, *overrides: str) -> dict[str, Any]:
        """Judge the newest answers; the summary."""
        settings = [part for each in overrides for part in ("--set", each)]
        finished = self.command("--pipeline", "monitoring", *settings)
        assert finished.code == 0, finished.output[-4000:]
        summary: dict[str, Any] = json.loads((self.newest("monitoring") / "summary.json").read_text())
        return summary

    def retrain(self, code: int = 0) -> dict[str, Any]:
        """Decide on a retraining and do it; the summary of the decision, with what was said."""
        finished = self.command("--pipeline", "retraining")
        assert finished.code == code, finished.output[-4000:]
        folder = self.newest("retraining")
        assert (folder / "decision.md").is_file()
        summary: dict[str, Any] = json.loads((folder / "summary.json").read_text())
        return {**summary, "output": " ".join(finished.output.split())}

    def newest(self, pipeline: str) -> Path:
        """Folder of the newest run of a pipeline."""
        return max((self.project.state / "runs").glob(f"toy-{pipeline}-*"), key=lambda folder: folder.name)

    def running(self) -> RunningService:
        """The service as it is written down."""
        return read_service(self.folder)

    def served(self) -> str:
        """Digest of what the service was started with."""
        return self.running().bento.model.digest

    def ask(self, individuals: range, *, dimmed: bool) -> Answers:
        """Answers over HTTP, all of the bundle that is to be served."""
        answers = ask_about(self.folder, individuals, dimmed=dimmed)
        assert {each.model.digest for each in answers.given} == {self.served()}
        return answers

    def name_folder(self, *folders: Path) -> None:
        """Write folders of new images into the project's YAML, as a person would."""
        tree = yaml.safe_load(self.project.config.read_text())
        tree["retraining"]["new_images"] = [{"path": str(each), "group_by": GROUP_BY} for each in folders]
        self.project.config.write_text(yaml.safe_dump(tree))


@contextmanager
def run_loop(folder: Path, candidates: Sequence[str] = ("cnn",)) -> Iterator[Loop]:
    """A small project, trained once and deployed; its service is stopped at the end."""
    project = make_project(folder, candidates)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    tree = yaml.safe_load(project.config.read_text())
    tree |= {
        "deploy": True,
        "export": {"precision": "fp16"},
        "serve": {"port": port, "check_images": 16},
        "monitoring": {"min_groups": 10},
        "retraining": {"cool_down_hours": 0, "max_age_days": None},
    }
    project.config.write_text(yaml.safe_dump(tree))
    trained, commands = project.train(), Commands()
    try:
        yield Loop(replace(project, commands=commands), ServiceFolder(project.state), trained)
    finally:
        commands.close()
        project.run("service", "stop")
