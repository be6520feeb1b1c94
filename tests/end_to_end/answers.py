"""A service is asked over HTTP about individuals that training never saw, plain or through dirty water."""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageEnhance, ImageFilter

from serving.api.schemas import PredictionAnswer
from serving.client import ask_service
from serving.runtime.running import RunningService, ServiceFolder
from tests.end_to_end.project import CLASSES, draw_image, paint_image

FRAMES = 3
GROUP_BY = "^(?P<group>.+)_frame"


@dataclass(frozen=True)
class Answers:
    """Answers to images whose class is known.

    Attributes:
        given: in the order of the questions.
        num_right: so many name the class, whatever the decision.
        num_unknown: so many are called unknown.
    """

    given: tuple[PredictionAnswer, ...]
    num_right: int
    num_unknown: int


def dim(image: Image.Image) -> Image.Image:
    """The picture as a dirty window in deep water shows it: a third of the light, and blurred."""
    return ImageEnhance.Brightness(image.filter(ImageFilter.GaussianBlur(1))).enhance(0.35)


def read_service(folder: ServiceFolder) -> RunningService:
    """The service as it is written down."""
    return RunningService.model_validate_json(folder.record.read_bytes())


def ask_about(folder: ServiceFolder, individuals: Iterable[int], *, dimmed: bool) -> Answers:
    """The running service's answers to some frames of each individual, whose number is the group.

    Args:
        folder: of the service, which has a local client.
        individuals: numbers; the class goes by the number.
        dimmed: as `dim` shows them.
    """
    service, key = read_service(folder), folder.key.read_text().strip()
    given: list[PredictionAnswer] = []
    num_right = 0
    for individual in individuals:
        number = individual % len(CLASSES)
        name = list(CLASSES)[number]
        for frame in range(FRAMES):
            image = paint_image(CLASSES[name], (number, 100 + individual, frame))
            buffer = io.BytesIO()
            (dim(image) if dimmed else image).save(buffer, "PNG")
            file_name, group = f"{individual}_{frame}.png", f"fish-{individual}"
            answer = ask_service(service.url, key, buffer.getvalue(), file_name, group=group)
            num_right += answer.class_name == name
            given.append(answer)
    num_unknown = sum(each.decision == "unknown" for each in given)
    return Answers(tuple(given), num_right, num_unknown)


def draw_batch(
    folder: Path, num_individuals: int, *, dimmed: bool = False, labels: dict[str, str] | None = None
) -> Path:
    """A folder of newly labelled images: two frames of each new individual of each class.

    Args:
        folder: to be made.
        num_individuals: of each class.
        dimmed: as `dim` shows them.
        labels: class -> name of the folder that its images are filed under, where that is another.
    """
    for number, (name, colour) in enumerate(CLASSES.items()):
        place = folder / (labels or {}).get(name, name)
        place.mkdir(parents=True, exist_ok=True)
        for individual in range(num_individuals):
            for frame in range(2):
                path = place / f"{number}-{individual:02d}_frame{frame}.png"
                draw_image(path, colour, (1000 + dimmed, number, individual, frame))
                if dimmed:
                    dim(Image.open(path)).save(path)
    return folder
