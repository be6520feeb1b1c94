"""POST /predict: the answer for one image."""

from __future__ import annotations

import time

from starlette.requests import Request
from starlette.responses import Response

from serving.api.endpoint import Access, Endpoint, to_json
from serving.api.guards import CLIENT_KEY
from serving.api.keys import CHECK_CLIENT
from serving.api.schemas import PredictionAnswer
from serving.api.state import ServiceState
from serving.api.upload import GROUP_FIELD, IMAGE_FIELD, read_explain, read_upload

_FORM = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": [IMAGE_FIELD],
                "additionalProperties": False,
                "properties": {
                    IMAGE_FIELD: {
                        "type": "string",
                        "format": "binary",
                        "description": "one image; what it is, its bytes say",
                    },
                    GROUP_FIELD: {
                        "type": "string",
                        "description": "what images of one camera, individual or visit share",
                    },
                },
            }
        }
    },
}


async def predict(state: ServiceState, request: Request) -> Response:
    """Decode, run, decide, log, answer."""
    arrived = time.perf_counter()
    answerer = state.require_answerer(request)
    from serving.api.answers import Question  # loaded by now: before, it would hold up the event loop

    explain = read_explain(request)
    with state.admission():
        upload = await read_upload(request, state.settings)
        question = Question(
            image=upload.image,
            file_name=upload.file_name,
            client=request.scope[CLIENT_KEY],
            group=upload.group,
            explain=explain,
            arrived=arrived,
        )
        answer = await state.answer(answerer, question)
    if question.client != CHECK_CLIENT:  # as the log: its test images are no traffic
        state.metrics.count_answer(answer.decision, answer.latency_ms / 1000.0)
    return to_json(answer)


PREDICT = Endpoint(
    path="/predict",
    method="POST",
    access=Access.KEY,
    summary="Class, calibrated confidence and decision (accept, review or unknown) for one image",
    handler=predict,
    answer=PredictionAnswer,
    problems=(
        "content-type",
        "form",
        "group",
        "query",
        "image-format",
        "image-unusable",
        "too-slow",
        "busy",
        "overloaded",
        "model-failed",
        "loading",
        "refused",
    ),
    request=_FORM,
    parameters=(
        {
            "name": "explain",
            "in": "query",
            "required": False,
            "description": "whether the answer holds a heat map of what was looked at (PNG, base64)",
            "schema": {"type": "boolean", "default": False},
        },
    ),
    example='curl -H "X-API-Key: $KEY" -F image=@photo.jpg -F group=visit-3 "$URL/predict?explain=true"',
)
