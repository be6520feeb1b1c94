"""From the files of a pinned bundle to an `Answerer` that is verified, warmed up and connected to its log."""

from __future__ import annotations

from pathlib import Path

from serving.api.answering.answers import Answerer
from serving.api.answering.pinned import PinnedModel
from serving.api.metrics import ServiceMetrics
from serving.api.schemas import ServedModel
from serving.api.settings import ServiceSettings
from serving.log.lossy import LossyLog
from serving.log.prediction_log import PredictionLog
from vision.bundle.assembly import load_bundle


def load_answerer(
    root: Path, pinned: PinnedModel, settings: ServiceSettings, metrics: ServiceMetrics
) -> Answerer:
    """The answerer over the bundle in `root`, ready for its first request.

    The prediction log at TAXON_LOG_URL opens with the first answer; without that variable there is none.

    Raises:
        BundleError: a byte of the bundle is not the one that was pinned.
        ConfigError: the log's URL is of a kind that is not supported.
        TaxonError: the graph cannot answer a grey image.
    """
    bundle = load_bundle(root, pinned.digest, settings.engine_threads)
    model = ServedModel(name=pinned.name, version=pinned.version, digest=bundle.digest)
    log = None
    if settings.log_url is not None:
        url = settings.log_url.get_secret_value()
        kept = PredictionLog(url, wait_s=settings.log_wait_s, keep_images=settings.keep_images)
        log = LossyLog(kept, metrics.lost.inc)
    answerer = Answerer(bundle, model, settings, log, metrics=metrics)
    answerer.warm_up()
    metrics.tell_model(model)
    return answerer
