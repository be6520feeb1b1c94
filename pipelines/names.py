"""Names of the pipelines; importing this loads no step."""

from __future__ import annotations

from enum import StrEnum


class PipelineName(StrEnum):
    """Names of pipelines in ZenML and on the command line, with what each makes of what, and its verb there.

    Each has a DAG in `pipelines/` and a flow in `orchestration/flows/` of the same name.
    """

    description: str
    verb: str

    def __new__(cls, value: str, description: str, verb: str = "") -> PipelineName:
        """A name that knows its line of the help, and the command that runs it: `train` for training."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.description = description
        member.verb = verb
        return member

    TRAINING = "training", "from a folder of images to a trained, compared, exported, judged model", "train"
    MONITORING = (
        "monitoring",
        "from the newest answers to a verdict: drift, quiet, or too few to say",
        "monitor",
    )
    RETRAINING = (
        "retraining",
        "from drift, new images and age to a decision; on a yes, training",
        "retrain",
    )
    TUNING = (
        "tuning",
        "from trials of learning rate, strategy, augmentation and dropout to a config with the best of them",
        "tune",
    )
    FINETUNE_COMPARISON = (
        "finetune_comparison",
        "one pretrained network under each strategy, side by side: right, decided alone, time",
        "compare-strategies",
    )
    DEPLOYMENT = (
        "deployment",
        "from the model in production to a service whose answers are the pipeline's own",
        "deploy",
    )
    BATCH_PREDICTION = (
        "batch_prediction",
        "from a folder, CSV or ZIP of pictures to answers, as artifacts (see predict)",
    )
