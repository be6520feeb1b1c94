"""The page's screens in the order of its navigation: a new one is a file here and a place in SCREENS."""

from __future__ import annotations

from serving.app.screens.ask import ASK
from serving.app.screens.model import MODEL
from serving.app.screens.monitoring import MONITORING
from serving.app.screens.review import REVIEW

SCREENS = (ASK, REVIEW, MODEL, MONITORING)
"""The first is shown at the page's own address."""
