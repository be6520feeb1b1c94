"""Refuses a stack on which a run would fail, before anything is read."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from vision.base.errors import ConfigError, ExecutorError, RunLockedError, StorageError
from vision.base.wording import join_words
from vision.config.cluster import ClusterSettings
from vision.config.run import RunConfig

if TYPE_CHECKING:
    from zenml.integrations.kubernetes.pod_settings import KubernetesPodSettings
    from zenml.models import StackResponse
    from zenml.stack import Stack

logger = logging.getLogger(__name__)

HANDBOOK = "deploy/stacks/README.md"
PACKAGES = {"kubernetes": ("kubernetes",), "s3": ("s3fs", "boto3")}
"""Flavour of a component -> packages beyond requirements.txt that it imports."""
KINDS = {
    "affinity": "V1Affinity",
    "container_security_context": "V1SecurityContext",
    "env": "V1EnvVar",
    "env_from": "V1EnvFromSource",
    "resources": "V1ResourceRequirements",
    "tolerations": "V1Toleration",
    "volume_mounts": "V1VolumeMount",
    "volumes": "V1Volume",
}
"""Key of a pod -> Kubernetes' kind of its value, or of each value in its list."""
SECONDS = (3.0, 10.0)
"""For a cluster to take a connection, of which four are tried, and to answer."""


def check_stack(name: str, config: RunConfig) -> None:
    """Refuse a stack on which the run would fail.

    Raises:
        ConfigError: there is no such stack, a part of it is missing, or its pods are none of Kubernetes'.
        ExecutorError: its cluster does not answer.
        StorageError: its artifact store cannot be written.
        RunLockedError: a run of this data set is going on it.
    """
    from zenml.client import Client
    from zenml.exceptions import StackValidationError
    from zenml.stack import Stack

    model = find_stack(name)
    _check_packages(model)
    stack = Stack.from_model(model)
    if stack.requires_remote_server and Client().zen_store.is_local_store():
        raise ConfigError(
            f"Stack {name} runs on other machines, but the runs are kept in this project's own database, "
            "which they cannot reach. Expected a ZenML server. Name it: export ZENML_STORE_URL=https://... "
            f"ZENML_STORE_API_KEY=... (see {HANDBOOK})"
        )
    try:
        stack.validate(fail_if_secrets_missing=True)
    except (StackValidationError, RuntimeError) as error:  # the second where there is no kubeconfig
        told = " ".join(str(error).split())
        raise ConfigError(f"Stack {name} is not complete: {told}. See {HANDBOOK}") from error
    if stack.orchestrator.flavor == "kubernetes":
        _check_clusters(stack, config.cluster)
    _check_store(stack)
    _check_others(model, config)


def find_stack(name: str) -> StackResponse:
    """A stack by its whole name.

    Raises:
        ConfigError: there is none.
    """
    from zenml.client import Client

    client = Client()
    try:
        return client.get_stack(name, allow_name_prefix_match=False)
    except KeyError as error:
        known = join_words([each.name for each in client.list_stacks(size=100).items])
        raise ConfigError(
            f"--stack {name}: {client.zen_store.url} has no such stack. Expected one of: {known}. Add yours: "
            f"zenml stack import {name} -f deploy/stacks/kubernetes.yaml (see {HANDBOOK})"
        ) from error


def _check_packages(stack: StackResponse) -> None:
    flavors = {each.flavor_name for components in stack.components.values() for each in components}
    wanted = [package for flavor in sorted(flavors) for package in PACKAGES.get(flavor, ())]
    missing = [package for package in wanted if find_spec(package) is None]
    if missing:
        raise ConfigError(
            f"Stack {stack.name} needs {join_words(missing)}, which is not installed. Type: pip install -r "
            "requirements-extras.txt"
        )


def _check_clusters(stack: Stack, cluster: ClusterSettings) -> None:
    """Ask the clusters whether they would start the pods."""
    pod, train = read_pods(cluster)
    operator: Any = stack.orchestrator
    if cluster.step_operator:
        if cluster.step_operator not in stack.step_operators:
            raise ConfigError(
                f"cluster.step_operator is {cluster.step_operator}, which stack {stack.name} does not have. "
                f"Expected one of: {join_words(list(stack.step_operators)) or 'none'}. Change the config, or "
                "add it: zenml stack update"
            )
        operator = stack.step_operators[cluster.step_operator]
    for key, component, settings in (("pod", stack.orchestrator, pod), ("train", operator, train)):
        _try_pod(key, component, str(cluster.image), settings)


def read_pods(cluster: ClusterSettings) -> tuple[KubernetesPodSettings, KubernetesPodSettings]:
    """The pods of every step, and those of the steps that train.

    Raises:
        ConfigError: there is no image, or a key or value is none of ZenML's or of Kubernetes'.
    """
    if not cluster.image:
        raise ConfigError(
            "cluster.image is missing. Expected the image of the steps: registry.example.org/taxon-steps:1. "
            f"{HANDBOOK} has the two lines that build and push it"
        )
    return _read_pod("pod", cluster.pod), _read_pod("train", {**cluster.pod, **cluster.train})


def _read_pod(key: str, pod: Mapping[str, Any]) -> KubernetesPodSettings:
    from pydantic import ValidationError
    from zenml.integrations.kubernetes.pod_settings import KubernetesPodSettings
    from zenml.integrations.kubernetes.serialization_utils import deserialize_kubernetes_model

    unknown = sorted(set(pod) - set(KubernetesPodSettings.model_fields))
    if unknown:
        raise ConfigError(
            f"cluster.{key} has {join_words(unknown)}. Expected: "
            f"{', '.join(sorted(KubernetesPodSettings.model_fields))}. Change the config"
        )
    for name, value in pod.items():
        for each in (value if isinstance(value, list) else [value]) if name in KINDS else ():
            try:  # of a wrong word ZenML only warns, and Kubernetes leaves it out
                deserialize_kubernetes_model(each, KINDS[name])
            except KeyError as error:
                raise ConfigError(f"cluster.{key}.{name}: {error.args[0]} Change the config") from error
            except (ValueError, TypeError, AttributeError, AssertionError) as error:
                raise ConfigError(
                    f"cluster.{key}.{name}: {each!r} is no {KINDS[name]} ({error}). Expected what Kubernetes "
                    "has under that name. Change the config"
                ) from error
    try:
        return KubernetesPodSettings.model_validate(pod)
    except ValidationError as error:
        wrong = error.errors()[0]
        place = ".".join(map(str, (key, *wrong["loc"])))
        raise ConfigError(
            f"cluster.{place} is {wrong['input']!r}. Expected another kind of value: {wrong['msg']}. Change "
            'the config; numbers of `resources` stand in quotes: cpu: "2"'
        ) from error


def _try_pod(key: str, component: Any, image: str, pod: KubernetesPodSettings) -> None:
    """Let a cluster judge a pod without starting it: rights, namespace, its own policies."""
    from kubernetes.client import ApiException, BatchV1Api
    from urllib3.exceptions import HTTPError
    from zenml.integrations.kubernetes import manifest_utils

    namespace = component.config.kubernetes_namespace
    manifest = manifest_utils.build_pod_manifest(
        None, image, ["true"], [], privileged=False, pod_settings=pod
    )
    template = manifest_utils.pod_template_manifest_from_pod(manifest)
    job = manifest_utils.build_job_manifest(f"taxon-try-{key}-{os.getpid()}", template)
    client = component.get_kube_client()
    try:
        BatchV1Api(client).create_namespaced_job(
            namespace, job, dry_run="All", field_validation="Strict", _request_timeout=SECONDS
        )
    except ApiException as error:
        raise ConfigError(
            f"The cluster of {component.name} would not start a pod of cluster.{key} in namespace "
            f"{namespace}: {error.status} {_words_of(error)}. Expected one that it starts. Change the "
            f"config, the namespace or your rights there; see {HANDBOOK}"
        ) from error
    except HTTPError as error:
        raise ExecutorError(
            f"The cluster of {component.name} does not answer at {client.configuration.host}: "
            f"{getattr(error, 'reason', error)}. "
            "Expected an answer within some seconds. Try: kubectl --context "
            f"{component.config.kubernetes_context} get pods"
        ) from error


def _words_of(error: Any) -> str:
    """Why a cluster refused: the message in its answer, if it has one."""
    try:
        return str(json.loads(error.body)["message"])
    except (TypeError, ValueError, KeyError):
        return str(error.reason)


def _check_store(stack: Stack) -> None:
    """Write and remove a small file."""
    store = stack.artifact_store
    place = f"{store.path.rstrip('/')}/taxon-write-test-{os.getpid()}"
    try:
        with store.open(place, "w") as file:
            file.write("may be deleted")
        store.remove(place)
    except Exception as error:  # each kind of store has exceptions of its own library
        raise StorageError(
            f"{store.path}: the artifact store {store.name} cannot be written: {type(error).__name__}: "
            f"{error}. Expected a place that you may write, read and delete. Check address, credentials and "
            f"rights of the bucket; see {HANDBOOK}"
        ) from error


def _check_others(stack: StackResponse, config: RunConfig) -> None:
    """Refuse a second run of a data set on a shared store: both would replace one champion."""
    from zenml.client import Client

    from orchestration.store.reaper import UNFINISHED

    client = Client()
    if client.zen_store.is_local_store():
        return  # the run lock of the project covers it
    going = client.list_pipeline_runs(stack=stack.id, status=UNFINISHED, size=100, hydrate=True).items
    for run in going:
        if str((run.config.parameters or {}).get("config", {}).get("name")) == config.name:
            raise RunLockedError(
                f"Run {run.name} of {config.name} has been going on stack {stack.name} since {run.created}. "
                "Expected one run at a time of a data set. Wait for it, or if it is dead, end it: zenml "
                f"pipeline runs stop {run.id}"
            )
