"""POST /similar: the known images that an image is most like, with their pictures. Nothing is logged."""

from __future__ import annotations

from starlette.requests import Request

from serving.api.answering.answers import Question
from serving.api.answering.state import ServiceState
from serving.api.endpoint import PICTURE_PROBLEMS, Access, Endpoint
from serving.api.keys import KeyScope
from serving.api.requests.forms import read_image
from serving.api.requests.queries import read_query
from serving.api.schemas import ImageForm, SimilarAnswer, SimilarQuery


async def tell_similar(state: ServiceState, request: Request) -> SimilarAnswer:
    """Decode, run, compare."""
    answerer = state.require_answerer(request)
    query = read_query(SimilarQuery, request)
    with state.admission(request.state.client):
        image = await read_image(state, request)
        question = Question(image, "", request.state.client, similar=query.number)
        return await state.run(answerer.find_similar, question)


SIMILAR = Endpoint(
    path="/similar",
    methods=("POST",),
    access=Access.KEY,
    scope=KeyScope.PREDICT,
    summary="The known images that an image is most like, with path, class and picture; nothing is logged",
    handler=tell_similar,
    answer=SimilarAnswer,
    problems=(*PICTURE_PROBLEMS, "no-known-images"),
    form=ImageForm,
    query=SimilarQuery,
    example='curl -H "X-API-Key: $KEY" -F image=@photo.jpg "$URL/similar?number=3"',
)
