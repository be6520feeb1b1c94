"""Settings of the pods in which the steps of a run are carried out on a cluster."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from vision.config.base import Settings


class ClusterSettings(Settings):
    """What `--stack NAME` asks of a cluster; without that option nothing here has an effect.

    Pods are described in the words of ZenML's `pod_settings`, which are those of Kubernetes: `resources`,
    `node_selectors`, `tolerations`, `volumes`, `volume_mounts`, `env`, `env_from`, `image_pull_secrets`.
    """

    image: str | None = Field(
        default=None, description="of deploy/Dockerfile, target `steps`, in a registry that the cluster reads"
    )
    pod: dict[str, Any] = Field(default={}, description="of every step")
    train: dict[str, Any] = Field(
        default={}, description="of the steps that train; a key replaces that of `pod`"
    )
    step_operator: str | None = Field(
        default=None, description="ZenML's step operator that carries out the steps that train, if any"
    )
