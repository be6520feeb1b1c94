"""POST /predict_batch: a ZIP archive of pictures in, a row for each of its files out, while they are made."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, aclosing

import anyio.to_thread
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from serving.api.answering.answers import Answerer, Question
from serving.api.answering.batches import SEND_SECONDS, Batch, Told, answer_batch, open_archive, tell_groups
from serving.api.answering.rows import begin_csv, write_json
from serving.api.answering.state import ServiceState
from serving.api.endpoint import Access, Endpoint
from serving.api.keys import KeyScope
from serving.api.requests.forms import WrongForm, receive_form
from serving.api.requests.queries import read_query
from serving.api.schemas import BatchForm, BatchQuery, BatchRow

_NDJSON, _CSV = "application/x-ndjson", "text/csv"

_logger = logging.getLogger("taxon.serving")
_wrong_form = WrongForm("one file in the field archive", "-F archive=@photos.zip")


class _UnreadError(Exception):
    """The client left, or did not read; no OSError, which Starlette raises as another from ASGI 2.4 on."""


class BatchResponse(StreamingResponse):
    """Rows as they are made; when the last is sent, or nobody reads them, the request's place is free."""

    def __init__(
        self, rows: AsyncGenerator[str], media_type: str, held: AsyncExitStack, seconds: float
    ) -> None:
        """`held` is closed at the end; the client may let rows wait for `seconds` in all."""
        super().__init__(rows, media_type=media_type)
        held.push_async_callback(rows.aclose)
        self._held = held
        self._seconds = self._left = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the rows; a stream that is cut has no end, by which its reader knows."""

        async def send_in_time(message: Message) -> None:
            begun = time.monotonic()
            try:
                async with asyncio.timeout(self._left):
                    await send(message)
            except OSError as error:  # a TimeoutError is one
                raise _UnreadError from error
            self._left -= time.monotonic() - begun

        try:
            await super().__call__(scope, receive, send_in_time)
        except _UnreadError:
            _logger.warning(
                "The rows of a batch were cut: its client left, or let them wait %g seconds", self._seconds
            )
        finally:
            await self._held.aclose()


async def predict_batch(state: ServiceState, request: Request) -> StreamingResponse:
    """Take the archive in, look at it, then answer file by file."""
    answerer = state.require_answerer(request)
    query = read_query(BatchQuery, request)
    as_csv = query.format == "csv" or (query.format is None and _CSV in request.headers.get("accept", ""))
    async with AsyncExitStack() as stack:
        stack.enter_context(state.admission(request.state.client))
        form = await receive_form(state, request, _wrong_form, num_files=1, num_texts=0, is_archive=True)
        stack.push_async_callback(form.close)
        upload = form.get("archive")
        if not isinstance(upload, UploadFile) or len(form.multi_items()) != 1:
            raise _wrong_form("Another field or none arrived")
        archive = await anyio.to_thread.run_sync(open_archive, upload.file, state.settings)
        stack.callback(archive.close)
        asked = Question(b"", "", request.state.client, views=query.tta, reencode=query.reencode)
        groups = await anyio.to_thread.run_sync(tell_groups, archive, query.group_by)
        rows = _write_rows(state, answerer, Batch(archive, asked, groups), as_csv=as_csv)
        held = stack.pop_all()
    return BatchResponse(rows, _CSV if as_csv else _NDJSON, held, state.settings.batch_seconds)


async def _write_rows(
    state: ServiceState, answerer: Answerer, batch: Batch, *, as_csv: bool
) -> AsyncGenerator[str]:
    head, write = begin_csv(state.settings.top_k) if as_csv else ("", write_json)
    told, sent_at = list[Told](), time.monotonic()
    async with aclosing(answer_batch(state, answerer, batch)) as rows:
        async for each in rows:
            told += [] if each is None else [each]
            if told and time.monotonic() >= sent_at + SEND_SECONDS:
                await _keep(state, answerer, batch, told)
                yield head + "".join(write(row) for row, _ in told)
                head, told, sent_at = "", [], time.monotonic()
    await _keep(state, answerer, batch, told)
    yield head + "".join(write(row) for row, _ in told)


async def _keep(state: ServiceState, answerer: Answerer, batch: Batch, told: Sequence[Told]) -> None:
    """Commit answers to the log together, and count them."""
    await anyio.to_thread.run_sync(answerer.keep, [entry for _, entry in told if entry is not None])
    for row, _ in told:
        if row.answer is not None:
            state.metrics.count_answer(row.answer, batch.asked.client)


PREDICT_BATCH = Endpoint(
    path="/predict_batch",
    methods=("POST",),
    access=Access.KEY,
    scope=KeyScope.PREDICT,
    summary="A ZIP archive of images; a row for each of its files, streamed as NDJSON or CSV",
    handler=predict_batch,
    media_type=_NDJSON,
    answer=BatchRow,
    problems=("archive", "no-room", "loading", "refused"),
    form=BatchForm,
    query=BatchQuery,
    max_body="max_batch_bytes",
    example='curl -N -H "X-API-Key: $KEY" -F archive=@photos.zip "$URL/predict_batch"',
)
