"""POST /corrections: an answer was wrong, and what it should have been. Kept beside the answer in the log."""

from __future__ import annotations

import anyio.to_thread
from starlette.datastructures import UploadFile
from starlette.requests import Request

from serving.api.answering.state import ServiceState
from serving.api.endpoint import Access, Endpoint
from serving.api.keys import KeyScope
from serving.api.requests.forms import WrongForm, read_form
from serving.api.schemas import CorrectionAnswer, CorrectionForm
from serving.log.entries import MAX_CHARACTERS

_FIELDS = tuple(CorrectionForm.model_fields)
_wrong_form = WrongForm(
    f"the two texts {' and '.join(_FIELDS)}, of 1 to {MAX_CHARACTERS} printable characters",
    "-F prediction_id=... -F class_name=...",
)


async def correct(state: ServiceState, request: Request) -> CorrectionAnswer:
    """Write a correction down."""
    answerer = state.require_answerer(request)
    with state.admission(request.state.client):
        form = await read_form(state, request, _wrong_form, num_files=0, num_texts=len(_FIELDS))
    texts = {name: text.strip() for name, text in form.multi_items() if not isinstance(text, UploadFile)}
    if set(texts) != set(_FIELDS):
        raise _wrong_form(f"The fields {', '.join(sorted(texts)) or 'none'} arrived")
    for name, text in texts.items():
        if not text or len(text) > MAX_CHARACTERS or not text.isprintable():
            raise _wrong_form(f"A {name} of {len(text)} characters arrived, too many, none or unprintable")
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
    problems=(
        "content-type",
        "form",
        "no-such-answer",
        "too-slow",
        "busy",
        "loading",
        "refused",
        "not-logged",
    ),
    form=CorrectionForm,
    example='curl -H "X-API-Key: $KEY" -F prediction_id=$ID -F class_name=ring_damsel "$URL/corrections"',
)
