"""What a screen of the page declares, and what it is drawn with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from serving.api.schemas import ModelDescription
from serving.runtime.process import ServiceStatus
from serving.runtime.running import ServiceFolder


@dataclass(frozen=True)
class Service:
    """A service that is ready, and how to ask it.

    Attributes:
        url: http://HOST:PORT.
        key: API key.
        model: what it said of its model.
        folder: of this project's state, where pictures of classes and the example lie.
        status: of the process, and of the prediction log.
    """

    url: str
    key: str
    model: ModelDescription
    folder: ServiceFolder
    status: ServiceStatus


@dataclass(frozen=True)
class Screen:
    """A screen of the page.

    Attributes:
        title: in the navigation, one word.
        heading: what it asks or offers.
        path: in its address, lower case.
        icon: `:material/NAME:`, of the font that Streamlit ships.
        draw: draws it for a service that is ready.
        kept: session keys of its widgets whose values stay while another screen is shown.
    """

    title: str
    heading: str
    path: str
    icon: str
    draw: Callable[[Service], None]
    kept: tuple[str, ...] = ()
