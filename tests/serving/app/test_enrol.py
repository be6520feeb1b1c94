"""The screen for a new class, where the model can take none."""

from __future__ import annotations

from pathlib import Path

from streamlit.testing.v1 import AppTest

from tests.serving.app.test_batch import make_service


def draw(service: object) -> None:
    from serving.app.screens.enrol import show_enrol

    show_enrol(service)  # type: ignore[arg-type]


def test_a_model_without_known_images_is_told_before_pictures_are_chosen(tmp_path: Path) -> None:
    service = make_service(tmp_path)
    assert service.model.num_known_images == 0
    page = AppTest.from_function(draw, default_timeout=60, kwargs={"service": service}).run()
    assert not page.exception
    assert "keeps no known images" in page.warning[0].value
    assert not page.file_uploader
    assert not page.text_input
