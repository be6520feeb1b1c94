"""Retrainings are written down at the champion that they were to replace, before they start.

An attempt is metadata of that champion's model version in ZenML, under the name of the training run: cleaning
removes runs and no versions, so what counts against budget and pause outlives them. A retraining that was
killed keeps an attempt without a verdict. One whose data or configuration was refused before anything was
trained is withdrawn: a person mends that, and waits for no pause. Without a champion nothing starts by
itself, so nothing is counted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from zenml import log_metadata
from zenml.client import Client
from zenml.utils.pagination_utils import depaginate

from materializers.registry import DIGEST_KEY
from vision.gate.records import Verdict
from vision.retraining.records import Attempt

if TYPE_CHECKING:
    from zenml.models import ModelVersionResponse

PREFIX = "retraining "
WITHDRAWN = "withdrawn: the data or the configuration was refused before anything was trained"


def read_attempts(model_name: str) -> tuple[Attempt, ...]:
    """All retrainings of a model that count, oldest first, also those that were killed."""
    attempts = [
        Attempt.model_validate_json(str(value))
        for version in _list_versions(model_name)
        for key, value in version.run_metadata.items()
        if key.startswith(PREFIX) and value != WITHDRAWN
    ]
    return tuple(sorted(attempts, key=lambda each: each.time))


def open_attempt(model_name: str, run_name: str, attempt: Attempt) -> None:
    """Write down that the training run `run_name` starts, to replace the champion of `attempt`."""
    _write(model_name, run_name, attempt.champion_digest, attempt.model_dump_json())


def close_attempt(model_name: str, run_name: str, attempt: Attempt, verdict: Verdict) -> None:
    """Write down what the gate said."""
    judged = attempt.model_copy(update={"verdict": verdict})
    _write(model_name, run_name, attempt.champion_digest, judged.model_dump_json())


def withdraw_attempt(model_name: str, run_name: str, attempt: Attempt) -> None:
    """Write down that nothing was trained, so that the attempt counts against neither pause nor budget."""
    _write(model_name, run_name, attempt.champion_digest, WITHDRAWN)


def _write(model_name: str, run_name: str, champion_digest: str | None, value: str) -> None:
    """ZenML keeps every value of a key and shows the newest."""
    for version in _list_versions(model_name):
        if version.run_metadata.get(DIGEST_KEY) == champion_digest:
            log_metadata(metadata={f"{PREFIX}{run_name}": value}, model_version_id=version.id)


def _list_versions(model_name: str) -> list[ModelVersionResponse]:
    client = Client()
    try:
        model = client.get_model(model_name)
    except KeyError:
        return []
    return depaginate(client.list_model_versions, model=model.id, hydrate=True)
