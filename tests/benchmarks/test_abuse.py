"""Some of the abuse against the toy's service, as far as it needs no process of its own; and its verdict."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import closing

import pytest

from benchmarks.abuse.__main__ import KINDS, Row, Seen, render
from benchmarks.abuse.hostile import picture_form
from benchmarks.abuse.victim import HANGS, Victim
from serving.api.requests import heads
from serving.api.settings import ServiceSettings
from serving.runtime.running import ServiceFolder
from tests.serving.live import serving_toy
from tests.serving.toy import KEY, OTHER_KEY, RED, paint
from tests.vision.training.nets.toy import KERAS_WARNINGS

pytestmark = [
    pytest.mark.slow,
    KERAS_WARNINGS,
    pytest.mark.filterwarnings("ignore::UserWarning"),  # Pillow, of damaged pictures
    pytest.mark.filterwarnings("ignore:.*[Uu]nclosed file:ResourceWarning"),  # parts of a form that broke off
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(scope="module")
def victim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Victim]:
    folder = tmp_path_factory.mktemp("abused")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(heads, "HEAD_SECONDS", 0.5)
        settings = ServiceSettings(body_seconds=1, max_in_flight=20)
        with serving_toy(folder / "log.sqlite", settings) as service:
            images = [paint(RED, "JPEG", (320, 240))] * 3
            with closing(Victim(ServiceFolder(folder), service, images, 0.03, KEY, OTHER_KEY)) as abused:
                yield abused


@pytest.mark.parametrize("kind", list(KINDS)[:6])
def test_no_abuse_is_answered_by_5xx_or_not_at_all_and_others_are_served(victim: Victim, kind: str) -> None:
    seen = KINDS[kind](victim)
    other = victim.post(picture_form(victim.images[0]), "/explain", key=OTHER_KEY)
    assert Row(kind, seen, 1.0, [(other, 0.1)], 1.0).faults == []
    assert sum(seen.outcomes.values()) >= 29
    assert ("401" in seen.outcomes) == (kind in ("wrong keys", "ambiguous requests"))


@pytest.mark.parametrize(
    ("kind", "outcomes", "friend", "fault"),
    [
        ("damaged", {"500": 1, "200": 3}, "200", "500: 1"),
        ("slow", {HANGS: 2}, "200", "no answer: 2"),
        ("smuggled", {"400+200": 1}, "200", "400+200: 1"),
        ("anything", {"400": 9}, "429", "another client got 429"),
        ("a worker killed", {"503": 9, "closed": 2}, "503", ""),
    ],
)
def test_what_is_not_as_wanted_is_said(kind: str, outcomes: dict[str, int], friend: str, fault: str) -> None:
    row = Row(kind, Seen(Counter(outcomes)), 1.0, [(friend, 2.0)], 100.0)
    assert row.faults == [fault] * bool(fault)
    assert (f"**{fault}**" if fault else "| yes |") in render([row])
