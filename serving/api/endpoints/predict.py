"""POST /predict: the answer for one image, or for several of one individual.

The form holds one file `image` or a few, at most one text `group`, with one file at most one `box`, and
nothing else. A text where the image belongs, such as a URL, is refused; nothing is ever fetched.
"""

from __future__ import annotations

import time

from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request

from serving.api.answering.answers import Question
from serving.api.answering.boxes import read_box
from serving.api.answering.state import ServiceState
from serving.api.endpoint import Access, Endpoint
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
        form = await read_form(state, request, _wrong_form, num_files=MAX_PICTURES, num_texts=2)
        try:
            images, group = _check_fields(form)
            box = read_box(form)
            questions = [
                Question(
                    image=await image.read(),
                    file_name=image.filename or "",
                    client=request.state.client,
                    group=group,
                    explain=query.explain,
                    arrived=arrived,
                    views=query.tta,
                    reencode=query.reencode,
                    similar=query.similar,
                    box=box,
                )
                for image in images
            ]
        finally:
            await form.close()
        if len(questions) == 1:
            answer = await state.answer(answerer, questions[0])
        else:
            answer = await state.run(answerer.answer_several, questions)
    for each in answer.pictures or (answer,):
        state.metrics.count_answer(each, request.state.client)
    return answer


def _check_fields(form: FormData) -> tuple[list[UploadFile], str | None]:
    """The files and the group of a form; anything else in it is refused (422)."""
    names = [name for name, _ in form.multi_items()]
    for name in names:
        if name not in ("image", "group", "box"):
            raise _wrong_form(f"A field {name[:60]!r} arrived")
        if name != "image" and names.count(name) > 1:
            raise _wrong_form(f"{names.count(name)} fields {name} arrived")
    if "box" in names and names.count("image") > 1:
        raise _wrong_form(f"A box arrived with {names.count('image')} images, and is of one")
    images, group = [], form.get("group")
    for image in form.getlist("image"):
        if isinstance(image, str):
            raise _wrong_form(
                f"A text of {len(image)} characters arrived in the field image (URLs are not fetched)"
            )
        images.append(image)
    if not images:
        raise _wrong_form("No field image arrived")
    if isinstance(group, UploadFile):
        raise _wrong_form("A file arrived in the field group")
    group = (group or "").strip()
    if len(group) > MAX_CHARACTERS or not group.isprintable():  # the log refuses it as well, but too late
        raise ProblemError(
            "group",
            arrived=f"A group of {len(group)} characters arrived, too many or some unprintable",
            expected=f"a name of at most {MAX_CHARACTERS} printable characters for what the images of one "
            "group share",
            advice="Shorten it, or leave the field out",
        )
    return images, group or None


PREDICT = Endpoint(
    path="/predict",
    methods=("POST",),
    access=Access.KEY,
    scope=KeyScope.PREDICT,
    summary="Class, calibrated confidence and decision (accept, review or unknown) for one image, "
    "or for several of one individual",
    handler=predict,
    answer=PredictionAnswer,
    problems=(
        "content-type",
        "form",
        "group",
        "box",
        "query",
        "image-format",
        "image-unusable",
        "no-known-images",
        "too-slow",
        "busy",
        "overloaded",
        "model-failed",
        "loading",
        "refused",
    ),
    form=PredictionForm,
    query=PredictionQuery,
    example='curl -H "X-API-Key: $KEY" -F image=@photo.jpg -F group=visit-3 "$URL/predict?explain=true"',
)
