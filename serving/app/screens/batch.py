"""The screen for a ZIP or many files: counted before they are sent, then answered and shown by answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import streamlit as st

from serving.app.batch import MOST_SHOWN, Batch, answer_items, list_items
from serving.app.pictures import FILE_TYPES
from serving.app.screen import Screen, Service
from serving.app.visit import Asked, count_answers, summarize, tell_answer
from serving.app.words import escape_markdown, explain_fault, tell_promises
from vision.base.errors import TaxonError
from vision.base.wording import shorten
from vision.decision.records import Decision

_TILE_PIXELS = 150
_SECTIONS = (
    (None, "Without an answer", ":material/error:"),
    (Decision.REVIEW, "For you to look at", ":material/visibility:"),
    (Decision.UNKNOWN, "Unknown", ":material/help:"),
    (Decision.ACCEPT, "Decided alone", ":material/check_circle:"),
)
"""In the order of the contact sheet; in each the least sure come first."""


def show_batch(service: Service) -> None:
    """Draw the screen."""
    batch: Batch | None = st.session_state.get("batch")
    if batch is None:
        _take_files(service)
        return
    if not batch.is_done:
        _answer(service, batch)
    _show_answers(service, batch)
    if st.button("Another batch", icon=":material/refresh:"):
        del st.session_state["batch"]
        st.rerun()


def _take_files(service: Service) -> None:
    uploads = st.file_uploader(
        f"A ZIP, or many pictures: up to {service.model.max_batch_files:,} at once, 200 MB each",
        type=["zip", *FILE_TYPES],
        accept_multiple_files=True,
    )
    if not uploads:
        st.caption("Each file gets its row, also one that cannot be read. Nothing is sent before you say so.")
        return
    try:
        items = list_items([(each.name, each) for each in uploads], service.model.max_batch_files)
    except TaxonError as error:
        st.error(escape_markdown(str(error)))
        return
    megabytes = sum(each.size for each in uploads) / 1e6
    st.markdown(
        f"**{len(items)} files, {megabytes:.1f} MB.** The answers are written into the service's log."
    )
    if items and st.button(f"Answer {len(items)} files", type="primary", icon=":material/play_arrow:"):
        st.session_state["batch"] = Batch(items)
        st.rerun()


def _answer(service: Service, batch: Batch) -> None:
    """Answer what is left; what came before a click elsewhere or a fault is kept, and goes on from there."""
    number = len(batch.items)
    bar = st.progress(len(batch.asked) / number, text=f"{len(batch.asked)} of {number} files")
    try:
        for _ in answer_items(service, batch):
            bar.progress(len(batch.asked) / number, text=f"{len(batch.asked)} of {number} files")
    except TaxonError as error:
        st.error(escape_markdown(explain_fault("The rest", error)))
        st.button("Go on", icon=":material/play_arrow:")
        return
    bar.empty()


def _show_answers(service: Service, batch: Batch) -> None:
    if not batch.asked:
        return
    st.markdown(f"##### {count_answers(batch.asked)}")
    st.caption(escape_markdown(tell_promises(service.model)))
    st.download_button(
        "Download as CSV",
        "".join(batch.rows).encode("utf-8-sig"),
        "taxon-predictions.csv",
        "text/csv",
        icon=":material/download:",
        on_click="ignore",
    )
    counts = _count_classes(batch.asked)
    if counts:
        st.dataframe(counts, hide_index=True, width="content")
    for decision, title, icon in _SECTIONS:
        _show_section([each for each in batch.asked if each.decision is decision], title, icon)
    with st.expander(f"All {len(batch.asked)} files", icon=":material/table:"):
        columns = ("picture", "answer")
        rows = [summarize(each) for each in batch.asked]
        st.dataframe([{name: row[name] for name in columns} for row in rows], hide_index=True)


def _count_classes(asked: Sequence[Asked]) -> list[dict[str, str | int]]:
    """Pictures of each class, those decided alone and those that it suggests."""
    counts = Counter((each.answer.class_name, each.answer.decision) for each in asked if each.answer)
    named = (Decision.ACCEPT, Decision.REVIEW)
    classes = sorted({name for name, decision in counts if decision in named})
    return [
        {"class": name, "decided alone": counts[name, named[0]], "suggested": counts[name, named[1]]}
        for name in classes
    ]


def _show_section(asked: Sequence[Asked], title: str, icon: str) -> None:
    if not asked:
        return
    st.markdown(f"##### {icon} {title}: {len(asked)}")
    for caution in dict.fromkeys(each.answer.caution for each in asked if each.answer):
        if caution:
            st.warning(escape_markdown(caution), icon=":material/priority_high:")
    for each in [each for each in asked if each.problem and not each.shown][:MOST_SHOWN]:
        st.caption(escape_markdown(each.problem))
    with st.container(horizontal=True, gap="small"):
        for each in sorted((each for each in asked if each.shown), key=lambda each: each.sureness):
            st.image(each.shown, caption=_tell(each), width=_TILE_PIXELS)
    if len(asked) > MOST_SHOWN:
        st.caption(f"{len(asked) - MOST_SHOWN} more are in the table.")


def _tell(asked: Asked) -> str:
    """The answer and the file in a line each."""
    name = shorten(asked.name.rpartition("/")[2])
    return f"**{escape_markdown(tell_answer(asked))}**  \n{escape_markdown(name)}"


BATCH = Screen("Batch", "Many pictures at once", "batch", ":material/photo_library:", show_batch)
