"""Where the page's service is: this project's own, or the one that an environment variable names."""

from __future__ import annotations

import os

from serving.runtime.process import ServiceStatus, ask_status, service_status
from serving.runtime.running import ServiceFolder

URL_VARIABLE = "TAXON_SERVICE_URL"
"""http://HOST:PORT of a service elsewhere, as in a container; its key is then typed on the page."""


def look_at_service(folder: ServiceFolder) -> ServiceStatus:
    """Whether the service answers, and why not."""
    url = os.environ.get(URL_VARIABLE)
    return ask_status(url) if url else service_status(folder)


def name_service(status: ServiceStatus) -> tuple[str, bool]:
    """Its URL, and whether its key has to be typed."""
    url = os.environ.get(URL_VARIABLE)
    if url or status.running is None:
        return url or "", True
    return status.running.url, status.running.keys_from_environment
