"""A promotion stands and is told of, whatever happens to the deployment that follows it."""

import logging
from pathlib import Path
from types import SimpleNamespace

import pytest

from orchestration.flows import deployment, rollback
from orchestration.flows.running.runner import Outcome, Run
from orchestration.session.paths import ProjectPaths
from tests.example_data import make_config
from vision.base.errors import ServiceError


@pytest.mark.parametrize("error", [ServiceError("no port"), ValueError("unforeseen")])
def test_a_deployment_that_fails_in_any_way_leaves_the_promotion_its_outcome(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> Outcome:
        raise error

    monkeypatch.setattr(deployment.DeploymentFlow, "carry_out", fail)
    trained = Outcome("reef-1", tmp_path, 0, "promoted: better.", promoted=True)
    config = make_config().model_copy(update={"deploy": True})
    with caplog.at_level(logging.ERROR):
        outcome = deployment.follow_promotion(trained, Run("reef-1", config, ProjectPaths.of(tmp_path)))
    assert (outcome.exit_code, outcome.promoted) == (1, True)
    assert (
        f"The promotion stands, but the new champion is not served: {type(error).__name__}" in outcome.message
    )
    assert ("Traceback" in caplog.text) == isinstance(error, ValueError)


def test_a_rollback_says_whose_service_a_deployment_would_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = SimpleNamespace(bento=SimpleNamespace(model=SimpleNamespace(name="river")))
    monkeypatch.setattr(rollback, "find_service", lambda _: other)
    run = Run("reef-1", make_config(), ProjectPaths.of(tmp_path))
    told = rollback._follow(run.outcome(0, "rolled back."), run).message
    assert told.startswith(
        "rolled back. No service of it runs; to start one in place of river, which answers"
    )
