"""Answer many pictures with a bundle, as the service would."""

import hashlib
import shutil
from collections.abc import Sequence
from contextlib import closing, nullcontext
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from tempfile import mkdtemp
from typing import Annotated

from zenml import step

from materializers.names import ArtifactName
from report.pages.predictions import write_predictions
from serving.log.entries import LogEntry
from serving.log.prediction_log import PredictionLog
from steps.executor import executor_of_run
from vision.base.files import digest_file
from vision.base.progress import ProgressLog
from vision.bundle.assembly import read_contract
from vision.bundle.records import Bundle
from vision.config.prediction import BatchSettings
from vision.data.records import Splits
from vision.prediction.batch import Batch, BatchModel
from vision.prediction.boxes import Boxes
from vision.prediction.engines import Answered, Wanted
from vision.prediction.listing import open_items
from vision.prediction.part_file import JOB_NAME
from vision.prediction.records import BatchSummary, PredictionFiles
from vision.work.current import open_work

CLIENT = "batch"
"""Name of the client in the prediction log."""

WAIT_S = 5.0


@step(enable_cache=False)
def answer_batch(
    bundle: Bundle,
    splits: Splits,
    model: tuple[str, str, str],
    path: str,
    settings: BatchSettings,
    group_by: str | None,
    log_url: str | None,
    state: str,
) -> tuple[
    Annotated[PredictionFiles, ArtifactName.PREDICTIONS],
    Annotated[BatchSummary, ArtifactName.PREDICTION_SUMMARY],
]:
    """Tables and contact sheet, and what they come to; a stopped batch goes on where it was.

    Args:
        bundle: what answers.
        splits: of the images that it was made from.
        model: its name, version and pinned digest.
        path: what is asked.
        settings: what is wanted of each answer.
        group_by: pattern of groups in file names, as in training.
        log_url: the prediction log, where answers are logged.
        state: folder in which unfinished answers lie.
    """
    name, version, digest = model
    wanted = Wanted(settings.top_k, settings.heat_maps, quality=log_url is not None)
    log = nullcontext(None) if log_url is None else closing(PredictionLog(log_url, wait_s=WAIT_S))
    boxes = Boxes(read_contract(bundle.root).crop_margin, settings.boxes)
    with (
        open_work(executor_of_run()),
        open_items([Path(path)], group_by, boxes) as listing,
        log as opened,
    ):
        taught = splits.uses(), splits.taught_groups()
        batch = Batch(listing, BatchModel(bundle.root, digest, name, version, *taught), wanted)
        folder = Path(state) / batch.key
        listen = (lambda _: None) if opened is None else partial(_log, opened, batch)
        summary, _ = write_predictions(batch, folder, ProgressLog("answers"), listen)
    (folder / JOB_NAME).unlink()
    root = Path(shutil.move(folder, mkdtemp(prefix="predictions-"))).resolve()
    files = [each for each in sorted(root.rglob("*")) if each.is_file()]
    digests = {each.relative_to(root).as_posix(): digest_file(each) for each in files}
    return PredictionFiles(root=root, files=digests), summary


def _log(log: PredictionLog, batch: Batch, chunk: Sequence[Answered]) -> None:
    """Log the answers to pictures that this model was not asked about before.

    A picture counts once, however often and under whatever names it is asked: a folder that grows and is
    answered every night tells monitoring what is new in it, not its oldest pictures again and again.
    """
    entries = {each.prediction_id: each for each in (_make_entry(batch.model, one) for one in chunk) if each}
    known = log.find(list(entries))
    for prediction_id, entry in entries.items():
        if prediction_id not in known:
            log.append(entry)


def _make_entry(model: BatchModel, answered: Answered) -> LogEntry | None:
    prediction = answered.row.prediction
    if (
        prediction is None
        or answered.logits is None
        or answered.embedding is None
        or answered.quality is None
    ):
        return None
    about = f"{model.digest}\0{answered.row.digest}"
    return LogEntry(
        prediction_id=hashlib.sha256(about.encode()).hexdigest()[:32],
        time=datetime.now(UTC),
        client=CLIENT,
        file_name=answered.row.path,
        latency_ms=1000 * answered.seconds,
        model_name=model.name,
        model_version=model.version,
        model_digest=model.digest,
        group=answered.row.group,
        decision=prediction.decision,
        class_name=prediction.class_name,
        confidence=prediction.confidence,
        unknown_score=prediction.unknown_score,
        p_value=prediction.p_value,
        logits=answered.logits,
        embedding=answered.embedding,
        quality=answered.quality,
        unknown_kind=prediction.unknown_kind,
    )
