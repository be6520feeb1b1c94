"""POST /explain: the picture as the model sees it, warm where its class was read from. Nothing is logged."""

from __future__ import annotations

import time

from starlette.requests import Request
from starlette.responses import Response

from serving.api.answering.answers import Question
from serving.api.answering.state import ServiceState
from serving.api.endpoint import PICTURE_PROBLEMS, Access, Endpoint
from serving.api.keys import KeyScope
from serving.api.requests.forms import read_image
from serving.api.schemas import ImageForm


async def explain(state: ServiceState, request: Request) -> Response:
    """Draw the heat map of the class that is answered."""
    answerer = state.require_answerer(request)
    with state.admission(request.state.client):
        image = await read_image(state, request)
        question = Question(image, "", request.state.client, arrived=time.perf_counter())
        content = await state.run(answerer.draw, question)
    return Response(content, media_type="image/png")


EXPLAIN = Endpoint(
    path="/explain",
    methods=("POST",),
    access=Access.KEY,
    scope=KeyScope.PREDICT,
    summary="One image under a heat map of its class, as a PNG; nothing is logged",
    handler=explain,
    media_type="image/png",
    problems=PICTURE_PROBLEMS,
    form=ImageForm,
    example='curl -H "X-API-Key: $KEY" -F image=@photo.jpg -o heat_map.png "$URL/explain"',
)
