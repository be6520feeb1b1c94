"""The BentoML service: its supervisor, workers and packaging around our own endpoints.

BentoML's typed image inputs are not used: they answer damaged images with 500 and fetch URLs. No request
reaches BentoML's own application at all: its pages (/docs.json, /schema.json, /healthz, its index) would be
open to everybody, its timeout tells the client 504 while the answer is still made and logged, and its layers
cost CPU at every answer. It starts and ends the endpoints with the worker (ASGI lifespan). Its metrics
are switched off because they name series after whatever path was asked for, its access log because it writes
down clients' addresses without end. Decision note 0008 has the evidence.

This module is imported by the Bento's build and by the supervisor as well, so it loads nothing: the worker
does, when it makes its application.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import bentoml
from _bentoml_sdk.service import Service
from bentoml.exceptions import BentoMLException

from serving.runtime.pinned import BUNDLE_FOLDER, PINNED_NAME, read_pinned
from vision.base.errors import BundleError, ConfigError

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from serving.api.answers import Answerer
    from serving.api.keys import ApiKeys
    from serving.api.metrics import ServiceMetrics
    from serving.api.settings import ServiceSettings
    from serving.api.state import LoadAnswerer

ROOT = Path(__file__).resolve().parent.parent
"""In a Bento: the folder of its code, with `pinned.json`."""

SERVICE_NAME = "taxon"

_NO_KEYS = (
    "TAXON_API_KEYS is not set, so nobody could ask. Expected name:key,name:key. Start the service with "
    "python run.py service start, which makes a key."
)


class GuardedService(Service[Any]):  # type: ignore[misc]  # BentoML ships no types for it
    """A BentoML service that consists of our endpoints behind our guard."""

    def to_asgi(self, is_main: bool = True) -> ASGIApp:
        """The worker's application: guard and endpoints. What BentoML made starts and ends them, no more."""
        from serving.api.application import build_application
        from serving.api.endpoints import ENDPOINTS
        from serving.api.guards import Guard
        from serving.api.heads import bound_heads
        from serving.api.metrics import ServiceMetrics
        from serving.api.state import ServiceState
        from serving.runtime.supervised import leave_with_supervisor

        leave_with_supervisor()
        settings, keys, load = configure()
        metrics = ServiceMetrics()
        bound_heads(metrics.count_refusal)
        application = build_application(ServiceState(settings, metrics, load))
        self.mount_asgi_app(application)
        lifespan = super().to_asgi(is_main)
        return Guard(application, lifespan, ENDPOINTS, keys, settings.max_body_bytes, metrics)


def configure() -> tuple[ServiceSettings, ApiKeys, LoadAnswerer]:
    """Settings, keys and loader that the environment gives; with a wrong one, a service that is never ready.

    A worker that failed at its start would be started again for ever, and nobody would be told why.
    """
    from serving.api.keys import parse_keys
    from serving.api.settings import ServiceSettings, read_settings

    try:
        settings = read_settings(os.environ)
        keys = parse_keys(settings.api_keys.get_secret_value())
    except ConfigError as error:
        return ServiceSettings(), parse_keys(""), _refuse(error)
    if not keys:
        return settings, keys, _refuse(ConfigError(_NO_KEYS))
    return settings, keys, load_pinned


def _refuse(error: ConfigError) -> LoadAnswerer:
    def load(_settings: ServiceSettings, _metrics: ServiceMetrics) -> Answerer:
        raise error

    return load


def load_pinned(settings: ServiceSettings, metrics: ServiceMetrics) -> Answerer:
    """The answerer over the bundle that this Bento was built for.

    Raises:
        BundleError: the model is not in BentoML's store, or a byte of it is not the pinned one.
        TaxonError: its graph cannot answer.
    """
    from serving.api.loading import load_answerer

    pinned = read_pinned(ROOT / PINNED_NAME)
    try:
        root = Path(bentoml.models.get(pinned.tag).path_of(BUNDLE_FOLDER))
    except BentoMLException as error:
        raise BundleError(
            f"Model {pinned.tag} is not in BentoML's store ({error}). Expected it where the Bento was built; "
            "build the Bento again."
        ) from error
    return load_answerer(root, pinned, settings, metrics)


@bentoml.service(
    name=SERVICE_NAME,
    service_class=GuardedService,
    workers=1,
    metrics={"enabled": False},
    logging={"access": {"enabled": False}},
    http={"host": "127.0.0.1", "port": 3000},
)
class Taxon:
    """Image to class, calibrated confidence and decision; see POST /predict."""
