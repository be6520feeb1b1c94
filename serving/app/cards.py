"""One answered picture as the page shows it: the answer, the picture, what to compare with, a correction."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from serving.api.schemas import PredictionAnswer
from serving.app.pictures import lay_heat
from serving.app.screen import Service
from serving.app.visit import Asked, correct_picture
from serving.app.words import (
    KEEP_IMAGES,
    escape_markdown,
    explain_fault,
    put_in_words,
    show_share,
    tell_confidence,
)
from vision.base.errors import TaxonError
from vision.base.names import isolate
from vision.base.wording import join_words
from vision.decision.records import Decision, UnknownKind

_BOXES = {
    Decision.ACCEPT: (st.success, ":material/check_circle:"),
    Decision.REVIEW: (st.warning, ":material/visibility:"),
    Decision.UNKNOWN: (st.info, ":material/help:"),
}
_CLASS_PICTURE_PIXELS, _HEAT_PIXELS = 96, 300


@dataclass(frozen=True)
class Card:
    """A picture of the page and what it is drawn with.

    Attributes:
        place: in the visit, by which its widgets are told apart.
        asked: the picture and its answer.
        service: that answered.
        examples: class -> pictures of it.
        keep: takes the picture after it was corrected.
    """

    place: int
    asked: Asked
    service: Service
    examples: Mapping[str, list[Path]]
    keep: Callable[[int, Asked], None]


def show_large(card: Card) -> None:
    """A picture alone: its answer first, on a phone above it, elsewhere beside it."""
    answer = card.asked.answer
    left, right = st.columns([1, 1], gap="medium")
    with left:
        _show_answer(card, large=True)
        if answer is not None:
            _ask_for_correction(card, answer)
            with st.expander("Why? Figures and what was looked at"):
                _show_reasons(card, answer)
    with right:
        if card.asked.shown:
            st.image(card.asked.shown, caption=escape_markdown(card.asked.name), width="stretch")
        if answer is not None:
            _show_similar(answer)
            _show_examples(card, answer)


def show_small(card: Card) -> None:
    """A picture among several."""
    answer = card.asked.answer
    with st.container(border=True):
        _show_answer(card, large=False)
        if card.asked.shown:
            st.image(card.asked.shown, caption=escape_markdown(card.asked.name), width="stretch")
        if answer is not None:
            _show_similar(answer)
            _show_examples(card, answer)
            _ask_for_correction(card, answer)
            with st.expander("Why?"):
                _show_reasons(card, answer)


def show_examples(name: str, paths: list[Path]) -> None:
    """Pictures of a class under its name."""
    st.markdown(f"**{escape_markdown(name)}**")
    _show_row(paths)


def _show_row(paths: list[Path]) -> None:
    """Small pictures side by side."""
    if paths:
        with st.container(horizontal=True, gap="xsmall"):
            for path in paths:
                st.image(path.read_bytes(), width=_CLASS_PICTURE_PIXELS)


def _show_answer(card: Card, *, large: bool) -> None:
    """The decision in a box of its colour, or why there is none; small, only doubt is explained."""
    answer = card.asked.answer
    if answer is None:
        st.error(escape_markdown(card.asked.problem), icon=":material/error:")
        return
    words = put_in_words(answer, card.service.model)
    warning = answer.caution or ""
    box, icon = _BOXES[Decision.REVIEW if warning else answer.decision]
    title = escape_markdown(words.title)
    parts = [f"#### {title}" if large else f"**{title}**", escape_markdown(warning)]
    if large or answer.decision is not Decision.ACCEPT:
        parts.append(escape_markdown(words.meaning))
    box("\n\n".join(filter(None, parts)), icon=icon)
    if answer.warning:
        st.caption(escape_markdown(answer.warning))
    if answer.provisional is not None:
        name, number = escape_markdown(answer.provisional.class_name), answer.provisional.num_images
        st.info(
            f"**Perhaps {name}**, a class that was enrolled from {number} pictures and not trained yet. "
            "Please look yourself.",
            icon=":material/person_add:",
        )
    if card.asked.correction:
        st.markdown(f"You say: **{escape_markdown(card.asked.correction)}**. It is written down.")
        if card.service.model.keeps_images is False:
            st.caption(
                f"The picture is not kept, so no training takes it. To keep later ones write {KEEP_IMAGES}."
            )


def _show_examples(card: Card, answer: PredictionAnswer) -> None:
    """Pictures that the class was learned from, to compare with; none of a stranger."""
    paths = card.examples.get(answer.class_name, [])
    if paths and answer.unknown_kind is not UnknownKind.STRANGER:
        st.caption(f"Compare: {escape_markdown(answer.class_name)} as it was taught")
        _show_row(paths)


def _show_similar(answer: PredictionAnswer) -> None:
    """The known images that it is most like, with their classes; none of a stranger."""
    if answer.similar and answer.unknown_kind is not UnknownKind.STRANGER:
        st.caption("Most like these of what it was taught")
        with st.container(horizontal=True, gap="xsmall"):
            for each in answer.similar:
                name = escape_markdown(each.class_name) + (" (this very picture)" if each.same else "")
                if each.picture_jpeg:
                    st.image(base64.b64decode(each.picture_jpeg), caption=name, width=_CLASS_PICTURE_PIXELS)
                else:
                    st.caption(f"{name}: {escape_markdown(each.path)}")


def _ask_for_correction(card: Card, answer: PredictionAnswer) -> None:
    """Let a person say what the picture shows, one of the classes or any other name."""
    place = card.place
    label = "This is wrong, it is ..." if answer.decision is Decision.ACCEPT else "I know it, it is ..."
    with st.popover(label, icon=":material/edit:"):
        said = st.selectbox(
            "It is",
            card.service.model.class_names,
            index=None,
            key=f"said-{place}",
            placeholder="Choose, or type another name",
            accept_new_options=True,
        )
        if st.button("Keep", key=f"keep-{place}", disabled=not said) and said:
            try:
                corrected = correct_picture(card.service, card.asked, said)
            except TaxonError as error:
                st.error(escape_markdown(explain_fault(card.asked.name, error)))
                return
            card.keep(place, corrected)
            st.rerun()


def _list_figures(answer: PredictionAnswer) -> dict[str, str]:
    """For whoever wants to check or report an answer; empty what it lacks."""
    strange = answer.unknown
    return {
        "decision": answer.decision.value,
        "why": "; ".join(answer.reasons),
        "may be one of": join_words([isolate(each) for each in answer.set or ()]),
        "how strange": f"{strange.score:.4g}; unknown above {strange.threshold:.4g}",
        "known pictures as strange": show_share(strange.p_value),
        "model": f"{isolate(answer.model.name)} version {answer.model.version}, {answer.model.digest[:12]}",
        "answered in": f"{answer.latency_ms:.0f} ms",
        "id in the log": answer.prediction_id,
    }


def _show_reasons(card: Card, answer: PredictionAnswer) -> None:
    """The classes with their confidence, the promise, the heat map and the figures."""
    words = put_in_words(answer, card.service.model)
    title = "If it were one of the known classes" if answer.decision is Decision.UNKNOWN else "Confidence"
    st.markdown(f"**{title}**")
    for each in answer.top_k[:3]:
        text = f"{isolate(each.class_name)}: {show_share(each.probability)}"
        st.progress(min(max(each.probability, 0.0), 1.0), text=escape_markdown(text))
    st.caption(escape_markdown(tell_confidence(card.service.model)))
    if words.promise:
        st.caption(escape_markdown(words.promise))
    if answer.heat_map_png is not None:
        strength = st.slider("Strength of the heat map", 0.0, 2.0, 1.0, 0.25, key=f"heat-{card.place}")
        drawn = base64.b64decode(answer.heat_map_png)
        st.image(
            lay_heat(card.asked.shown, drawn, card.service.model.resize, strength),
            caption=f"Warm: what spoke most for {escape_markdown(answer.class_name)}. A hint, no outline.",
            width=_HEAT_PIXELS,
        )
    figures = {name: value for name, value in _list_figures(answer).items() if value}
    st.markdown("  \n".join(f"**{name}**: {escape_markdown(value)}" for name, value in figures.items()))
