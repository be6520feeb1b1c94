"""A training on a cluster that is none: pods share nothing but a bucket and ZenML's server.

python -m tests.deploy.stacks.rehearse FOLDER [CONFIG] [--gpus N] [--set KEY=VALUE ...]

ZenML's server, its Kubernetes orchestrator, the stack of kubernetes.yaml, the config and the steps are the
real ones. Moto stands for S3, and pods.py for the cluster. Needs Linux, root and requirements-dev.txt.
"""

from __future__ import annotations

import argparse
import logging
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import yaml

from tests.deploy.stacks.pods import Cluster, serve
from vision.base.closure import ROOT

STACK = "kubernetes"
BUCKET = "taxon"
REGION = "us-east-1"
CONTEXTS = ("my-cluster", "my-gpu-cluster")
SERVER_SECONDS = 300


def main() -> int:
    """Rehearse; the exit code of the training."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folder", type=Path)
    parser.add_argument("config", nargs="?", default="cluster")
    parser.add_argument("--gpus", type=int, default=1, help="that a pod may ask for")
    given, options = parser.parse_known_args()
    with rehearsal(given.folder.resolve(), given.gpus) as (variables, _):
        command = [sys.executable, str(ROOT / "run.py"), "train", given.config, "--stack", STACK, *options]
        return subprocess.run(command, env={**os.environ, **variables}, check=False).returncode


@contextmanager
def rehearsal(folder: Path, gpus: int = 1) -> Iterator[tuple[dict[str, str], Cluster]]:
    """Bucket, ZenML's server, cluster and stack: the variables of a client, and the cluster."""
    folder.mkdir(parents=True, exist_ok=True)
    password = secrets.token_hex(8)
    with (
        bucket() as s3,
        zenml_server(folder / "server", s3, password) as url,
        kubernetes(folder, gpus) as (kube, cluster),
    ):
        keys = {name: s3[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}
        cluster.add_secret("taxon-s3", {**keys, "AWS_DEFAULT_REGION": REGION})
        variables = {
            **s3,
            "KUBECONFIG": str(kube),
            "ZENML_STORE_URL": url,
            "ZENML_STORE_USERNAME": "default",
            "ZENML_STORE_PASSWORD": password,
            "TAXON_STATE": str(folder / "project"),
        }
        register(folder, s3["AWS_ENDPOINT_URL"], variables)
        yield variables, cluster


@contextmanager
def bucket() -> Iterator[dict[str, str]]:
    """Moto in the place of S3, and the variables by which it is reached."""
    import boto3
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    variables = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "rehearsal",
        "AWS_SECRET_ACCESS_KEY": secrets.token_hex(8),
        "AWS_DEFAULT_REGION": REGION,
    }
    client = boto3.client(
        "s3",
        endpoint_url=variables["AWS_ENDPOINT_URL"],
        region_name=REGION,
        aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
    )
    client.create_bucket(Bucket=BUCKET)
    try:
        yield variables
    finally:
        server.stop()


@contextmanager
def zenml_server(folder: Path, variables: Mapping[str, str], password: str) -> Iterator[str]:
    """ZenML's server on this machine with a database of its own, and its address."""
    folder.mkdir(exist_ok=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = {
        "ZENML_SERVER": "true",
        "ZENML_SERVER_AUTO_ACTIVATE": "true",
        "ZENML_DEFAULT_USER_PASSWORD": password,
        "ZENML_SERVER_DEPLOYMENT_TYPE": "other",
        "ZENML_CONFIG_PATH": str(folder),
        "ZENML_STORE_URL": f"sqlite:///{folder / 'zenml.db'}",
        "ZENML_ANALYTICS_OPT_IN": "false",
    }
    command = [sys.executable, "-m", "uvicorn", "zenml.zen_server.zen_server_api:app", "--port", str(port)]
    with (folder / "server.log").open("wb") as log:
        server = subprocess.Popen(
            command, env={**os.environ, **variables, **settings}, stdout=log, stderr=log
        )
    url = f"http://127.0.0.1:{port}"
    try:
        _await(url, server, folder / "server.log")
        yield url
    finally:
        server.terminate()
        server.wait(120)


def _await(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + SERVER_SECONDS
    while time.monotonic() < end and server.poll() is None:
        try:
            with urlopen(f"{url}/ready", timeout=5):
                return
        except (URLError, ConnectionError, TimeoutError):
            time.sleep(0.5)
    raise SystemExit(f"ZenML's server did not become ready; see {log}")


@contextmanager
def kubernetes(folder: Path, gpus: int) -> Iterator[tuple[Path, Cluster]]:
    """The cluster, and the file by which its clients find it; its jobs are in jobs.yaml at the end."""
    cluster = Cluster(folder / "pods", Path(sys.executable).parent, (folder, *_own_folders()), gpus)
    server = serve(cluster)
    address = {"server": f"http://127.0.0.1:{server.server_address[1]}"}
    kube = folder / "pods" / "kubeconfig"
    contexts = [{"name": name, "context": {"cluster": "here", "user": "me"}} for name in CONTEXTS]
    content = {
        **{"apiVersion": "v1", "kind": "Config", "current-context": CONTEXTS[0], "contexts": contexts},
        "clusters": [{"name": "here", "cluster": address}],
        "users": [{"name": "me", "user": {"token": "none"}}],
    }
    kube.write_text(yaml.safe_dump(content), encoding="utf-8")
    try:
        yield kube, cluster
    finally:
        cluster.close()
        jobs = yaml.safe_dump_all(cluster.manifests)
        (folder / "jobs.yaml").write_text(jobs, encoding="utf-8")
        server.shutdown()
        server.server_close()


def _own_folders() -> list[Path]:
    """The folders of this checkout, whose code and state no pod may see, but for the environment."""
    return [path for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith(".")]


def register(folder: Path, endpoint: str, variables: Mapping[str, str]) -> None:
    """The stack of kubernetes.yaml with the rehearsal's bucket, as a person imports it."""
    stack = yaml.safe_load((ROOT / "deploy" / "stacks" / "kubernetes.yaml").read_text(encoding="utf-8"))
    (store,) = stack["components"]["artifact_store"]
    store["configuration"] = {"path": f"s3://{BUCKET}", "client_kwargs": {"endpoint_url": endpoint}}
    path = folder / "kubernetes.yaml"
    path.write_text(yaml.safe_dump(stack), encoding="utf-8")
    command = [str(Path(sys.executable).with_name("zenml")), "stack", "import", STACK, "-f", str(path)]
    own = {"ZENML_CONFIG_PATH": str(folder / "client"), "ZENML_ANALYTICS_OPT_IN": "false"}
    subprocess.run(command, env={**os.environ, **variables, **own}, check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    sys.exit(main())
