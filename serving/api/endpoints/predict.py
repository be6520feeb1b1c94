"""POST /predict: the answer for one image.

The form holds one file `image`, at most one text `group`, and nothing else. A text where the image belongs,
such as a URL, is refused; nothing is ever fetched.
"""

from __future__ import annotations

import asyncio
import time

from python_multipart.multipart import parse_options_header
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from serving.api.answers import Question
from serving.api.endpoint import Access, Endpoint
from serving.api.keys import CHECK_CLIENT
from serving.api.problems import ProblemError
from serving.api.schemas import PredictionAnswer, PredictionForm, PredictionQuery
from serving.api.settings import ServiceSettings
from serving.api.state import ServiceState
from serving.log.entries import MAX_CHARACTERS

_MAX_TEXT_BYTES = 4 * MAX_CHARACTERS
_EXPLAIN = {"true": True, "1": True, "false": False, "0": False}


async def predict(state: ServiceState, request: Request) -> PredictionAnswer:
    """Decode, run, decide, log, answer."""
    arrived = time.perf_counter()
    answerer = state.require_answerer(request)
    explain = _read_explain(request)
    with state.admission():
        form = await _read_form(request, state.settings)
        try:
            image, group = _check_fields(form)
            question = Question(
                image=await image.read(),
                file_name=image.filename or "",
                client=request.state.client,
                group=group,
                explain=explain,
                arrived=arrived,
            )
        finally:
            await form.close()
        answer = await state.answer(answerer, question)
    if question.client != CHECK_CLIENT:  # as in the log: a deployment's test images are no traffic
        state.metrics.decisions.labels(answer.decision.value).inc()
        state.metrics.latency.observe(answer.latency_ms / 1000.0)
    return answer


def _read_explain(request: Request) -> bool:
    """Whether the query asks for a heat map; another parameter or value is refused (422)."""
    given = request.query_params.multi_items()
    name, value = given[0] if given else ("explain", "false")
    if len(given) > 1 or name != "explain" or value.lower() not in _EXPLAIN:
        raise ProblemError(
            "query",
            arrived=f"The query {str(request.url.query)[:80]!r} arrived",
            expected="none, explain=true or explain=false",
            advice="Leave the rest out",
        )
    return _EXPLAIN[value.lower()]


async def _read_form(request: Request, settings: ServiceSettings) -> FormData:
    """The form of a request, its files in memory.

    Raises:
        ProblemError: another content type (415), a body that does not arrive in time (408), what is no form
            in UTF-8 (422), or too large a body (413, from the application).
    """
    content_type = request.headers.get("content-type", "")
    media_type, options = parse_options_header(content_type)
    if media_type != b"multipart/form-data":
        raise _wrong_form(f"A body of type {content_type[:80]!r} arrived", "content-type")
    charset = options.get(b"charset", b"utf-8").decode("latin-1")
    if charset.lower() not in ("utf-8", "utf8"):  # some of Python's codecs are no charsets at all
        raise _wrong_form(f"A form in the charset {charset[:40]!r} arrived, not in UTF-8")
    parser = _Utf8Parser(request.headers, request.stream(), max_files=1, max_fields=1)
    parser.spool_max_size = settings.max_body_bytes + 1
    try:
        async with asyncio.timeout(settings.body_seconds):
            return await parser.parse()
    except MultiPartException as error:
        raise _wrong_form(f"A form arrived that cannot be read ({error.message.rstrip('.')})") from error
    except TimeoutError as error:
        raise ProblemError(
            "too-slow",
            arrived=f"The body did not arrive within {settings.body_seconds:g} seconds",
            expected="the whole body by then",
            advice="Send a smaller image, or try again on a better line",
            headers={"connection": "close"},
        ) from error


class _Utf8Parser(MultiPartParser):
    """Starlette's parser, which would read a text that is not UTF-8 as latin-1, and tells limits in KB."""

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        part = self._current_part
        if part.file is None and len(part.data) + end - start > _MAX_TEXT_BYTES:
            raise MultiPartException(
                f"a text in it is longer than {MAX_CHARACTERS} characters, {_MAX_TEXT_BYTES} bytes"
            )
        super().on_part_data(data, start, end)

    def on_part_end(self) -> None:
        try:
            self._current_part.data.decode("utf-8")
        except UnicodeDecodeError as error:
            raise MultiPartException("a text in it is not UTF-8") from error
        super().on_part_end()


def _check_fields(form: FormData) -> tuple[UploadFile, str | None]:
    """The file and the group of a form; anything else in it is refused (422)."""
    for name, _ in form.multi_items():
        if name not in ("image", "group"):
            raise _wrong_form(f"A field {name[:60]!r} arrived")
    image, group = form.get("image"), form.get("group")
    if isinstance(image, str):
        raise _wrong_form(
            f"A text of {len(image)} characters arrived in the field image (URLs are not fetched)"
        )
    if image is None:
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
    return image, group or None


def _wrong_form(arrived: str, code: str = "form") -> ProblemError:
    fields = "one file in the field image and at most one text in the field group"
    return ProblemError(
        code,
        arrived=arrived,
        expected=f"multipart/form-data with {fields}",
        advice="Send it as curl -F image=@photo.jpg does",
    )


PREDICT = Endpoint(
    path="/predict",
    methods=("POST",),
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
    form=PredictionForm,
    query=PredictionQuery,
    example='curl -H "X-API-Key: $KEY" -F image=@photo.jpg -F group=visit-3 "$URL/predict?explain=true"',
)
