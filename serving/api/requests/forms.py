"""Forms (multipart/form-data) as endpoints read them: bounded in bytes, time and fields, texts in UTF-8."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from pydantic import BaseModel
from python_multipart.multipart import parse_options_header
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from serving.api.answering.state import ServiceState
from serving.api.metrics import Stage
from serving.api.problems import ProblemError
from serving.api.schemas import ImageForm
from serving.log.entries import MAX_CHARACTERS

SPOOL_BYTES = 1_000_000
_logger = logging.getLogger("taxon.serving")
_MAX_TEXT_BYTES = 4 * MAX_CHARACTERS


@dataclass(frozen=True)
class WrongForm:
    """An endpoint's refusal of a form.

    Attributes:
        holds: what the form should hold.
        curl: arguments of curl that send such a form.
    """

    holds: str
    curl: str

    def __call__(self, arrived: str, code: str = "form") -> ProblemError:
        """The refusal of what arrived."""
        return ProblemError(
            code,
            arrived=arrived,
            expected=f"multipart/form-data with {self.holds}",
            advice=f"Send it as curl {self.curl} does",
        )


@dataclass(frozen=True)
class Form:
    """What a form holds.

    Attributes:
        files: name and content of each.
        texts: field -> its text, without blanks at its ends; those that did not arrive are left out.
    """

    files: list[tuple[str, bytes]]
    texts: dict[str, str]


_ONE_IMAGE = WrongForm("one file in the field image", "-F image=@photo.jpg")


async def read_image(state: ServiceState, request: Request) -> bytes:
    """The one image of a request's form.

    Raises:
        ProblemError: as of `read_form`.
    """
    form = await read_form(state, request, ImageForm, _ONE_IMAGE, num_files=1)
    return form.files[0][1]


async def read_form(
    state: ServiceState, request: Request, schema: type[BaseModel], wrong: WrongForm, *, num_files: int = 0
) -> Form:
    """What a request's form holds; of the fields of `schema` those of `str` are texts, others hold files.

    Raises:
        ProblemError: another field or none that is needed arrived, or a needed text that cannot be logged
            (422); or as of `receive_form`.
    """
    fields = schema.model_fields
    text_fields = {name for name, field in fields.items() if field.annotation is str}
    received = await receive_form(state, request, wrong, num_files=num_files, num_texts=len(text_fields))
    form = Form([], {})
    try:
        for name, value in received.multi_items():
            if isinstance(value, UploadFile) and name in fields.keys() - text_fields:
                form.files.append((value.filename or "", await value.read()))
            elif isinstance(value, str) and name in text_fields - form.texts.keys():
                form.texts[name] = value.strip()
            else:
                kind = "text (URLs are not fetched)" if isinstance(value, str) else "file"
                raise wrong(f"A {kind} arrived in the field {name[:60]!r}, or one more than it may hold")
    finally:
        await received.close()
    for name in (name for name, field in fields.items() if field.is_required()):
        text = form.texts.get(name, "")
        if name not in text_fields:
            if not form.files:
                raise wrong(f"No field {name} arrived")
        elif not text or len(text) > MAX_CHARACTERS or not text.isprintable():
            raise wrong(f"A {name} of {len(text)} characters arrived, too many, none or unprintable")
    return form


async def receive_form(
    state: ServiceState,
    request: Request,
    wrong: WrongForm,
    *,
    num_files: int,
    num_texts: int,
    is_archive: bool = False,
) -> FormData:
    """The form of a request, its files in memory; archives beyond SPOOL_BYTES are a file without a name.

    Args:
        state: bounds bytes of a body, and seconds to send it in.
        request: its body is not read yet.
        wrong: the endpoint's own refusal, which says what its form holds.
        num_files: at most.
        num_texts: at most.
        is_archive: whether the file may take the time and room that the settings give to archives.

    Raises:
        ProblemError: another content type (415), a body that does not arrive in time (408), what is no form
            in UTF-8 (422), too large a body (413, from the application), or no room for an archive (503).
    """
    content_type = request.headers.get("content-type", "")
    media_type, options = parse_options_header(content_type)
    if media_type != b"multipart/form-data":
        raise wrong(f"A body of type {content_type[:80]!r} arrived", "content-type")
    charset = options.get(b"charset", b"utf-8").decode("latin-1")
    if charset.lower() not in ("utf-8", "utf8"):  # some of Python's codecs are no charsets at all
        raise wrong(f"A form in the charset {charset[:40]!r} arrived, not in UTF-8")
    parser = _Utf8Parser(request.headers, request.stream(), max_files=num_files, max_fields=num_texts)
    settings = state.settings
    parser.spool_max_size = SPOOL_BYTES if is_archive else settings.max_body_bytes + 1
    try:
        seconds = settings.batch_seconds if is_archive else settings.body_seconds
        async with state.receiving(request.state.client, seconds):
            with state.metrics.time_stage(Stage.RECEIVE):
                return await parser.parse()
    except OSError as error:
        _logger.error("An archive cannot be kept: %s", error)  # noqa: TRY400  the message says it all
        raise ProblemError(
            "no-room",
            arrived="An archive arrived for which the service has no room",
            expected="room in its folder for temporary files",
            advice="Try again later with a smaller one, and tell the operator if this goes on",
            headers={"retry-after": "60", "connection": "close"},
        ) from error
    except MultiPartException as error:
        raise wrong(f"A form arrived that cannot be read ({error.message.rstrip('.')})") from error


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
