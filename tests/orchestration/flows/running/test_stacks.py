"""A stack that would fail is refused before anything is read; its steps get the pods of the configuration."""

from __future__ import annotations

import logging
import re
from contextlib import nullcontext
from typing import Any

import pytest

import run
from orchestration.flows.running import stacks
from orchestration.flows.running.stacks import ORCHESTRATOR, _Teller, options_of
from pipelines.names import PipelineName
from tests.example_data import make_config
from tests.processes import play_story
from vision.config.cluster import ClusterSettings

pytest.importorskip("kubernetes")
pytest.importorskip("boto3")


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return play_story("tests.orchestration.flows.running.stacks_toy", tmp_path_factory.mktemp("home"))[0]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("case", "told"),
    [
        ("nowhere", r"ConfigError: .*no such stack.*default.*kubernetes.*zenml stack import nowhere"),
        ("own database", r"ConfigError: .*ZENML_STORE_URL"),
        ("closed", r"StorageError: s3://closed.*Access Denied.*rights of the bucket"),
        ("no package", r"ConfigError: .*a_package_that_is_not.*requirements-extras"),
        ("no image", r"ConfigError: cluster\.image is missing"),
        ("unknown key", r"ConfigError: cluster\.pod has gpus\. Expected: .*node_selectors"),
        ("unknown word", r"ConfigError: cluster\.pod\.env_from: .*secretref.*V1EnvFromSource.*secretRef"),
        ("wrong word", r"ConfigError: cluster\.train\.volumes: 'data' is no V1Volume"),
        ("wrong shape", r"ConfigError: cluster\.train\.resources: 'much' is no V1ResourceRequirements"),
        ("number", r"ConfigError: cluster\.pod\.resources\.limits\.cpu is 2\. Expected .*quotes"),
        ("no kubeconfig", r"ConfigError: Stack kubernetes is not complete: .*Kubernetes configuration"),
        ("no context", r"ConfigError: Stack kubernetes is not complete: .*my-cluster"),
        ("silent", r"ExecutorError: The cluster of kubernetes does not answer at http.*kubectl --context"),
        ("no rights", r"ConfigError: .*cluster\.pod in namespace taxon: 403 jobs\.batch is forbidden"),
        ("no operator", r"ConfigError: cluster\.step_operator is gpu, which stack kubernetes does not have"),
        ("no bucket", r"StorageError: s3://closed"),
        ("second run", r"RunLockedError: Run going of reef .*zenml pipeline runs stop"),
        ("folder", "fine"),
        ("good", "fine"),
    ],
)
def test_a_stack_that_would_fail_is_refused_at_once(seen: dict[str, Any], case: str, told: str) -> None:
    assert re.match(told, seen[case], re.IGNORECASE | re.DOTALL), seen[case]
    assert seen["left"] == []
    assert len(seen["tried"]) == 2
    assert all("dryRun=All&fieldValidation=Strict" in each for each in seen["tried"])


def test_only_steps_that_train_get_the_pods_of_training() -> None:
    gpu = {"resources": {"limits": {"nvidia.com/gpu": "1"}}}
    pod = {"resources": {"requests": {"cpu": "1"}}, "env": [{"name": "A", "value": "b"}]}
    config = make_config()
    cluster = ClusterSettings(image="taxon:1", pod=pod, train=gpu)
    config = config.model_copy(update={"cluster": cluster})
    options = options_of(PipelineName.TRAINING, config)
    assert set(options["steps"]) == {f"train_{name}" for name in config.training.candidates}
    (settings, *_) = (each["settings"] for each in options["steps"].values())
    assert settings["orchestrator.kubernetes"]["pod_settings"] == {**gpu, "env": pod["env"]}
    assert options["settings"]["orchestrator.kubernetes"]["pod_settings"] == pod
    assert options["settings"]["docker"].parent_image == "taxon:1"
    assert set(options_of(PipelineName.TUNING, config)["steps"]) == {"tune"}
    by_operator = config.model_copy(update={"cluster": cluster.model_copy(update={"step_operator": "gpu"})})
    (step, *_) = options_of(PipelineName.TRAINING, by_operator)["steps"].values()
    assert step["step_operator"] == "gpu"
    assert "nvidia.com/gpu" in str(step["settings"]["step_operator.kubernetes"])
    assert "resources" not in step["settings"]["orchestrator.kubernetes"]["pod_settings"]  # it only waits


def test_a_run_that_is_no_longer_watched_is_said_to_go_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(stacks, "_active", lambda _name: nullcontext())
    monkeypatch.setattr(run, "_run", lambda *_: stacks.run_on_stack("far", "reef-1", stop, lambda: 3))
    assert run.main(["train", "fast", "--stack", "far"]) == 130
    told = capsys.readouterr().err
    assert told.startswith(
        "Stopped. Run reef-1 goes on on stack far. Once it has ended, python run.py report"
    )
    assert "same command" not in told
    monkeypatch.setattr(run, "_run", lambda *_: stop())
    assert run.main(["train", "fast"]) == 130
    assert "the same command goes on" in capsys.readouterr().err


def test_steps_that_start_wait_fail_and_end_in_pods_are_told(caplog: pytest.LogCaptureFixture) -> None:
    teller = _Teller(lambda: 3)
    caplog.set_level(logging.INFO, "orchestration")
    for line in (
        "Orchestrator pod started.",
        "Using cached version of step `ingest`.",
        "Node `ingest` started (status: completed)",
        "Node `train_cnn` started (status: running)",
        "Job for step `train_cnn` is pending: 0/3 nodes are available: 3 Insufficient nvidia.com/gpu.",
        "Job for step `train_cnn` failed: BackoffLimitExceeded (OOMKilled)",
        "Node `compare` started (status: running)",
        "Node `compare` completed.",
    ):
        assert teller.filter(logging.makeLogRecord({"name": ORCHESTRATOR, "msg": line}))
    assert [record.getMessage().strip() for record in caplog.records] == [
        "1 of 3  reading the images (cached)",
        "training cnn ...",
        "training cnn waits: 0/3 nodes are available: 3 Insufficient nvidia.com/gpu.",
        "training cnn failed: BackoffLimitExceeded (OOMKilled)",
        "comparing the networks ...",
        "2 of 3  comparing the networks (0 s)",
    ]
