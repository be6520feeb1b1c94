"""POST /corrections: an answer was wrong, and what it should have been. Kept beside the answer in the log."""

from __future__ import annotations

import anyio.to_thread
from starlette.requests import Request

from serving.api.answering.state import ServiceState
from serving.api.endpoint import Access, Endpoint
from serving.api.keys import KeyScope
from serving.api.requests.forms import WrongForm, read_form
from serving.api.schemas import CorrectionAnswer, CorrectionForm
from serving.log.entries import MAX_CHARACTERS

_wrong_form = WrongForm(
    f"the two texts prediction_id and class_name, of 1 to {MAX_CHARACTERS} printable characters",
    "-F prediction_id=... -F class_name=...",
)


async def correct(state: ServiceState, request: Request) -> CorrectionAnswer:
    """Write a correction down."""
    answerer = state.require_answerer(request)
    with state.admission(request.state.client):
        texts = (await read_form(state, request, CorrectionForm, _wrong_form)).texts
    return await anyio.to_thread.run_sync(
        answerer.correct, texts["prediction_id"], texts["class_name"], request.state.client
    )


CORRECTIONS = Endpoint(
    path="/corrections",
    methods=("POST",),
    access=Access.KEY,
    scope=KeyScope.FEEDBACK,
    summary="Say what an answer should have been; it is kept with your key's name and the time",
    handler=correct,
    answer=CorrectionAnswer,
    problems=("no-such-answer", "loading", "refused", "not-logged"),
    form=CorrectionForm,
    example='curl -H "X-API-Key: $KEY" -F prediction_id=$ID -F class_name=ring_damsel "$URL/corrections"',
)
