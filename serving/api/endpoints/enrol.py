"""POST /enrol: a new class from a few pictures, answered at once and marked provisional in every answer."""

from __future__ import annotations

from starlette.requests import Request

from serving.api.answering.enrolled import NewClass
from serving.api.answering.state import ServiceState
from serving.api.endpoint import PICTURE_PROBLEMS, Access, Endpoint
from serving.api.keys import KeyScope
from serving.api.requests.forms import WrongForm, read_form
from serving.api.schemas import MAX_ENROLLED, MIN_ENROLLED, EnrolForm, EnrolledAnswer
from serving.log.enrolments import is_folder_name
from serving.log.entries import MAX_CHARACTERS

_wrong_form = WrongForm(
    f"one text class_name of 1 to {MAX_CHARACTERS} printable signs without slashes, and "
    f"{MIN_ENROLLED} to {MAX_ENROLLED} files in the field image",
    "-F class_name=burbot -F image=@1.jpg -F image=@2.jpg ...",
)


async def enrol_class(state: ServiceState, request: Request) -> EnrolledAnswer:
    """Decode, run, find the threshold, keep."""
    answerer = state.require_answerer(request)
    with state.admission(request.state.client):
        form = await read_form(state, request, EnrolForm, _wrong_form, num_files=MAX_ENROLLED)
        name = form.texts["class_name"]
        if not is_folder_name(name):
            raise _wrong_form(f"The class_name {name[:60]!r} arrived")
        return await state.run(answerer.enrol, NewClass(name, tuple(form.files), request.state.client))


ENROL = Endpoint(
    path="/enrol",
    methods=("POST",),
    access=Access.KEY,
    scope=KeyScope.FEEDBACK,
    summary="Five pictures and a name make a new class, told as provisional in every answer until a training "
    "takes them",
    handler=enrol_class,
    answer=EnrolledAnswer,
    problems=(*PICTURE_PROBLEMS, "no-known-images", "not-told-apart", "enrolled-enough", "not-logged"),
    form=EnrolForm,
    example='curl -H "X-API-Key: $KEY" -F class_name=burbot -F image=@1.jpg -F image=@2.jpg -F image=@3.jpg '
    '-F image=@4.jpg -F image=@5.jpg "$URL/enrol"',
)
