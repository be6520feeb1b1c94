"""A training on ZenML's Kubernetes orchestrator, in pods that share a bucket and ZenML's server alone."""

from __future__ import annotations

import copy
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from vision.base.closure import ROOT
from vision.config.reading.loading import load_config

pytest.importorskip("moto.server")
kubernetes = pytest.importorskip("kubernetes.client")

IS_ROOT = hasattr(os, "geteuid") and os.geteuid() == 0 and shutil.which("unshare") is not None
CONFIG = ROOT / "configs" / "cluster.yaml"
QUICK = ("--set", "training.candidates.cnn.epochs=1")


def command(*options: str) -> list[str]:
    """`run.py train cluster --stack kubernetes`, as it is typed."""
    return [sys.executable, "run.py", "train", "cluster", "--stack", "kubernetes", *QUICK, *options]


def train(variables: dict[str, str], *options: str) -> subprocess.CompletedProcess[str]:
    """The same, and its end."""
    return subprocess.run(
        command(*options),
        cwd=ROOT,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def step_of(job: dict[str, Any]) -> str:
    return str(job["metadata"]["labels"].get("step_name", ""))


def limits_of(job: dict[str, Any]) -> dict[str, str]:
    (container,) = job["spec"]["template"]["spec"]["containers"]
    return dict(container["resources"].get("limits") or {})


@pytest.mark.long
@pytest.mark.end_to_end
@pytest.mark.skipif(not IS_ROOT, reason="pods need Linux, root and unshare")
@pytest.mark.skipif("TAXON_REHEARSE" not in os.environ, reason="ten minutes: TAXON_REHEARSE=1 rehearses")
class TestRehearsal:
    """One bucket, one server, one cluster for all."""

    @pytest.fixture(scope="class")
    @staticmethod
    def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[dict[str, str], Any]]:
        from tests.deploy.stacks.rehearse import rehearsal

        with rehearsal(tmp_path_factory.mktemp("rehearsal"), gpus=1) as (variables, cluster):
            yield variables, cluster

    def test_every_step_is_a_pod_and_networks_train_side_by_side(self, place: Any) -> None:
        variables, cluster = place
        done = train(variables)
        assert done.returncode == 0, done.stderr
        assert "production" in done.stderr
        jobs = {step_of(each): each for each in cluster.manifests if step_of(each)}
        assert {"ingest", "train-cnn", "train-efficientnet-lite0", "register"} <= {
            each.replace("_", "-") for each in jobs
        }
        wants_gpu = {name for name, job in jobs.items() if "nvidia.com/gpu" in limits_of(job)}
        assert {each.replace("_", "-") for each in wants_gpu} == {"train-cnn", "train-efficientnet-lite0"}
        api = kubernetes.ApiClient()
        for job in copy.deepcopy(cluster.manifests):  # every field is one of Kubernetes', of its type
            job["spec"].pop("podFailurePolicy", None)  # in whose rules this client wants pod conditions
            again = api._ApiClient__deserialize(job, "V1Job")
            (container,) = again.spec.template.spec.containers
            assert container.image == load_config(CONFIG, ()).cluster.image
            assert container.env_from[0].secret_ref.name == "taxon-s3"
        spans = [cluster.span_of(name) for name in wants_gpu]
        assert max(began for began, _ in spans) < min(ended for _, ended in spans)
        (folder,) = (
            path for path in Path(variables["TAXON_STATE"], "runs").iterdir() if not path.is_symlink()
        )
        assert (folder / "report.html").is_file()

    def test_a_second_run_takes_the_networks_from_the_cache(self, place: Any) -> None:
        variables, _ = place
        done = train(variables)
        assert done.returncode == 0, done.stderr
        lines = [line for line in done.stderr.splitlines() if " of " in line and "(" in line]
        trained = [line for line in lines if re.search(r"  training \w+ \(", line)]
        assert trained
        assert all("cached" in line for line in trained)

    def test_what_a_pod_refuses_is_told_as_it_is_here(self, place: Any) -> None:
        variables, _ = place
        done = train(variables, "--set", "checks.min_images_per_class=1000")
        assert done.returncode == 2, done.stderr
        assert "Traceback" not in done.stderr

    def test_a_pod_waits_for_a_gpu_and_a_second_run_is_refused_meanwhile(
        self, place: Any, tmp_path: Path
    ) -> None:
        variables, cluster = place
        cluster.gpus = 0
        going = subprocess.Popen(
            command("--set", "training.candidates.cnn.dropout=0.3"),
            cwd=ROOT,
            env={**os.environ, **variables},
            stderr=subprocess.PIPE,
            text=True,
        )
        assert going.stderr is not None
        told = ""
        while going.poll() is None and "waits" not in told:
            told += going.stderr.readline()
        assert re.search(r"training cnn waits: .* 1 Insufficient nvidia\.com/gpu", told), told
        second = train({**variables, "TAXON_STATE": str(tmp_path)})
        assert second.returncode == 4, second.stderr
        assert "has been going on stack kubernetes" in second.stderr
        going.terminate()
        assert "goes on on stack kubernetes" in going.communicate()[1]


def test_the_stack_and_the_config_say_what_the_handbook_says() -> None:
    stack = yaml.safe_load((ROOT / "deploy/stacks/kubernetes.yaml").read_text(encoding="utf-8"))
    import zenml

    assert stack["zenml_version"] == zenml.__version__
    text = (ROOT / "deploy/stacks/README.md").read_text(encoding="utf-8")
    assert f"zenml stack import {stack['stack_name']} -f deploy/stacks/kubernetes.yaml" in text
    assert str(load_config(CONFIG, ()).cluster.image) in text
    assert "AS steps\n" in (ROOT / "deploy/Dockerfile").read_text(encoding="utf-8")
