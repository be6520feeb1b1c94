"""A champion's own answers, without HTTP: real images through the real `Answerer` into the real log."""

from __future__ import annotations

import io
import time
from contextlib import closing
from pathlib import Path

from PIL import Image, ImageEnhance, ImageFilter

from serving.answers import Answerer, Question
from serving.log_entries import LogEntry
from serving.prediction_log import PredictionLog
from serving.schemas import ServedModel
from serving.settings import ServiceSettings
from tests.end_to_end.project import CLASSES, Project, draw_image
from vision.bundle import load_bundle
from vision.files import digest_file
from vision.records import Bundle

FRAMES = 3


class Keeper:
    """A log whose failures fail the test."""

    def __init__(self, log: PredictionLog) -> None:
        self._log = log

    def append(self, entry: LogEntry) -> bool:
        self._log.append(entry)
        return True

    def find_fault(self) -> str | None:
        return None


def log_path(project: Project) -> Path:
    """Where the default `serve.log.url` leads."""
    return project.state / "state" / "predictions.sqlite"


def find_bundle(project: Project, digest: str) -> Path:
    """Folder of the bundle of this digest in the project's artifact store."""
    for contract in sorted((project.state / "state" / "zenml").rglob(Bundle.CONTRACT_NAME)):
        names = sorted(each.name for each in contract.parent.iterdir())
        files = {name: digest_file(contract.parent / name) for name in names}
        if Bundle(root=contract.parent, files=files, name="toy").digest == digest:
            return contract.parent
    raise FileNotFoundError(f"no bundle of digest {digest}")


def answer_images(
    project: Project,
    digest: str,
    num_individuals: int,
    first: int,
    *,
    dim: bool = False,
    grouped: bool = True,
) -> None:
    """Answer some frames of each of some new individuals; `dim`: darkened and blurred.

    Args:
        project: trained.
        digest: of its champion.
        num_individuals: so many groups.
        first: number of the first of them.
        dim: as seen through a dirty lens.
        grouped: the client names the individual.
    """
    with closing(PredictionLog(f"sqlite:///{log_path(project)}")) as log:
        answerer = Answerer(
            load_bundle(find_bundle(project, digest), digest),
            ServedModel(name="toy", version="1", digest=digest),
            ServiceSettings(),
            Keeper(log),
        )
        for individual in range(first, first + num_individuals):
            for frame in range(FRAMES):
                content = _paint(project.folder, individual, frame, dim=dim)
                group = f"fish-{individual}" if grouped else None
                answerer.answer(
                    Question(content, f"{individual}_{frame}.png", "diver", group, False, time.perf_counter())
                )


def _paint(folder: Path, individual: int, frame: int, *, dim: bool) -> bytes:
    """One frame of an individual that training never saw."""
    path = folder / "asked.png"
    number = individual % len(CLASSES)
    draw_image(path, list(CLASSES.values())[number], (number, 100 + individual, frame))
    image = Image.open(path).convert("RGB")
    if dim:
        image = ImageEnhance.Brightness(image.filter(ImageFilter.GaussianBlur(2))).enhance(0.5)
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()
