"""What an operator watches, in Prometheus' form. Every label has a fixed, small set of values.

Under BentoML several processes write into one folder (PROMETHEUS_MULTIPROC_DIR) and any of them can answer
for all; without that variable the registry at hand answers.
"""

from __future__ import annotations

import os
from contextlib import AbstractContextManager
from enum import StrEnum
from functools import partial
from http import HTTPStatus

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector

from serving.api.keys import CHECK_CLIENT
from serving.api.schemas import PredictionAnswer, ServedModel
from vision.decision.records import Decision, UnknownKind

MULTIPROCESS_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
MEDIA_TYPE = CONTENT_TYPE_LATEST

_SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)


class Stage(StrEnum):
    """What a request about pictures spends its time with."""

    RECEIVE = "receive"
    WAIT = "wait"
    DECODE = "decode"
    NETWORK = "network"
    LOG = "log"


class ServiceMetrics:
    """The service's counters and histograms; safe to use from several threads.

    Attributes:
        decisions: answers, by decision.
        requests: by path, of which there are those of the endpoints and `other`, and by status.
        lost: entries that the prediction log did not keep.
        latency: seconds from a request's arrival to the decision.
    """

    def __init__(self, restarts: int = 0) -> None:
        """Register every series, so that a count of zero is there before the first event.

        Args:
            restarts: how often the process was started again; the other series begin at 0 each time.
        """
        self._registry = CollectorRegistry()
        counter = partial(Counter, registry=self._registry)
        histogram = partial(Histogram, registry=self._registry, buckets=_SECONDS)
        self.decisions = counter(
            "taxon_decisions", "Answers by decision, those to a deployment's check left out.", ["decision"]
        )
        self.requests = counter(
            "taxon_requests",
            "Requests by path and status; a path that does not exist is other.",
            ["path", "status"],
        )
        self._unknown = counter(
            "taxon_unknown", "Answers unknown, by kind, those to a deployment's check left out.", ["kind"]
        )
        self._stages = histogram(
            "taxon_stage_seconds",
            "Seconds of each stage of a request about pictures: receive, wait for a thread, decode, network "
            "(with the decision), log.",
            ["stage"],
        )
        self._refusals = counter(
            "taxon_refusals", "Requests refused, by HTTP status; polls of /readyz are none.", ["status"]
        )
        self.lost = counter(
            "taxon_log_entries_lost",
            "Answers that were given but could not be written into the prediction log.",
        )
        self.latency = histogram(
            "taxon_latency_seconds",
            "From a request's arrival to the decision, a deployment's check left out.",
        )
        self._register_gauges(restarts)
        for decision in Decision:
            self.decisions.labels(decision.value)
        for kind in UnknownKind:
            self._unknown.labels(kind.value)
        for stage in Stage:
            self._stages.labels(stage.value)

    def _register_gauges(self, restarts: int) -> None:
        gauge = partial(Gauge, registry=self._registry, multiprocess_mode="livemax")
        self._model = gauge(
            "taxon_model_info",
            "1 for the model that answers, by its name, version and digest.",
            ["name", "version", "digest"],
        )
        gauge(
            "taxon_worker_restarts",
            "Times that the worker ended by itself and was started again; the counts began at 0 with it.",
        ).set(restarts)

    def time_stage(self, stage: Stage) -> AbstractContextManager[object]:
        """A block whose seconds are counted as those of a stage."""
        return self._stages.labels(stage.value).time()

    def tell_model(self, model: ServedModel) -> None:
        """This model answers."""
        self._model.labels(model.name, model.version, model.digest).set(1)

    def count_answer(self, answer: PredictionAnswer, client: str) -> None:
        """One answer was given; those to a deployment's check are no traffic."""
        if client != CHECK_CLIENT:
            self.decisions.labels(answer.decision.value).inc()
            self.latency.observe(answer.latency_ms / 1000.0)
            if answer.unknown_kind is not None:
                self._unknown.labels(answer.unknown_kind.value).inc()

    def count_refusal(self, status: HTTPStatus) -> None:
        """One request was refused."""
        self._refusals.labels(str(status.value)).inc()

    def count_lost(self) -> int:
        """Entries that the prediction log did not keep since the service began, of all processes."""
        families = [each for each in self._gather().collect() if each.name == "taxon_log_entries_lost"]
        samples = [sample for family in families for sample in family.samples]
        return round(sum(each.value for each in samples if each.name.endswith("_total")))

    def render(self) -> bytes:
        """All series, those of the other processes included, in Prometheus' text form."""
        return generate_latest(self._gather())

    def _gather(self) -> CollectorRegistry:
        if not os.environ.get(MULTIPROCESS_VARIABLE):
            return self._registry
        everybody = CollectorRegistry()
        MultiProcessCollector(everybody)  # type: ignore[no-untyped-call]
        return everybody
