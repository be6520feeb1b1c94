"""Stacks on which no training can run, and what is said of each, on a real ZenML store.

python -m tests.orchestration.flows.running.stacks_toy FILE
"""

import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import yaml

from tests.orchestration.toy import PATHS  # prepares ZenML's environment: the first import

# isort: split
from zenml.client import Client
from zenml.enums import StackComponentType

from orchestration.flows.running import stacks
from tests.example_data import make_config
from vision.base.closure import ROOT
from vision.base.errors import TaxonError
from vision.config.cluster import ClusterSettings


class Forbidding(BaseHTTPRequestHandler):
    """A bucket without permission."""

    def do_PUT(self) -> None:
        self.send_response(403)
        self.end_headers()
        self.wfile.write(b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>")

    do_GET = do_HEAD = do_POST = do_PUT  # noqa: N815

    def log_message(self, format: str, *args: object) -> None: ...  # noqa: A002


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
        stacks.check_stack(name, config)
    except TaxonError as error:
        return f"{type(error).__name__}: {error}"
    return "fine"


def pods(**cluster: object) -> str:
    """What is said of the settings of pods."""
    try:
        stacks._check_pods(ClusterSettings.model_validate(cluster))
    except TaxonError as error:
        return f"{type(error).__name__}: {error}"
    return "fine"


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", 0), Forbidding)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    endpoint = {"endpoint_url": f"http://127.0.0.1:{server.server_address[1]}"}
    file = yaml.safe_load((ROOT / "deploy/stacks/kubernetes.yaml").read_text(encoding="utf-8"))
    whole = {kind: (each[0]["flavor"], each[0]["configuration"]) for kind, each in file["components"].items()}
    import_stack("kubernetes", whole)
    bucket: dict[str, object] = {"path": "s3://closed", "key": "a", "secret": "b", "client_kwargs": endpoint}
    import_stack("closed", {"orchestrator": ("local", {}), "artifact_store": ("s3", bucket)})
    shared: dict[str, object] = {"path": str(PATHS.home / "shared")}
    import_stack("folder", {"orchestrator": ("local", {}), "artifact_store": ("local", shared)})
    (PATHS.home / "shared").mkdir()
    seen = {
        "nowhere": ask("nowhere"),
        "own database": ask("kubernetes"),
        "closed": ask("closed"),
        "folder": ask("folder"),
        "left": [path.name for path in (PATHS.home / "shared").iterdir()],
        "no image": pods(),
        "unknown word": pods(image="taxon", pod={"gpus": 1}),
        "wrong shape": pods(image="taxon", train={"resources": "much"}),
        "good": pods(image="taxon", train={"resources": {"limits": {"nvidia.com/gpu": "1"}}}),
    }
    stacks.PACKAGES["s3"] = ("a_package_that_is_not",)
    seen["no package"] = ask("closed")
    Path(sys.argv[1]).write_text(json.dumps(seen))
