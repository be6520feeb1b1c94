"""The service's ASGI application, made from the environment variables, for any ASGI server."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from serving.api.answering.answers import Answerer
from serving.api.answering.loading import load_answerer
from serving.api.answering.pinned import PINNED_NAME, PinnedModel, read_pinned
from serving.api.answering.state import ServiceState
from serving.api.application import Application
from serving.api.metrics import ServiceMetrics
from serving.api.requests.rates import RateLimits
from serving.api.settings import ServiceSettings, read_settings
from vision.base.closure import ROOT
from vision.base.errors import ConfigError

FindBundle = Callable[[PinnedModel], Path]
"""Folder of the bundle of a pinned model; raises BundleError where there is none."""

_NO_KEYS = (
    "Neither TAXON_API_KEYS nor TAXON_API_KEYS_FILE is set, so nobody could ask. Expected name:key,name:key. "
    "Start the service with python run.py service start, which makes a key."
)


def guard_endpoints(find_bundle: FindBundle) -> tuple[Application, ServiceMetrics]:
    """The application with the environment's settings, keys and model, and what counts its refusals.

    With a wrong setting it is never ready and says why: a worker that ended would be started for ever.
    """
    try:
        settings, fault = read_settings(os.environ), ConfigError(_NO_KEYS)
        rates, keys = RateLimits(settings), settings.read_keys()
    except ConfigError as error:
        settings, fault = ServiceSettings(), error
        rates, keys = RateLimits(settings), {}

    def load(settings: ServiceSettings, metrics: ServiceMetrics) -> Answerer:
        if not keys:
            raise fault
        pinned = read_pinned(ROOT / PINNED_NAME)  # in a Bento ROOT is the folder of its code
        return load_answerer(find_bundle(pinned), pinned, settings, metrics)

    metrics = ServiceMetrics(settings.restarts)
    return Application(ServiceState(settings, metrics, load), keys, rates), metrics
