"""What another promise would have done: to the test pictures, and to the answers of this visit."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from serving.api.schemas import ModelDescription, PredictionAnswer, Rung
from serving.app.words import KIND_NAMES, escape_markdown, show_share
from vision.base.wording import count_of
from vision.decision.records import Decision


def show_preview(model: ModelDescription, answers: Sequence[PredictionAnswer]) -> None:
    """A slider over the promises that the model could keep; nothing where it could keep none."""
    rungs = model.review.ladder
    if not rungs:
        return
    with st.expander("What if it had to be surer?", icon=":material/rule:"):
        now = next((each for each in rungs if each.target_risk == model.review.target_risk), rungs[0])
        chosen = rungs[0]
        if len(rungs) > 1:
            chosen = st.select_slider("How sure it must be", rungs, now, format_func=_name)
        for line in tell_preview(model, answers, chosen):
            st.markdown(escape_markdown(line))
        st.caption(
            "Only a look: the service answers as before. To have it so, train with "
            f"`--set review.target_risk={chosen.target_risk:g}`: no network is trained again."
        )


def tell_preview(model: ModelDescription, answers: Sequence[PredictionAnswer], rung: Rung) -> list[str]:
    """What a promise would have done, in sentences."""
    told = [f"It would decide alone from {show_share(rung.threshold)} on; less sure ones go to a person."]
    promises = model.passport.promises if model.passport else ()
    for each in promises:
        if each.target_risk == rung.target_risk:
            wrong = "" if each.wrong is None else f", of these {show_share(each.wrong)} wrong"
            told.append(f"Of its test pictures: {show_share(each.accepted)} decided alone{wrong}.")
    found = [
        f"{show_share(each.unknown)} of {KIND_NAMES[each.kind]}"
        for each in (model.passport.kinds if model.passport else ())
        if each.kind in ("near", "far")
    ]
    if found:
        told.append(f"Called unknown, whatever this promise: {', '.join(found)}.")
    if answers:
        before = sum(each.decision is Decision.ACCEPT for each in answers)
        after = sum(_is_decided(each, model, rung) for each in answers)
        told.append(
            f"Of {count_of(len(answers), 'answer')} of this visit: {after} decided alone, now {before}."
        )
    return told


def _name(rung: Rung) -> str:
    return f"at most {show_share(rung.target_risk)} wrong"


def _is_decided(answer: PredictionAnswer, model: ModelDescription, rung: Rung) -> bool:
    """Whether it would be decided alone; what went to a person though it was sure enough still would."""
    sure_and_asked = answer.decision is Decision.REVIEW and answer.confidence >= model.review.threshold
    return (
        answer.decision is not Decision.UNKNOWN and answer.confidence >= rung.threshold and not sure_and_asked
    )
