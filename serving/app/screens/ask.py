"""The screen that answers pictures: each is asked once, in plain words, and kept as the visit's history.

What was dropped is asked and taken out of the field, so that the prediction log holds nothing twice.
"""

from __future__ import annotations

import secrets
from pathlib import Path

import streamlit as st

from serving.api.schemas import PredictionQuery
from serving.app.cards import Card, show_examples, show_large, show_small
from serving.app.pictures import FILE_TYPES
from serving.app.preview import show_preview
from serving.app.screen import Screen, Service
from serving.app.visit import (
    Asked,
    ask_picture,
    count_answers,
    forget_pictures,
    order_by_doubt,
    summarize,
    write_csv,
)
from serving.app.words import escape_markdown, introduce, tell_limits, tell_promises
from serving.runtime.class_pictures import find_class_pictures
from serving.runtime.running import read_deployed
from vision.base.wording import count_of
from vision.data.views import MOST_VIEWS

GLOSSARY = Path(__file__).resolve().parents[3] / "docs" / "glossary.md"
MOST_CARDS = 60
_COLUMNS = 3
SIMILAR = 3
"""Known images that are shown as most like a picture."""


def show_ask(service: Service) -> None:
    """Draw the screen."""
    take_pictures(service)
    show_answers(service)
    show_preview(service.model, [each.answer for each in read_history() if each.answer is not None])
    show_history()
    show_options()
    show_model(service)


def take_pictures(service: Service) -> None:
    """Ask about what was dropped, or about the example that the last deployment left."""
    serial = st.session_state.setdefault("serial", 0)
    uploads = st.file_uploader(
        "Drop pictures here, or choose them (up to 200 MB each)",
        type=FILE_TYPES,
        accept_multiple_files=True,
        key=f"uploads-{serial}",
    )
    files = [(upload.name, upload.getvalue()) for upload in uploads]
    deployed = read_deployed(service.folder)
    example = deployed.example if deployed is not None else None
    offered = not read_history() and example is not None and example.is_file()
    if offered and example and st.button("No picture at hand? Use one of the test images"):
        files.append((example.name, example.read_bytes()))
    if files:
        ask_all(service, files)
        st.session_state["serial"] = serial + 1  # an empty field for the next pictures
        st.rerun()


def ask_all(service: Service, files: list[tuple[str, bytes]]) -> None:
    """Ask one file after the other and put them into the history."""
    visit = st.session_state.setdefault("visit", f"visit-{secrets.token_hex(4)}")
    group, query = str(st.session_state.get("group") or "").strip() or visit, read_options()
    history = forget_pictures(read_history())
    st.session_state["first_new"] = len(history)
    bar = st.progress(0.0, text="Looking ...")
    for number, (name, content) in enumerate(files, start=1):
        history.append(ask_picture(service, name, content, group, query))
        bar.progress(number / len(files), text=f"{number} of {count_of(len(files), 'picture')}")
    st.session_state["history"] = history


def read_history() -> list[Asked]:
    """The pictures of this visit, oldest first."""
    history: list[Asked] = st.session_state.setdefault("history", [])
    return history


def show_answers(service: Service) -> None:
    """The pictures that were dropped last, the doubtful first."""
    history, first = read_history(), st.session_state.get("first_new", 0)
    newest = history[first:]
    examples = find_class_pictures(service.folder, service.model.digest, service.model.class_names)

    def keep(place: int, asked: Asked) -> None:
        history[place] = asked

    cards = [Card(first + place, newest[place], service, examples, keep) for place in order_by_doubt(newest)]
    if len(cards) == 1:
        show_large(cards[0])
        return
    if cards:
        st.markdown(f"**{count_answers(newest)}**")
        st.caption(escape_markdown(tell_promises(service.model)))
    for start in range(0, min(len(cards), MOST_CARDS), _COLUMNS):
        for column, card in zip(st.columns(_COLUMNS), cards[start : start + _COLUMNS], strict=False):
            with column:
                show_small(card)
    if len(cards) > MOST_CARDS:
        st.caption(f"{len(cards) - MOST_CARDS} more are in the table.")


def show_history() -> None:
    """The pictures of this visit as a table, and as a file."""
    history = read_history()
    if not history:
        return
    with st.expander(f"This visit: {count_of(len(history), 'picture')}", icon=":material/history:"):
        st.dataframe([summarize(each) for each in reversed(history)], hide_index=True)
        st.download_button(
            "Download as CSV", write_csv(history), "taxon-visit.csv", "text/csv", icon=":material/download:"
        )


def show_options() -> None:
    """How the pictures that follow are asked."""
    with st.expander("More: camera or individual, views, re-encoding", icon=":material/tune:"):
        st.caption("For the pictures that follow.")
        st.text_input(
            "Camera, individual or visit",
            key="group",
            max_chars=200,
            placeholder="this visit",
            help="Monitoring counts groups, not pictures: ten frames of one fish are one fish. Left empty, "
            "all pictures of this visit are one group.",
        )
        st.slider(
            "Views of each picture",
            1,
            MOST_VIEWS,
            key="tta",
            help="Flipped and cut a little; their mean tells the class where a person decides. Takes that "
            "many times as long. The promise stays that of one view.",
        )
        st.toggle(
            "Write each as JPEG first",
            key="reencode",
            help="Takes away what was added to deceive a network, and some detail with it.",
        )
        st.session_state.setdefault("similar", True)
        st.toggle("Show known pictures that are like it", key="similar")


def read_options() -> PredictionQuery:
    """What was chosen."""
    chosen = st.session_state
    return PredictionQuery(
        explain=True,
        tta=int(chosen.get("tta") or 1),
        reencode=bool(chosen.get("reencode")),
        similar=SIMILAR if chosen.get("similar", True) else 0,
    )


def show_model(service: Service) -> None:
    """Which model answers, what it knows and cannot do, and whether answers are written down."""
    model = service.model
    for limit in tell_limits(model):
        st.warning(escape_markdown(limit))
    if service.status.log.startswith("failing"):
        st.warning(f"Answers are not being written down: {escape_markdown(service.status.log)}")
    num_classes = len(model.class_names)
    with st.expander(f"The {num_classes} classes that it knows", icon=":material/category:"):
        pictures = find_class_pictures(service.folder, model.digest, model.class_names)
        for start in range(0, num_classes, _COLUMNS):
            names = model.class_names[start : start + _COLUMNS]
            for column, name in zip(st.columns(_COLUMNS), names, strict=False):
                with column:
                    show_examples(name, pictures[name])
    with st.expander("What the words mean", icon=":material/menu_book:"):
        st.markdown(GLOSSARY.read_text(encoding="utf-8").partition("\n\n")[2])
    st.caption(escape_markdown(introduce(model)))


ASK = Screen(
    "Ask",
    "What is in this picture?",
    "ask",
    ":material/image_search:",
    show_ask,
    kept=("group", "tta", "reencode", "similar"),
)
