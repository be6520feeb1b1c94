"""What a deployment tells beyond its check."""

from __future__ import annotations

import pytest

from serving.runtime.deployment import tell_pictures
from serving.runtime.running import BuiltBento, DeployedService
from tests.serving.toy import make_bundle, make_pin
from vision.config.serve import PredictionLogSettings, ServeSettings


@pytest.mark.parametrize(
    ("kept", "keeps", "said", "names_model"),
    [
        (True, False, "not kept", True),
        (False, True, "are kept", False),
        (True, True, "", False),
        (False, False, "", False),
    ],
)
def test_it_is_told_where_pictures_are_kept_otherwise_than_before(
    kept: bool, keeps: bool, said: str, names_model: bool
) -> None:
    before, now = (ServeSettings(log=PredictionLogSettings(keep_images=each)) for each in (kept, keeps))
    pin = make_pin(make_bundle())
    told = tell_pictures(DeployedService(bento=BuiltBento(tag=pin.tag, model=pin), serve=before), now)
    assert said in told
    assert bool(told) == bool(said)
    assert ("toy version 3" in told) is names_model
