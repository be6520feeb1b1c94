"""Classes that were enrolled from a few pictures, as this worker answers them beside its model's own.

Their pictures lie in the log's database; what is compared is made from them by the graph that is served, anew
after every deployment. Other workers learn of a change within seconds. What the model knows is left out.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from itertools import chain

import numpy as np

from serving.api.problems import ProblemError
from serving.api.refusals import not_told_apart
from serving.api.schemas import EnrolledAnswer, NamedClass, ProvisionalClass
from serving.api.settings import ServiceSettings
from serving.log.enrolments import Enrolment, add_enrolment, list_enrolments, tell_state
from serving.log.prediction_log import PredictionLog
from vision.base.errors import DataError, LogError, TaxonError
from vision.base.record import FloatArray
from vision.bundle.enrolment import ALPHA, EnrolledClass, Space, enrol, make_space
from vision.bundle.neighbours import Neighbours
from vision.bundle.records import LEAST_PICTURES

LOOK_SECONDS = 5.0

Embedded = tuple[FloatArray, bool]
"""Embedding (d,) of a picture, and whether the model takes it for a stranger."""

_logger = logging.getLogger("taxon.serving")


@dataclass(frozen=True)
class NewClass:
    """A class to enrol: name and bytes of each picture, and the client that sent them."""

    class_name: str
    images: tuple[tuple[str, bytes], ...]
    client: str


class EnrolledClasses:
    """The enrolled classes of one model; safe to use from several threads."""

    def __init__(
        self,
        model_name: str,
        known: Neighbours,
        embed: Callable[[bytes], Embedded],
        log: PredictionLog,
        settings: ServiceSettings,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Read them when first asked.

        Args:
            model_name: whose new classes they are.
            known: images of the classes that the model knows.
            embed: (d,) of the bytes of an image, and whether the model takes it for a stranger; raises
                TaxonError where they are none.
            log: keeps the pictures.
            settings: bound the pictures that are kept.
            clock: gives seconds.
        """
        self._model_name, self._known, self._embed, self._log = model_name, known, embed, log
        self._settings = settings
        self._clock, self._look_at = clock, float("-inf")
        self._state = (0, 0)
        self._classes: list[EnrolledClass] = []
        self._embedded: dict[bytes, Embedded] = {}  # by SHA-256 of a picture
        self._lock = threading.Lock()

    @cached_property
    def _space(self) -> Space:
        """Made when there is a class to compare: it takes seconds where many images are known."""
        return make_space(self._known)

    def take(self, new: NewClass, time: datetime) -> EnrolledAnswer:
        """Enrol a class, or add pictures to one; it is answered from now on.

        Raises:
            ProblemError: the pictures are too few, unusable or cannot be told from known classes.
            LogError: the log cannot keep them.
        """
        try:
            kept = self._list_earlier()
            self._refuse_too_many([*chain.from_iterable(kept.values()), *(image for _, image in new.images)])
            earlier = kept.get(new.class_name, [])
            made = self._make(new.class_name, [*earlier, *(image for _, image in new.images)])
            add_enrolment(
                self._log, Enrolment(self._model_name, new.class_name, new.client, time, new.images)
            )
        except DataError as error:
            raise not_told_apart(new.class_name, error) from error
        self._look_at = float("-inf")
        return EnrolledAnswer(
            class_name=made.class_name,
            num_images=made.num_images,
            num_recognised=made.num_recognised,
            threshold=round(made.threshold, 4),
            alpha=ALPHA,
        )

    def _refuse_too_many(self, images: list[bytes]) -> None:
        """Raise ProblemError if these, of all new classes, are more than may be kept: each is read again."""
        settings, megabytes = self._settings, sum(map(len, images)) / 1e6
        most = settings.max_enrolled_bytes / 1e6
        if len(images) > settings.max_enrolled_images or megabytes > most:
            raise ProblemError(
                "enrolled-enough",
                arrived=f"With these it would be {len(images)} pictures of new classes, {megabytes:.0f} MB",
                expected=f"at most {settings.max_enrolled_images}, {most:.0f} MB",
                advice="Ask the operator to train with the enrolled classes, or to forget one: python "
                "run.py enrol NAME --forget CLASS",
            )

    def find(self, embedding: FloatArray) -> ProvisionalClass | None:
        """The enrolled class that an image (d,) is taken for; None where it is like none of them."""
        self._read_changes()
        found = [(each.similarity(embedding) - each.threshold, each) for each in self._classes]
        margin, best = max(found, key=lambda each: each[0], default=(0.0, None))
        if best is None or margin <= 0:
            return None
        return ProvisionalClass(
            class_name=best.class_name,
            similarity=round(margin + best.threshold, 4),
            threshold=round(best.threshold, 4),
            num_images=best.num_images,
        )

    def list_classes(self) -> tuple[NamedClass, ...]:
        """The classes that are told."""
        self._read_changes()
        return tuple(
            NamedClass(class_name=each.class_name, num_images=each.num_images) for each in self._classes
        )

    def _read_changes(self) -> None:
        """Read the enrolments again where they changed; a log that fails leaves those that were read."""
        with self._lock:
            if self._clock() < self._look_at:
                return
            self._look_at = self._clock() + LOOK_SECONDS
            try:
                state = tell_state(self._log, self._model_name) if self._log.exists() else (0, 0)
                if state != self._state:
                    self._classes = self._make_all()
                    self._state = state
            except LogError as error:
                _logger.warning("Enrolled classes cannot be read anew: %s", error)

    def _make_all(self) -> list[EnrolledClass]:
        made = []
        for name, images in self._list_earlier().items():
            try:
                made.append(self._make(name, images))
            except TaxonError as error:
                _logger.warning("The enrolled class %s is not answered: %s", name, error)
        return made

    def _list_earlier(self) -> dict[str, list[bytes]]:
        images: defaultdict[str, list[bytes]] = defaultdict(list)
        if self._log.exists():
            for each in list_enrolments(self._log, self._model_name):
                images[each.class_name] += [image for _, image in each.images]
        return images

    def _make(self, class_name: str, images: list[bytes]) -> EnrolledClass:
        different = list(dict.fromkeys(images))
        if not different:
            raise DataError(f"no pictures came; expected {LEAST_PICTURES} or more. Add some")
        found = [self._embed_once(each) for each in different]
        num_strangers = sum(is_stranger for _, is_stranger in found)
        if 2 * num_strangers > len(found):
            raise DataError(
                f"{num_strangers} of its {len(found)} pictures are none of the kind that was taught: the "
                "model cannot tell one such thing from another; expected a class of that kind. Train a model "
                "with it"
            )
        return enrol(self._known, self._space, np.stack([each for each, _ in found]), class_name)

    def _embed_once(self, image: bytes) -> Embedded:
        """What is found of a picture, which is asked again after every enrolment."""
        digest = hashlib.sha256(image).digest()
        if digest not in self._embedded:
            self._embedded[digest] = self._embed(image)
        return self._embedded[digest]
