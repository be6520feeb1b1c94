"""The screen that shows what is known of the model: its test, its promises, its digests."""

from __future__ import annotations

from typing import Any

import streamlit as st

from serving.api.schemas import ModelDescription
from serving.app.screen import Screen, Service
from serving.app.words import escape_markdown, show_share, tell_limits, tell_promises
from vision.base.wording import count_of
from vision.decision.passport import ClassFigures, Passport

WEAK = 0.5
"""Share of its test images named right below which a class is not to be relied on."""

_KINDS = {"known": "classes that it knows", "near": "look-alikes", "far": "something else altogether"}


def show_model(service: Service) -> None:
    """Draw the screen."""
    model, passport = service.model, service.model.passport
    st.markdown(f"#### {escape_markdown(tell_model(model))}")
    for limit in tell_limits(model):
        st.warning(escape_markdown(limit))
    if passport is None:
        st.info(
            "What its test pictures said is not in this model, which was made before that was kept. Train "
            "again, or open the report of its training.",
            icon=":material/history:",
        )
    else:
        _show_passport(model, passport)
    if promises := tell_promises(model):
        st.markdown(f"**What it promises.** {escape_markdown(promises)}")
    _show_record(model)


def tell_model(model: ModelDescription) -> str:
    """How good the model is, in one sentence."""
    name = f"{model.name} version {model.version}"
    if (passport := model.passport) is None:
        return f"{name} knows {len(model.class_names)} classes."
    low, high = passport.accuracy_low, passport.accuracy_high
    between = "" if low is None or high is None else f" ({low:.0%} to {high:.0%})"
    return f"{name} names {passport.accuracy:.0%} of new pictures right{between}."


def _show_passport(model: ModelDescription, passport: Passport) -> None:
    known = next((each for each in passport.kinds if each.kind == "known"), None)
    with st.container(horizontal=True, gap="medium"):
        if known is not None:
            st.metric("Decided alone", f"{known.accept:.0%}")
            if known.wrong_among_accepted is not None:
                st.metric("of these wrong", f"{known.wrong_among_accepted:.0%}")
        for each in passport.kinds:
            if each.kind != "known":
                st.metric(f"Unknown, of {_KINDS.get(each.kind, each.kind)}", f"{each.unknown:.0%}")
    weak = [each for each in passport.classes if each.recall is not None and each.recall < WEAK]
    for figures in sorted(weak, key=lambda figures: figures.recall or 0.0):
        st.warning(escape_markdown(_tell_weak(figures)), icon=":material/priority_high:")
    st.caption(
        f"Of {count_of(passport.num_images, 'test picture')} of {count_of(passport.num_groups, 'individual')}"
        f" or places that it never learned from, as it is served ({model.precision})."
    )
    _show_classes(passport)
    _show_kinds(passport)
    _show_ladder(model, passport)


def _tell_weak(figures: ClassFigures) -> str:
    right = round((figures.recall or 0.0) * figures.num_images)
    return f"Do not rely on {figures.class_name}: {right} of {figures.num_images} test pictures were right."


def _show_classes(passport: Passport) -> None:
    """Each class, the most missed first."""
    ordered = sorted(passport.classes, key=lambda each: (each.recall is None, each.recall or 0.0))
    rows = [
        {
            "class": each.class_name,
            "named right": None if each.recall is None else 100 * each.recall,
            "right where named": None if each.precision is None else 100 * each.precision,
            "test pictures": each.num_images,
        }
        for each in ordered
    ]
    share = st.column_config.ProgressColumn(format="%d%%", min_value=0, max_value=100)
    st.markdown("**Each class, the most missed first**")
    columns: dict[str, Any] = {"named right": share, "right where named": share}
    st.dataframe(rows, hide_index=True, column_config=columns)


def _show_kinds(passport: Passport) -> None:
    rows = [
        {
            "test pictures of": _KINDS.get(each.kind, each.kind),
            "number": each.num_images,
            "named": f"{each.accept:.0%}",
            "for a person": f"{each.review:.0%}",
            "unknown": f"{each.unknown:.0%}",
        }
        for each in passport.kinds
    ]
    st.markdown("**What they were answered**")
    st.dataframe(rows, hide_index=True)


def _show_ladder(model: ModelDescription, passport: Passport) -> None:
    """What other promises would have done to the test images."""
    rows = [
        {
            "promise": f"at most {show_share(each.target_risk)} wrong",
            "decided alone": f"{each.accepted:.0%}" if each.attainable else "cannot be promised",
            "of these wrong": "none" if each.wrong is None else f"{each.wrong:.0%}",
            "": "as it is served" if each.target_risk == model.review.target_risk else "",
        }
        for each in passport.promises
    ]
    if rows:
        with st.expander("What stricter and looser promises would have done", icon=":material/stairs:"):
            st.dataframe(rows, hide_index=True)
            st.caption("Choose one before training: `review: {target_risk: 0.05}` in the config.")


def _show_record(model: ModelDescription) -> None:
    held_out = ", ".join(model.unknown_class_names)
    agreement = model.passport.decision_agreement if model.passport else None
    rows = {
        "classes": ", ".join(model.class_names),
        "held out when it was trained": held_out,
        "network": f"{model.backbone}, weights as {model.precision}, pictures of {model.image_size} pixels",
        "decides as the trained network": "" if agreement is None else f"{agreement:.1%} of pictures",
        "unknown by": model.score_name,
        "digest of the bundle": model.digest,
        "digest of its pictures": model.data_digest,
        "takes": f"up to {model.max_body_bytes / 1e6:g} MB and {model.max_megapixels:g} megapixels",
    }
    with st.expander("For the record", icon=":material/badge:"):
        for name, value in rows.items():
            if value:
                st.markdown(f"**{name}**: {escape_markdown(value)}")
        st.code('curl -H "X-API-Key: $KEY" "$URL/model"', language="bash")


MODEL = Screen("Model", "model", ":material/badge:", show_model)
