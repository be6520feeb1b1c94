"""The screen that shows what is known of the model: its test, its promises, its digests."""

from __future__ import annotations

import base64
import math
from pathlib import Path
from typing import Any

import streamlit as st

from serving.api.schemas import ModelDescription
from serving.app.screen import Screen, Service
from serving.app.words import KIND_NAMES, escape_markdown, show_share, tell_limits, tell_promises
from serving.runtime.class_pictures import find_class_pictures
from vision.base.wording import count_of, format_hundred, in_tenths, whole_percent
from vision.bundle.weak import tell_weak_classes
from vision.decision.passport import Passport

_PICTURE_PIXELS = 56
_MOST_ROWS = 12


def show_model(service: Service) -> None:
    """Draw the screen."""
    model, passport = service.model, service.model.passport
    st.markdown(f"#### {escape_markdown(tell_model(model))}")
    for limit in tell_limits(model):
        st.warning(escape_markdown(limit))
    if weak := tell_weak_classes(model.weak_classes):
        st.warning(escape_markdown(weak), icon=":material/priority_high:")
    if passport is None:
        st.info(
            "What its test pictures said is not in this model, which was made before that was kept. Train "
            "again, or open the report of its training.",
            icon=":material/history:",
        )
    else:
        _show_passport(service, passport)
    if promises := tell_promises(model):
        st.markdown(f"**What it promises.** {escape_markdown(promises)}")
    _show_record(service)


def tell_model(model: ModelDescription) -> str:
    """How good the model is, in one sentence."""
    name = f"{model.name} version {model.version}"
    if (passport := model.passport) is None:
        return f"{name} knows {len(model.class_names)} classes."
    low, high = passport.accuracy_low, passport.accuracy_high
    between = "" if low is None or high is None else f" ({math.floor(100 * low)} to {math.ceil(100 * high)}%)"
    return f"{name} names {format_hundred(passport.accuracy)}% of new pictures right{between}."


def _show_passport(service: Service, passport: Passport) -> None:
    known = next((each for each in passport.kinds if each.kind == "known"), None)
    with st.container(horizontal=True, gap="medium"):
        if known is not None:
            st.metric("Decided alone", f"{format_hundred(known.accept)}%")
            if known.wrong_among_accepted is not None:
                st.metric("Of these wrong", f"{format_hundred(known.wrong_among_accepted)}%")
        for each in passport.kinds:
            if each.kind != "known":
                st.metric(
                    f"{KIND_NAMES.get(each.kind, each.kind).capitalize()} unknown",
                    f"{format_hundred(each.unknown)}%",
                )
    st.caption(
        f"How many it names right was counted on {count_of(passport.num_images, 'picture')} of "
        f"{count_of(passport.num_groups, 'group')} (individuals, places or visits), none of them learned "
        "from when it was named; all else here on its test pictures, as it is served."
    )
    _show_classes(service, passport)
    _show_kinds(passport)
    _show_ladder(service.model, passport)


def _show_classes(service: Service, passport: Passport) -> None:
    """Each class with a picture that it was taught by, the most missed first."""
    examples = find_class_pictures(service.folder, service.model.digest, service.model.class_names)
    ordered = sorted(passport.classes, key=lambda each: (each.recall is None, each.recall or 0.0))
    rows = [
        {
            "taught": _read_picture(examples.get(each.class_name, [])),
            "class": each.class_name,
            "named right": None if each.recall is None else whole_percent(each.recall),
            "test pictures": each.num_images,
            "right where named": None if each.precision is None else whole_percent(each.precision),
        }
        for each in ordered
    ]
    shown = any(row["taught"] for row in rows)
    share = st.column_config.ProgressColumn(format="%d%%", min_value=0, max_value=100, color="blue")
    columns: dict[str, Any] = {
        "taught": st.column_config.ImageColumn(width="small") if shown else None,
        "named right": share,
        "right where named": share,
    }
    st.markdown("**Each class, the most missed first**")
    st.dataframe(
        rows,
        hide_index=True,
        column_config=columns,
        row_height=_PICTURE_PIXELS if shown else None,
        height="content" if len(rows) <= _MOST_ROWS else "auto",  # else it scrolls
    )


def _read_picture(paths: list[Path]) -> str | None:
    """The first of them as a data URL."""
    if not paths:
        return None
    return f"data:image/jpeg;base64,{base64.b64encode(paths[0].read_bytes()).decode('ascii')}"


def _show_kinds(passport: Passport) -> None:
    rows = [
        {
            "test pictures of": KIND_NAMES.get(each.kind, each.kind),
            "decided alone": f"{format_hundred(each.accept)}%",
            "for a person": f"{format_hundred(each.review)}%",
            "unknown": f"{format_hundred(each.unknown)}%",
            "number": each.num_images,
        }
        for each in passport.kinds
    ]
    st.markdown("**What they were answered**")
    st.table(rows, hide_index=True)  # its words wrap on a phone


def _show_ladder(model: ModelDescription, passport: Passport) -> None:
    """What other promises would have done to the test images."""
    rows = [
        {
            "promise": f"at most {show_share(each.target_risk)} wrong",
            "decided alone": f"{format_hundred(each.accepted)}%" if each.attainable else "cannot be promised",
            "of these wrong": "none" if each.wrong is None else f"{format_hundred(each.wrong)}%",
            "": "as it is served" if each.target_risk == model.review.target_risk else "",
        }
        for each in passport.promises
    ]
    if rows:
        with st.expander("What stricter and looser promises would have done", icon=":material/stairs:"):
            st.table(rows, hide_index=True)
            st.caption("Choose one before training: `review: {target_risk: 0.05}` in the config.")


def _show_record(service: Service) -> None:
    model, running = service.model, service.status.running
    held_out = ", ".join(model.unknown_class_names)
    agreement = model.passport.decision_agreement if model.passport else None
    rows = {
        "classes": ", ".join(model.class_names),
        "held out when it was trained": held_out,
        "network": f"{model.backbone}, weights as {model.precision}, pictures of {model.image_size} pixels",
        "decides as the trained network": "" if agreement is None else f"{in_tenths(agreement)}% of pictures",
        "unknown by": model.score_name,
        "digest of the bundle": model.digest,
        "digest of its pictures": model.data_digest,
        "answers since": "" if running is None else running.since.replace("T", " ").replace("+00:00", " UTC"),
        "takes": f"up to {model.max_body_bytes / 1e6:g} MB and {model.max_megapixels:g} megapixels",
    }
    with st.expander("For the record", icon=":material/badge:"):
        for name, value in rows.items():
            if value:
                st.markdown(f"**{name}**: {escape_markdown(value)}")
        st.code('curl -H "X-API-Key: $KEY" "$URL/model"', language="bash")


MODEL = Screen("Model", "How good is it?", "model", ":material/badge:", show_model)
