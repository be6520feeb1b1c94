"""A stack that would fail is refused before anything is read; its steps get the pods of the configuration."""

from __future__ import annotations

import re
from typing import Any

import pytest

from orchestration.flows.running.stacks import options_of
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
