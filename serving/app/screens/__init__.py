"""The page's screens in the order of its navigation: a new one is a file here and a place in SCREENS."""

from __future__ import annotations

from serving.app.screens.ask import ASK
from serving.app.screens.batch import BATCH
from serving.app.screens.enrol import ENROL
from serving.app.screens.model import MODEL
from serving.app.screens.monitoring import MONITORING
from serving.app.screens.review import REVIEW

SCREENS = (ASK, BATCH, REVIEW, ENROL, MODEL, MONITORING)
"""The first is shown at the page's own address."""
