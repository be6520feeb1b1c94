"""The Bento's service for `bentoml serve` and containers: BentoML's supervisor around our own endpoints.

BentoML's typed image inputs are not used: they answer damaged images with 500 and fetch URLs. A middleware
answers every request itself, so that none reaches BentoML's own pages (/docs.json, /schema.json, its index),
which are open to everybody. Its metrics are switched off because they name series after whatever path was
asked for, its access log because it writes down clients' addresses, and its timeout is out of reach, because
it tells the client 504 while the answer is still made and logged. Decision note 0008 has the evidence.

`run.py service` runs the same application by `serving.runtime.worker`.

This module is imported by the Bento's build and by the supervisor as well, so it loads no model.
"""

from __future__ import annotations

from functools import cache
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

import bentoml
from bentoml.exceptions import BentoMLException

from serving.api.answering.pinned import BUNDLE_FOLDER, PinnedModel
from serving.api.requests.heads import bound_heads
from vision.base.errors import BundleError

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from serving.api.application import Application
    from serving.api.metrics import ServiceMetrics

SERVICE_NAME = "taxon"


@cache
def _guarded() -> tuple[Application, ServiceMetrics]:
    """The application of this process, made when it is first asked for."""
    from serving.runtime.guarded import guard_endpoints
    from serving.runtime.logs import set_up_logs

    set_up_logs("taxon")  # the rest is BentoML's
    return guard_endpoints(find_bundle)


class OwnEndpoints:
    """Middleware that answers every request with our application; the one below is never asked."""

    def __init__(self, _app: ASGIApp) -> None:
        """As Starlette makes middleware."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        await _guarded()[0](scope, receive, send)


def find_bundle(pinned: PinnedModel) -> Path:
    """The bundle of a pinned model in the store that BentoML uses.

    Raises:
        BundleError: it is not there.
    """
    try:
        return Path(bentoml.models.get(pinned.tag).path_of(BUNDLE_FOLDER))
    except BentoMLException as error:
        raise BundleError(
            f"Model {pinned.tag} is not in BentoML's store ({error}). Expected it where the Bento was built; "
            "build the Bento again."
        ) from error


def _count_refusal(status: HTTPStatus) -> None:
    _guarded()[1].count_refusal(status)


@bentoml.service(
    name=SERVICE_NAME,
    workers=1,
    metrics={"enabled": False},
    logging={"access": {"enabled": False}},
    traffic={"timeout": 86_400},
    http={"host": "127.0.0.1", "port": 3000},
)
class Taxon:
    """Image to class, calibrated confidence and decision; see POST /predict."""


_service: Any = Taxon  # BentoML's decorator makes a service of the class
_service.add_asgi_middleware(OwnEndpoints)
bound_heads(_count_refusal)
