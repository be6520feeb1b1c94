"""The form of POST /predict: one file `image`, at most one text `group`, and nothing else.

A text where the image belongs, such as a URL, is refused; nothing is ever fetched.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from python_multipart.multipart import parse_options_header
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from serving.api.problems import ProblemError
from serving.api.settings import ServiceSettings
from serving.log.entries import MAX_CHARACTERS, check_group, clean_file_name
from vision.base.errors import DataError

IMAGE_FIELD = "image"
GROUP_FIELD = "group"

_EXPECTED = "multipart/form-data with one file in the field image and at most one text in the field group"
_EXAMPLE = "Send it as curl -F image=@photo.jpg does"
_UTF_8 = ("utf-8", "utf8")
_MAX_TEXT_BYTES = 4 * MAX_CHARACTERS
_TRUE, _FALSE = ("true", "1"), ("false", "0")


@dataclass(frozen=True)
class Upload:
    """What a client sent: the file's bytes, its cleaned name, and the group that it declares."""

    image: bytes
    file_name: str
    group: str | None


async def read_upload(request: Request, settings: ServiceSettings) -> Upload:
    """The upload of a request; its files are closed again.

    Raises:
        ProblemError: another content type (415), a body that does not arrive in time (408), a form of
            another shape (422), or too large a body (413, from the guard).
    """
    content_type = request.headers.get("content-type", "")
    if content_type.partition(";")[0].strip().lower() != "multipart/form-data":
        raise ProblemError(
            "content-type",
            arrived=f"A body of type {content_type[:80]!r} arrived",
            expected=_EXPECTED,
            advice=_EXAMPLE,
        )
    _check_charset(content_type)
    parser = _Utf8Parser(request.headers, request.stream(), max_files=1, max_fields=1)
    parser.spool_max_size = settings.max_body_bytes + 1  # in memory: the guard limits the body
    try:
        async with asyncio.timeout(settings.body_seconds):
            form = await parser.parse()
    except TimeoutError as error:
        raise _too_slow(settings.body_seconds) from error
    except MultiPartException as error:
        raise _wrong_form(f"A form arrived that cannot be read ({error.message.rstrip('.')})") from error
    try:
        return await _take_upload(form)
    finally:
        await form.close()


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
        part = self._current_part
        if part.file is None:
            try:
                part.data.decode("utf-8")
            except UnicodeDecodeError as error:
                raise MultiPartException("a text in it is not UTF-8") from error
        super().on_part_end()


def _check_charset(content_type: str) -> None:
    """Refuse a form in another charset than UTF-8 (422): some of Python's codecs are no charsets at all."""
    _, options = parse_options_header(content_type)
    charset = options.get(b"charset", b"utf-8").decode("latin-1")
    if charset.lower() not in _UTF_8:
        raise _wrong_form(f"A form in the charset {charset[:40]!r} arrived, not in UTF-8")


def read_explain(request: Request) -> bool:
    """Whether the query asks for a heat map.

    Raises:
        ProblemError: another parameter, or another value (422).
    """
    items = request.query_params.multi_items()
    if not items:
        return False
    name, value = items[0]
    if len(items) > 1 or name != "explain" or value.lower() not in (*_TRUE, *_FALSE):
        raise ProblemError(
            "query",
            arrived=f"The query {str(request.url.query)[:80]!r} arrived",
            expected="none, explain=true or explain=false",
            advice="Leave the rest out",
        )
    return value.lower() in _TRUE


async def _take_upload(form: FormData) -> Upload:
    names = [name for name, _ in form.multi_items()]
    for name in names:
        if name not in (IMAGE_FIELD, GROUP_FIELD):
            raise _wrong_form(f"A field {name[:60]!r} arrived")
    image, group = form.get(IMAGE_FIELD), form.get(GROUP_FIELD)
    if isinstance(image, str):
        raise _wrong_form(
            f"A text of {len(image)} characters arrived in the field image (URLs are not fetched)"
        )
    if image is None:
        raise _wrong_form("No field image arrived")
    if isinstance(group, UploadFile):
        raise _wrong_form("A file arrived in the field group")
    return Upload(
        image=await image.read(),
        file_name=clean_file_name(image.filename or ""),
        group=_take_group(group),
    )


def _take_group(group: str | None) -> str | None:
    """The group in the form in which the log keeps it; refused before anything is predicted (422)."""
    try:
        return check_group(group)
    except DataError as error:
        raise ProblemError(
            "group",
            arrived=f"A group of {len(group or '')} characters arrived, too many or some unprintable",
            expected=f"a name of at most {MAX_CHARACTERS} printable characters for what the images of one "
            "group share",
            advice="Shorten it, or leave the field out",
        ) from error


def _wrong_form(arrived: str) -> ProblemError:
    return ProblemError(
        "form",
        arrived=arrived,
        expected=_EXPECTED,
        advice=_EXAMPLE,
    )


def _too_slow(seconds: float) -> ProblemError:
    return ProblemError(
        "too-slow",
        arrived=f"The body did not arrive within {seconds:g} seconds",
        expected="the whole body by then",
        advice="Send a smaller image, or try again on a better line",
        headers={"connection": "close"},
    )
