"""Steps in a person's words, and how long each usually takes: for the time left of a first run."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class StepWords:
    """How a step is shown while it runs, and how long it usually takes on 2 cores, with frozen networks.

    Attributes:
        words: what it does; `{}` stands for what it does it to, where a pipeline has several of it.
        fixed: seconds whatever the number of images.
        each: further seconds for 1,000 images.
    """

    words: str
    fixed: float = 0.4
    each: float = 0.0

    def seconds(self, images: int) -> float:
        """Usual seconds for so many images."""
        return self.fixed + self.each * images / 1000


STEPS = {
    "ingest": StepWords("reading the images", 0, 3),
    "split": StepWords("splitting into training, validation and test"),
    "validate": StepWords("checking the data"),
    "explore": StepWords("looking at the classes", 2),
    "train": StepWords("training {}", 4, 10),
    "infer_teacher": StepWords("asking the model in production", 1, 4),
    "tune": StepWords("trying settings", 60, 100),
    "infer": StepWords("asking {}", 3, 5),
    "infer_exported": StepWords("asking the exported network", 1, 4),
    "infer_precisions": StepWords("trying its precisions", 1, 1),
    "infer_test": StepWords("asking about the test images", 7, 2),
    "fit_unknowns": StepWords("learning what {} should not know", 1, 4),
    "calibrate": StepWords("calibrating {}"),
    "set_thresholds": StepWords("setting the thresholds of {}"),
    "evaluate": StepWords("judging {}", 0.6),
    "evaluate_test": StepWords("judging the test", 2),
    "compare": StepWords("comparing the networks"),
    "measure_gains": StepWords("asking again by views and candidates"),
    "pick_winner": StepWords("picking the winner", 0.6),
    "export": StepWords("exporting the winner", 20),
    "check_precisions": StepWords("comparing precisions"),
    "require_precision": StepWords("choosing the precision"),
    "assemble": StepWords("packing the model"),
    "fit_baselines": StepWords("fitting simple rivals", 1),
    "promote": StepWords("deciding whether it goes into production", 0.5),
    "register": StepWords("registering the model"),
    "read_window": StepWords("reading the answers", 1),
    "monitor": StepWords("comparing answers and training", 3),
    "trim_log": StepWords("deleting old answers"),
    "count_new_images": StepWords("counting new images"),
    "decide_retraining": StepWords("deciding whether to train again"),
    "answer_batch": StepWords("answering the pictures", 5, 10),
    "deploy": StepWords("building, trying and starting the service", 25),
}
EXPORTED = "exported"
"""What the steps are called after that work on the winner's exported network."""


def describe_step(name: str) -> StepWords:
    """Words and usual seconds of a step by its name in the pipeline; without words, the name itself."""
    if name in STEPS:
        return STEPS[name]
    stem = max((each for each in STEPS if name.startswith(f"{each}_")), key=len, default=None)
    if stem is None:
        return StepWords(name.replace("_", " "))
    subject = name[len(stem) + 1 :]
    shown = "the exported network" if subject == EXPORTED else subject
    return replace(STEPS[stem], words=STEPS[stem].words.format(shown))
