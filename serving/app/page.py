"""The Streamlit page, run anew from top to bottom whenever something on it changes.

It asks the service over HTTP like any other client; `screens/` has a file for each of its screens.
"""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

import streamlit as st

from serving.app import HOME_VARIABLE
from serving.app.place import look_at_service, name_service
from serving.app.screen import Screen, Service
from serving.app.screens import SCREENS
from serving.app.words import escape_markdown, explain_fault
from serving.client import describe_model
from serving.runtime.process import ServiceStatus
from serving.runtime.running import ServiceFolder
from vision.base.errors import TaxonError
from vision.base.files import storage_errors

API_KEY = "api-key"
LOOK_AGAIN_SECONDS = 4.0
_STYLE = Path(__file__).with_name("page.css")
_ICON = Path(__file__).with_name("icon.png")


def show_page() -> None:
    """Draw the navigation, then the chosen screen, or why there is none."""
    st.set_page_config(page_title="Taxon", page_icon=_ICON, layout="wide")
    st.html(_STYLE)
    folder = ServiceFolder(Path(os.environ[HOME_VARIABLE]))
    pages = [_make_page(screen, folder) for screen in SCREENS]
    chosen = st.navigation(pages, position="hidden")
    with st.container(horizontal=True, gap="small", key="navigation"):
        for page in pages:
            st.page_link(page)
    keep_values()
    chosen.run()


def _make_page(screen: Screen, folder: ServiceFolder) -> st.Page:
    return st.Page(
        partial(show_screen, screen, folder),
        title=screen.title,
        icon=screen.icon,
        url_path=screen.path,
        default=screen is SCREENS[0],
    )


def keep_values() -> None:
    """Keep what was entered on a screen, which Streamlit forgets when its field is not drawn."""
    for name in (API_KEY, *(name for screen in SCREENS for name in screen.kept)):
        if name in st.session_state:
            st.session_state[name] = st.session_state[name]


def show_screen(screen: Screen, folder: ServiceFolder) -> None:
    """Draw a screen for the service, once there is one and it takes the key."""
    st.markdown(f"### {screen.heading}")
    status = look_at_service(folder)
    watch(folder, status.ready)
    if not status.ready:
        show_down(status)
        return
    try:
        service = reach(folder, status)
    except TaxonError as error:
        st.error(escape_markdown(explain_fault("The model", error)))
        return
    if service is not None:
        screen.draw(service)


@st.fragment(run_every=LOOK_AGAIN_SECONDS)
def watch(folder: ServiceFolder, was_ready: bool) -> None:
    """Look at the service every few seconds; draw the page again where it came up or went down."""
    if look_at_service(folder).ready != was_ready:
        st.rerun()


def show_down(status: ServiceStatus) -> None:
    """Say that the service does not answer, why, and what to do."""
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
    url, typed = name_service(status)
    if not url:
        return None
    if not typed:
        with storage_errors(folder.key, "read"):
            key = folder.key.read_text(encoding="utf-8").strip()
    else:
        key = st.text_input(
            "API key (one of those that the service was started with)", type="password", key=API_KEY
        )
    if not key:
        st.info("The service was started with keys of its own (TAXON_API_KEYS). Enter one to go on.")
        return None
    return Service(url, key, describe_model(url, key), folder, status)


if __name__ == "__main__":
    show_page()
