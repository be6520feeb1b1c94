"""The report and the page carry the words of docs/glossary.md."""

from __future__ import annotations

from report.glossary import GLOSSARY, read_glossary
from report.sections.provenance import PROVENANCE
from serving.app.screens import ask
from tests.example_story import make_story
from vision.decision.records import Decision
from vision.gate.records import Verdict


def test_the_glossary_has_every_answer_and_verdict_and_stands_in_the_report() -> None:
    words = dict(read_glossary())
    assert len(words) >= 20
    assert all(word and meaning and "|" not in word + meaning for word, meaning in words.items())
    for each in Decision:
        assert any(each.value in word for word in words), each
    for verdict in Verdict:
        assert verdict.value in words["gate"]
    assert PROVENANCE.context(make_story())["words"] == read_glossary()


def test_the_page_shows_the_same_file() -> None:
    assert ask.GLOSSARY.samefile(GLOSSARY)
