"""POST /predict: the answer for one image, or for several of one individual.

The form holds one file `image` or a few, at most one text `group`, with one file at most one `box`, and
nothing else. A text where the image belongs, such as a URL, is refused; nothing is ever fetched.
"""

from __future__ import annotations

import time

from starlette.requests import Request

from serving.api.answering.answers import Question
from serving.api.answering.boxes import read_box
from serving.api.answering.state import ServiceState
from serving.api.endpoint import PICTURE_PROBLEMS, Access, Endpoint
from serving.api.keys import KeyScope
from serving.api.problems import ProblemError
from serving.api.requests.forms import WrongForm, read_form
from serving.api.requests.queries import read_query
from serving.api.schemas import MAX_PICTURES, PredictionAnswer, PredictionForm, PredictionQuery
from serving.log.entries import MAX_CHARACTERS

_wrong_form = WrongForm(
    f"1 to {MAX_PICTURES} files in the field image and at most one text in the field group, with one file "
    "also in the field box",
    "-F image=@photo.jpg",
)


async def predict(state: ServiceState, request: Request) -> PredictionAnswer:
    """Decode, run, decide, log, answer."""
    arrived = time.perf_counter()
    answerer = state.require_answerer(request)
    query = read_query(PredictionQuery, request)
    with state.admission(request.state.client):
        form = await read_form(state, request, PredictionForm, _wrong_form, num_files=MAX_PICTURES)
        group, box = _check_group(form.texts.get("group", "")), read_box(form.texts.get("box", ""))
        if "box" in form.texts and len(form.files) > 1:
            raise _wrong_form(f"A box arrived with {len(form.files)} images, and is of one")
        questions = [
            Question(
                image=image,
                file_name=name,
                client=request.state.client,
                group=group,
                explain=query.explain,
                arrived=arrived,
                views=query.tta,
                reencode=query.reencode,
                similar=query.similar,
                box=box,
            )
            for name, image in form.files
        ]
        if len(questions) == 1:
            answer = await state.answer(answerer, questions[0])
        else:
            answer = await state.run(answerer.answer_several, questions)
    for each in answer.pictures or (answer,):
        state.metrics.count_answer(each, request.state.client)
    return answer


def _check_group(group: str) -> str | None:
    """The group; None where none was given, refused (422) where it cannot be logged."""
    if len(group) > MAX_CHARACTERS or not group.isprintable():  # the log refuses it as well, but too late
        raise ProblemError(
            "group",
            arrived=f"A group of {len(group)} characters arrived, too many or some unprintable",
            expected=f"a name of at most {MAX_CHARACTERS} printable characters for what the images of one "
            "group share",
            advice="Shorten it, or leave the field out",
        )
    return group or None


PREDICT = Endpoint(
    path="/predict",
    methods=("POST",),
    access=Access.KEY,
    scope=KeyScope.PREDICT,
    summary="Class, calibrated confidence and decision (accept, review or unknown) for one image, "
    "or for several of one individual",
    handler=predict,
    answer=PredictionAnswer,
    problems=(*PICTURE_PROBLEMS, "no-known-images", "group", "box"),
    form=PredictionForm,
    query=PredictionQuery,
    example='curl -H "X-API-Key: $KEY" -F image=@photo.jpg -F group=visit-3 "$URL/predict?explain=true"',
)
