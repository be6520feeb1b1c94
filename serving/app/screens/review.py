"""The screen for review: doubtful and unknown answers one after the other, each settled by one key."""

from __future__ import annotations

import base64

import streamlit as st

from serving.api.schemas import Waiting
from serving.app.screen import Screen, Service
from serving.app.words import KEEP_IMAGES, escape_markdown, explain_fault, show_share
from serving.client import correct_answer, list_waiting, undo_correction
from vision.base.errors import TaxonError
from vision.base.wording import noun_for
from vision.decision.records import Decision, UnknownKind

_AT_ONCE, _MOST = 10, 50
_KEYS = "123456789"


def show_review(service: Service) -> None:
    """Draw the first answer that waits and was not skipped, with a key for each class."""
    done: list[str] = st.session_state.setdefault("reviewed", [])
    skipped: set[str] = st.session_state.setdefault("skipped", set())
    number = min(_MOST, _AT_ONCE + len(skipped))  # each comes with its picture, at every key
    try:
        queue = list_waiting(service.url, service.key, number).waiting
    except TaxonError as error:
        st.error(escape_markdown(explain_fault("The queue", error)))
        return
    waiting = [each for each in queue if each.prediction_id not in skipped]
    num_skipped, is_cut = len(queue) - len(waiting), len(queue) == number
    st.caption(
        f"{len(waiting)} {'or more ' if is_cut else ''}doubtful or unknown "
        f"{noun_for(len(waiting), 'answer')} to look at; "
        f"{len(done)} settled now{f', {num_skipped} skipped' if num_skipped else ''}"
    )
    if not waiting:
        nothing = "Nothing waits for you."
        if is_cut:
            nothing = f"You skipped {num_skipped}. Others may wait behind them: settle some of these first."
        elif queue:
            nothing = "Only what you skipped is left."
        st.success(nothing, icon=":material/task_alt:")
        if skipped and st.button("Show what I skipped"):
            skipped.clear()
            st.rerun()
    else:
        _show_one(service, waiting[0], done, skipped)
    if done and st.button("Undo the last", icon=":material/undo:", shortcut="u"):
        _undo(service, done)
    told = "What others said is not shown, so that two words are two opinions."
    if service.model.keeps_images is not False:
        told += (
            " `python run.py corrections NAME --out reviewed` writes the pictures on which all agree as "
            "class folders to train with."
        )
    st.caption(told)


def _show_one(service: Service, each: Waiting, done: list[str], skipped: set[str]) -> None:
    left, right = st.columns([1, 1], gap="medium")
    with left:
        if each.picture_jpeg is None:
            st.info(
                "The log keeps no pictures: find this one by its name before you answer. To have them here, "
                f"write {KEEP_IMAGES}."
            )
        else:
            st.image(base64.b64decode(each.picture_jpeg), width="stretch")
        st.caption(escape_markdown(f"{each.file_name} · {each.time:%Y-%m-%d %H:%M} UTC"))
    with right:
        nearest = f"{each.class_name} ({show_share(each.confidence)})"
        thought = nearest
        if each.decision is Decision.UNKNOWN:
            is_stranger = each.unknown_kind is UnknownKind.STRANGER
            thought = "unknown, something else" if is_stranger else f"unknown, most like {nearest}"
        st.markdown(f"I thought: **{escape_markdown(thought)}**. It is")
        with st.container(horizontal=True, gap="small"):
            for number, name in enumerate(service.model.class_names):
                seen = each.picture_jpeg is not None  # no single key answers for a picture that nobody saw
                key = _KEYS[number] if seen and number < len(_KEYS) else None
                if st.button(escape_markdown(name), key=f"{each.prediction_id}-{number}", shortcut=key):
                    _settle(service, each, name, done)
        other = st.selectbox(
            "or something else",
            [],
            index=None,
            key=f"other-{each.prediction_id}",
            placeholder="Type a name",
            accept_new_options=True,
        )
        if other and st.button("Keep", key=f"keep-{each.prediction_id}"):
            _settle(service, each, str(other), done)
        if st.button("Skip", icon=":material/skip_next:", shortcut="s"):
            skipped.add(each.prediction_id)
            st.rerun()


def _undo(service: Service, done: list[str]) -> None:
    try:
        undo_correction(service.url, service.key, done[-1])
    except TaxonError as error:
        st.error(escape_markdown(explain_fault("The correction", error)))
        return
    done.pop()
    st.rerun()


def _settle(service: Service, each: Waiting, name: str, done: list[str]) -> None:
    try:
        correct_answer(service.url, service.key, each.prediction_id, name)
    except TaxonError as error:
        st.error(escape_markdown(explain_fault(each.file_name, error)))
        return
    done.append(each.prediction_id)
    st.rerun()


REVIEW = Screen("Review", "What do you see?", "review", ":material/rate_review:", show_review)
