"""The screen that makes a new class from a few pictures, told as provisional until a training takes them."""

from __future__ import annotations

import streamlit as st

from serving.api.schemas import MAX_ENROLLED, MIN_ENROLLED, EnrolledAnswer
from serving.app.pictures import FILE_TYPES
from serving.app.screen import Screen, Service
from serving.app.words import escape_markdown, explain_fault, show_share
from serving.client import RefusedError, enrol_class
from vision.base.errors import TaxonError
from vision.base.wording import count_of
from vision.data.thumbnails import make_thumbnail

SENT_SIDE = 800
"""Pixels of the longer side that is sent; networks look at some hundred."""


def show_enrol(service: Service) -> None:
    """Draw the screen."""
    taken: EnrolledAnswer | None = st.session_state.pop("enrolled", None)
    if taken is not None:
        _tell(taken)
    if not service.model.num_known_images:
        st.warning(escape_markdown(explain_fault("The class", RefusedError("", "no-known-images"))))
        return
    st.caption(
        f"{MIN_ENROLLED} or more pictures, better of several individuals, and a name. From then on a picture "
        "like them is told as *perhaps* that class, beside the answer of "
        f"{escape_markdown(service.model.name)}, which stays as it is. Nothing is promised of it before the "
        "next training."
    )
    name = st.text_input("Name of the new class", max_chars=200, placeholder="a name that is new to it")
    uploads = st.file_uploader(
        f"Pictures of it, {MIN_ENROLLED} to {MAX_ENROLLED}",
        type=FILE_TYPES,
        accept_multiple_files=True,
        key=f"enrol-{st.session_state.setdefault('enrol-serial', 0)}",
    )
    pictures = _look_at([(each.name, each.getvalue()) for each in uploads])
    if uploads:
        enough = MIN_ENROLLED <= len(pictures) <= MAX_ENROLLED
        needed = "" if enough else f"{MIN_ENROLLED} to {MAX_ENROLLED} are needed."
        st.markdown(f"**{count_of(len(pictures), 'picture')}.** {needed}")
        with st.container(horizontal=True, gap="xsmall"):
            for _, picture in pictures[:MAX_ENROLLED]:
                st.image(picture, width=96)
        if st.button("Make the class", type="primary", disabled=not enough):
            if name.strip():  # a name that is typed last arrives with the click
                _enrol(service, name.strip(), pictures)
            else:
                st.warning("Give the new class a name first.")
    _show_enrolled(service)


def _look_at(files: list[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
    """The files that are pictures, made small; the others are told."""
    pictures = []
    for name, content in files:
        try:
            pictures.append((name, _shrink(content)))
        except TaxonError as error:
            st.warning(f"Left out: {escape_markdown(explain_fault(name, error))}")
    return pictures


@st.cache_data(scope="session", max_entries=MAX_ENROLLED, show_spinner=False)
def _shrink(content: bytes) -> bytes:
    """A picture made small; kept for the visit, since each click draws the screen again."""
    return make_thumbnail(content, SENT_SIDE)


def _enrol(service: Service, name: str, pictures: list[tuple[str, bytes]]) -> None:
    try:
        taken = enrol_class(service.url, service.key, name, pictures)
    except TaxonError as error:
        told = explain_fault(name, error), str(error).partition(": ")[2]
        st.error(escape_markdown("\n\n".join(told)), icon=":material/error:")
        return
    st.session_state["enrolled"] = taken
    st.session_state["enrol-serial"] += 1  # an empty field for the next class
    st.rerun()


def _tell(taken: EnrolledAnswer) -> None:
    st.success(
        f"**{escape_markdown(taken.class_name)}** is answered from now on, as *perhaps*. "
        f"{taken.num_recognised} of its {taken.num_images} pictures, each left out in turn, were told from "
        f"the known classes; of pictures of known classes at most {show_share(taken.alpha)} should be taken "
        "for it.",
        icon=":material/person_add:",
    )


def _show_enrolled(service: Service) -> None:
    enrolled = service.model.enrolled
    if not enrolled:
        return
    st.markdown("##### New classes so far")
    st.dataframe(
        [{"class": each.class_name, "pictures": each.num_images} for each in enrolled],
        hide_index=True,
        width="content",
    )
    st.caption("To train with their pictures, or to forget one:")
    name = service.model.name
    st.code(
        f"python run.py enrol {name} --out new-classes\npython run.py enrol {name} --forget CLASS",
        language="bash",
    )


ENROL = Screen("Enrol", "Teach it a new class", "enrol", ":material/person_add:", show_enrol)
