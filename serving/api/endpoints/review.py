"""GET /review: answers that wait for a person. POST /corrections/undo: a correction is taken back."""

from __future__ import annotations

from functools import partial

import anyio.to_thread
from starlette.requests import Request

from serving.api.answering.state import ServiceState
from serving.api.endpoint import Access, Endpoint
from serving.api.keys import KeyScope
from serving.api.requests.forms import WrongForm, read_form
from serving.api.requests.queries import read_query
from serving.api.reviewing import tell_waiting, undo_correction
from serving.api.schemas import Queue, QueueQuery, UndoAnswer, UndoForm

_wrong_form = WrongForm("the text prediction_id", "-F prediction_id=...")


async def tell_queue(state: ServiceState, request: Request) -> Queue:
    """The newest doubtful and unknown answers that this key has not corrected or confirmed."""
    answerer = state.require_answerer(request)
    number = read_query(QueueQuery, request).number
    with state.admission(request.state.client):  # its pictures lie in memory while they are shrunk
        told = partial(tell_waiting, answerer.kept, answerer.model.name, request.state.client)
        return await state.run(told, number)


async def undo(state: ServiceState, request: Request) -> UndoAnswer:
    """Delete this key's correction of an answer."""
    answerer = state.require_answerer(request)
    with state.admission(request.state.client):
        name = (await read_form(state, request, UndoForm, _wrong_form)).texts["prediction_id"]
    return await anyio.to_thread.run_sync(undo_correction, answerer.kept, name, request.state.client)


REVIEW = Endpoint(
    path="/review",
    access=Access.KEY,
    scope=KeyScope.FEEDBACK,
    summary="Doubtful and unknown answers that your key has not corrected yet, with what others said",
    handler=tell_queue,
    answer=Queue,
    problems=("busy", "overloaded", "loading", "refused", "not-logged"),
    query=QueueQuery,
    example='curl -H "X-API-Key: $KEY" "$URL/review?number=10"',
)
UNDO = Endpoint(
    path="/corrections/undo",
    methods=("POST",),
    access=Access.KEY,
    scope=KeyScope.FEEDBACK,
    summary="Take your key's correction of an answer back",
    handler=undo,
    answer=UndoAnswer,
    problems=("loading", "refused", "not-logged"),
    form=UndoForm,
    example='curl -H "X-API-Key: $KEY" -F prediction_id=$ID "$URL/corrections/undo"',
)
