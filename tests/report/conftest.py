"""Pictures of the report's tests are drawn small."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from report.figures import style
from report.pictures import PictureCache

SMALL_DOTS_PER_INCH = 40


@pytest.fixture(autouse=True, scope="package")
def small_pictures() -> Iterator[None]:
    """Figures of fewer dots: what they show does not depend on it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(style, "DOTS_PER_INCH", SMALL_DOTS_PER_INCH)
        yield


@pytest.fixture
def no_plots(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures have their own tests; without them a report takes milliseconds."""
    monkeypatch.setattr(PictureCache, "embed", lambda *_: "data:image/png;base64,")
