"""Stacks on which no training can run, and what is said of each, on a real ZenML store.

python -m tests.orchestration.flows.running.stacks_toy FILE
"""

import json
import os
import socket
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import yaml

from tests.orchestration.toy import PATHS  # prepares ZenML's environment: the first import

# isort: split
from zenml import pipeline, step
from zenml.client import Client
from zenml.enums import StackComponentType

from orchestration.flows.running import stack_checks
from tests.example_data import make_config
from vision.base.closure import ROOT
from vision.base.errors import TaxonError
from vision.config.cluster import ClusterSettings

IMAGE = "registry.example.org/taxon-steps:1"
FILE = yaml.safe_load((ROOT / "deploy/stacks/kubernetes.yaml").read_text(encoding="utf-8"))


class Closed(BaseHTTPRequestHandler):
    """A bucket and a cluster in which this user may do nothing, until the cluster starts what it is given."""

    tried: list[str] = []  # noqa: RUF012
    may_start = False

    def do_PUT(self) -> None:
        self.answer(403, b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>")

    do_GET = do_HEAD = do_PUT  # noqa: N815

    def do_POST(self) -> None:
        self.tried.append(self.path)
        job = self.rfile.read(int(self.headers["Content-Length"]))
        refusal = b'{"kind": "Status", "message": "jobs.batch is forbidden: User me cannot create it"}'
        self.answer(*((201, job) if Closed.may_start else (403, refusal)))

    def answer(self, status: int, content: bytes) -> None:
        self.send_response(status)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None: ...  # noqa: A002


def serve(port: int = 0) -> str:
    """The address of bucket and cluster."""
    server = ThreadingHTTPServer(("127.0.0.1", port), Closed)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_address[1]}"


def import_stack(name: str, components: dict[str, tuple[str, dict[str, object]]]) -> None:
    """Register a stack of components: kind -> flavour and configuration."""
    client = Client()
    ids = {
        StackComponentType(kind): client.create_stack_component(
            name,
            flavor,
            StackComponentType(kind),
            configuration,  # type: ignore[arg-type]
        ).id
        for kind, (flavor, configuration) in components.items()
    }
    client.create_stack(name, components=dict(ids))


def ask(name: str, **cluster: object) -> str:
    """What is said of a stack: the error's class and words."""
    config = make_config().model_copy(update={"cluster": ClusterSettings.model_validate(cluster)})
    try:
        stack_checks.check_stack(name, config)
    except TaxonError as error:
        return f"{type(error).__name__}: {error}"
    return "fine"


def pods(**cluster: object) -> str:
    """What is said of the settings of pods."""
    try:
        stack_checks.read_pods(ClusterSettings.model_validate(cluster))
    except TaxonError as error:
        return f"{type(error).__name__}: {error}"
    return "fine"


def write_kubeconfig(port: int, context: str) -> None:
    """The file by which Kubernetes' clients find their cluster; before the first of them is made."""
    content = {
        "current-context": context,
        "contexts": [{"name": context, "context": {"cluster": "here", "user": "me"}}],
        "clusters": [{"name": "here", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
        "users": [{"name": "me", "user": {"token": "none"}}],
    }
    Path(os.environ["KUBECONFIG"]).write_text(yaml.safe_dump(content), encoding="utf-8")


def ask_clusters() -> dict[str, str]:
    """What is said of a cluster that is not there, silent, forbidding or willing."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    seen = {"no kubeconfig": ask("kubernetes", image=IMAGE)}
    write_kubeconfig(port, "another")
    seen["no context"] = ask("kubernetes", image=IMAGE)
    write_kubeconfig(port, "my-cluster")
    seen["no operator"] = ask("kubernetes", image=IMAGE, step_operator="gpu")
    seen["silent"] = ask("kubernetes", image=IMAGE)
    serve(port)
    seen["no rights"] = ask("kubernetes", image=IMAGE)
    Closed.tried.clear()
    Closed.may_start = True
    seen["no bucket"] = ask("kubernetes", image=IMAGE)
    return seen


@step
def ingest() -> str:
    """What is said of a second run of the same data set."""
    return ask("folder")


@pipeline(name="training")
def training(config: dict[str, object]) -> None:
    """A run of a data set."""
    assert config
    ingest()


def ask_during_a_run() -> str:
    """What is said of a stack on which a run of the same data set goes on."""
    os.environ["ZENML_ACTIVE_STACK_ID"] = str(Client().get_stack("folder").id)
    training.with_options(run_name="going")({"name": make_config().name})
    return str(Client().get_pipeline_run("going").steps["ingest"].output.load())


if __name__ == "__main__":
    os.environ["KUBECONFIG"] = str(PATHS.home / "kubeconfig")
    closed = {"endpoint_url": serve()}
    bucket: dict[str, object] = {"path": "s3://closed", "key": "a", "secret": "b", "client_kwargs": closed}
    whole = {kind: (each[0]["flavor"], each[0]["configuration"]) for kind, each in FILE["components"].items()}
    del whole["step_operator"]
    import_stack("kubernetes", whole | {"artifact_store": ("s3", bucket)})
    import_stack("closed", {"orchestrator": ("local", {}), "artifact_store": ("s3", bucket)})
    shared: dict[str, object] = {"path": str(PATHS.home / "shared")}
    import_stack("folder", {"orchestrator": ("local", {}), "artifact_store": ("local", shared)})
    (PATHS.home / "shared").mkdir()
    seen: dict[str, object] = {
        "nowhere": ask("nowhere"),
        "own database": ask("kubernetes"),
        "closed": ask("closed"),
        "folder": ask("folder"),
        "left": [path.name for path in (PATHS.home / "shared").iterdir()],
        "no image": pods(),
        "unknown key": pods(image=IMAGE, pod={"gpus": 1}),
        "wrong shape": pods(image=IMAGE, train={"resources": "much"}),
        "number": pods(image=IMAGE, pod={"resources": {"limits": {"cpu": 2}}}),
        "unknown word": pods(image=IMAGE, pod={"env_from": [{"secretref": {"name": "keys"}}]}),
        "wrong word": pods(image=IMAGE, train={"volumes": ["data"]}),
        "good": pods(image=IMAGE, train={"resources": {"limits": {"nvidia.com/gpu": "1"}}}),
    }
    type(Client().zen_store).is_local_store = lambda self: False  # type: ignore[method-assign]  # noqa: ARG005
    seen |= ask_clusters()
    seen["tried"] = Closed.tried
    seen["second run"] = ask_during_a_run()
    stack_checks.PACKAGES["s3"] = ("a_package_that_is_not",)
    seen["no package"] = ask("closed")
    Path(sys.argv[1]).write_text(json.dumps(seen))
