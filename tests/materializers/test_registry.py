"""What the registry says of the model in production."""

from __future__ import annotations

from types import SimpleNamespace
from uuid import uuid4

import pytest

from materializers import registry
from materializers.names import ArtifactName


def make_version(number: int) -> SimpleNamespace:
    """A version as ZenML gives it, with all that a champion has."""
    metadata = {registry.DIGEST_KEY: f"digest {number}", registry.RUN_KEY: f"run {number}"}
    artifacts = {name: SimpleNamespace(id=uuid4()) for name in ArtifactName}
    return SimpleNamespace(
        number=number,
        name=str(number),
        model=SimpleNamespace(name="reef"),
        id=uuid4(),
        run_metadata=metadata,
        get_artifact=artifacts.get,
    )


def test_what_is_in_production_is_read_at_once_so_that_a_promotion_meanwhile_mixes_no_two_versions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    promoted = iter([make_version(1), make_version(2), make_version(3)])
    monkeypatch.setattr(registry, "_production_version", lambda _: next(promoted))
    found = registry.find_production("reef")
    assert found is not None
    assert (found.version, found.champion.digest, found.run_id) == ("1", "digest 1", "run 1")
