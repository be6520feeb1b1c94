"""The Streamlit page, run anew from top to bottom whenever something on it changes.

It asks the service over HTTP like any other client, and each picture once: an answer is kept until another
picture or model comes, so that nothing is written twice into the prediction log.
"""

from __future__ import annotations

import base64
import hashlib
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from serving.api.schemas import ModelDescription, PredictionAnswer
from serving.app import HOME_VARIABLE
from serving.app.words import (
    CONFIDENCE_IN_WORDS,
    escape_markdown,
    introduce,
    put_in_words,
    show_class,
    show_share,
    tell_limits,
)
from serving.client import ask_service, describe_model
from serving.runtime.process import ServiceStatus, service_status
from serving.runtime.running import ServiceFolder, read_deployed
from vision.base.errors import ServiceError, TaxonError
from vision.base.files import storage_errors
from vision.decision.records import Decision

FILE_TYPES = ["jpg", "jpeg", "png", "webp", "bmp"]
LOOK_AGAIN_SECONDS = 4.0


@dataclass(frozen=True)
class Picture:
    """What is asked about, and the group that it is counted in."""

    name: str
    content: bytes
    group: str


@dataclass(frozen=True)
class Service:
    """A service that is ready, and how to ask it."""

    url: str
    key: str
    model: ModelDescription


def show_page() -> None:
    """Draw the page."""
    st.set_page_config(page_title="Taxon", layout="wide")
    st.title("What is in this picture?")
    folder = ServiceFolder(Path(os.environ[HOME_VARIABLE]))
    status = service_status(folder)
    watch(folder, status.ready)
    if not status.ready:
        show_down(status)
        return
    try:
        service = reach(folder, status)
    except TaxonError as error:
        st.error(f"The service does not tell what it serves. {escape_markdown(str(error))}")
        return
    if service is None:
        return
    show_model(service.model, status)
    picture = choose_picture(folder)
    if picture is not None:
        show_answer(service, picture)


@st.fragment(run_every=LOOK_AGAIN_SECONDS)
def watch(folder: ServiceFolder, was_ready: bool) -> None:
    """Look at the service every few seconds; draw the page again where it came up or went down."""
    if service_status(folder).ready != was_ready:
        st.rerun()


def show_down(status: ServiceStatus) -> None:
    """Say that nobody answers, why, and what to do."""
    st.error("**The service is down: no picture can be answered now.**", icon=":material/cloud_off:")
    st.markdown(escape_markdown(status.message))
    st.markdown("This page looks again every few seconds and goes on by itself once the service is ready:")
    st.code("make serve", language="bash")


def reach(folder: ServiceFolder, status: ServiceStatus) -> Service | None:
    """The ready service with its key and model; None until somebody has typed a key that is needed.

    Raises:
        ServiceError: the service does not answer, or refuses the key.
        StorageError: the file of its key cannot be read.
    """
    running = status.running
    if running is None:
        return None
    if not running.keys_from_environment:
        with storage_errors(folder.key, "read"):
            key = folder.key.read_text(encoding="utf-8").strip()
    else:
        key = st.text_input("API key (one of those that the service was started with)", type="password")
    if not key:
        st.info("The service was started with keys of its own (TAXON_API_KEYS). Enter one to go on.")
        return None
    return Service(running.url, key, describe_model(running.url, key))


def show_model(model: ModelDescription, status: ServiceStatus) -> None:
    """Which model answers, what it knows and cannot do, and whether answers are written down."""
    st.caption(escape_markdown(introduce(model)))
    for limit in tell_limits(model):
        st.warning(escape_markdown(limit))
    if status.log.startswith("failing"):
        st.warning(f"Answers are not being written down: {escape_markdown(status.log)}")


def choose_picture(folder: ServiceFolder) -> Picture | None:
    """The picture dropped here, or the example that the last deployment left."""
    left, right = st.columns([1, 3], vertical_alignment="bottom")
    visit = st.session_state.setdefault("visit", f"visit-{secrets.token_hex(4)}")
    with left:
        group = st.text_input(
            "Camera, individual or visit",
            max_chars=200,
            placeholder=visit,
            help="Of the pictures that follow. Monitoring counts groups, not pictures: ten frames of one "
            "fish are one fish. Left empty, all pictures of this visit are one group.",
        ).strip()
    with right:
        upload = st.file_uploader("Drag a picture here", type=FILE_TYPES)
    deployed = read_deployed(folder)
    example = deployed.example if deployed is not None else None
    if upload is not None:
        return Picture(upload.name, upload.getvalue(), group or visit)
    if example is None or not example.is_file():
        return None
    if st.button("No picture at hand? Use one of the test images"):
        st.session_state["example"] = str(example)
    if st.session_state.get("example") == str(example):
        return Picture(example.name, example.read_bytes(), group or visit)
    return None


def show_answer(service: Service, picture: Picture) -> None:
    """Ask, and show the decision, the classes and what they were read from."""
    try:
        with st.spinner("Looking ..."):
            answer = ask_once(service, picture)
    except ServiceError as error:
        st.error(f"No answer to {escape_markdown(picture.name)}.", icon=":material/error:")
        st.markdown(escape_markdown(str(error)))
        return
    left, right = st.columns([1, 1], gap="large")
    with left:
        show_pictures(answer, picture)
    with right:
        show_decision(answer, service.model)


def ask_once(service: Service, picture: Picture) -> PredictionAnswer:
    """The service's answer; that of before, if picture and model are the same.

    A group that is typed afterwards counts for the next picture: one picture is one line of the log.

    Raises:
        ServiceError: as of `ask_service`.
    """
    digest = hashlib.sha256(picture.content).hexdigest()
    asked = (digest, picture.name, service.model.digest)
    if st.session_state.get("asked") != asked:
        st.session_state["answer"] = ask_service(
            service.url,
            service.key,
            picture.content,
            picture.name,
            group=picture.group,
            explain=True,
        )
        st.session_state["asked"] = asked
    answer: PredictionAnswer = st.session_state["answer"]
    return answer


def show_pictures(answer: PredictionAnswer, picture: Picture) -> None:
    """The picture, and the heat map on what the network saw of it."""
    shown, heat = st.columns(2)
    shown.image(picture.content, caption=escape_markdown(picture.name), width="stretch")
    if answer.heat_map_png is not None:
        heat.image(
            base64.b64decode(answer.heat_map_png),
            caption=f"Warm: what spoke most for {escape_markdown(show_class(answer.class_name))}. A hint, no "
            "outline.",
            width="stretch",
        )


def show_decision(answer: PredictionAnswer, model: ModelDescription) -> None:
    """The decision in plain words, the confidence, the classes, and the figures for who wants them."""
    words = put_in_words(answer, model)
    box = {Decision.ACCEPT: st.success, Decision.REVIEW: st.warning, Decision.UNKNOWN: st.info}
    icons = {
        Decision.ACCEPT: ":material/check_circle:",
        Decision.REVIEW: ":material/visibility:",
        Decision.UNKNOWN: ":material/help:",
    }
    text = f"#### {escape_markdown(words.title)}\n\n{escape_markdown(words.meaning)}"
    box[answer.decision](text, icon=icons[answer.decision])
    if words.promise:
        st.caption(escape_markdown(words.promise))
    title = "If it were one of the known classes" if answer.decision == Decision.UNKNOWN else "Confidence"
    st.markdown(f"**{title}**")
    st.caption(escape_markdown(CONFIDENCE_IN_WORDS))
    for each in answer.top_k[:3]:
        text = (
            f"{escape_markdown(show_class(each.class_name))}: {escape_markdown(show_share(each.probability))}"
        )
        st.progress(min(max(each.probability, 0.0), 1.0), text=text)
    with st.expander("Figures"):
        st.json(answer.model_dump(mode="json", exclude={"heat_map_png"}))


if __name__ == "__main__":
    show_page()
