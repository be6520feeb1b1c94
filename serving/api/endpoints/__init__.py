"""Every endpoint there is: one line each."""

from __future__ import annotations

from serving.api.endpoint import Endpoint
from serving.api.endpoints.corrections import CORRECTIONS
from serving.api.endpoints.documents import DOCS, OPENAPI
from serving.api.endpoints.enrol import ENROL
from serving.api.endpoints.explain import EXPLAIN
from serving.api.endpoints.metrics import METRICS
from serving.api.endpoints.model import MODEL
from serving.api.endpoints.predict import PREDICT
from serving.api.endpoints.predict_batch import PREDICT_BATCH
from serving.api.endpoints.probes import LIVEZ, READYZ
from serving.api.endpoints.review import REVIEW, UNDO
from serving.api.endpoints.similar import SIMILAR
from serving.api.endpoints.traffic import TRAFFIC

ENDPOINTS: tuple[Endpoint, ...] = (
    PREDICT,
    PREDICT_BATCH,
    EXPLAIN,
    SIMILAR,
    ENROL,
    CORRECTIONS,
    UNDO,
    REVIEW,
    MODEL,
    TRAFFIC,
    LIVEZ,
    READYZ,
    METRICS,
    OPENAPI,
    DOCS,
)
