"""A Kubernetes API small enough to rehearse with: what ZenML's orchestrator asks of it, pods as processes.

A pod is what the image of deploy/Dockerfile (target `steps`) makes of it: a copy of the code in /app, the
variables and the user of the image, variables and secrets of its manifest, a host name, and an own disk: an
overlay of this machine's, thrown away when the pod ends, on which `hidden` folders are empty. It has no
network of its own and no limits of CPU and memory. Needs Linux and root.
"""

from __future__ import annotations

import base64
import itertools
import json
import re
import shutil
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from vision.base.closure import ROOT

LEFT_OUT = ("state", "runs", "data", "tests", "photos", "predictions")
"""Folders of the repository that .dockerignore keeps out of images."""
GPU = "nvidia.com/gpu"
START = """
mount -t overlay overlay -o lowerdir=/,upperdir={pod}/upper,workdir={pod}/work {pod}/root
for folder in {hidden}; do mount -t tmpfs tmpfs {pod}/root$folder; done
mount -t proc proc {pod}/root/proc; mount --rbind /dev {pod}/root/dev
mount -t tmpfs -o mode=1777 tmpfs {pod}/root/tmp
mkdir -p {pod}/root/tmp/.kube; cp {code}/../kubeconfig {pod}/root/tmp/.kube/config
mkdir -p {pod}/root/app {pod}/root/project; cp -r {code}/. {pod}/root/app; chown 10001 {pod}/root/project
for folder in {above}; do chmod a+x {pod}/root$folder; done   # to the interpreter
hostname {name}
exec chroot {pod}/root setpriv --reuid={user} --regid={user} --clear-groups env -i -C /app "$@"
"""

Object = dict[str, Any]


class RefusedError(Exception):
    """An answer other than 200."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class Cluster:
    """Objects by kind and name, and the processes of the pods.

    Args:
        folder: where pods have their disks and logs.
        python: directory of the interpreter that stands for that of the image.
        hidden: folders of this machine that no pod sees.
        gpus: what a pod may ask for; one that asks for more waits for ever.
    """

    def __init__(self, folder: Path, python: Path, hidden: tuple[Path, ...], gpus: int = 0) -> None:
        self.folder, self._python, self._hidden, self.gpus = folder, python, hidden, gpus
        self.objects: dict[str, dict[str, Object]] = {}
        self.manifests: list[Object] = []
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._spans: dict[str, list[float]] = {}
        self._lock = threading.RLock()
        self._code = folder / "code"
        shutil.copytree(ROOT, self._code, ignore=_leave_out)
        self.variables, self._user = read_image(ROOT / "deploy" / "Dockerfile")

    def create(self, kind: str, body: Object) -> Object:
        """Keep an object; a job starts its pod."""
        with self._lock:
            name = body["metadata"]["name"]
            if name in self.objects.setdefault(kind, {}):
                raise RefusedError(409, f"{kind} {name} exists")
            now = datetime.now(UTC).isoformat(timespec="seconds")
            body["metadata"] |= {"uid": str(uuid.uuid4()), "creationTimestamp": now}
            self.objects[kind][name] = body
            if kind == "jobs":
                self.manifests.append(
                    json.loads(json.dumps({"apiVersion": "batch/v1", "kind": "Job", **body}))
                )
                body["status"] = {}
                _fill_defaults(body)
                self._start(body)
            return body

    def add_secret(self, name: str, values: Mapping[str, str]) -> None:
        """Keep a secret, as `kubectl create secret generic` does."""
        data = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
        self.create("secrets", {"metadata": {"name": name}, "data": data})

    def get(self, kind: str, name: str) -> Object:
        """An object as it is now."""
        with self._lock:
            self._look()
            if name not in self.objects.get(kind, {}):
                raise RefusedError(404, f"no {kind} {name}")
            return self.objects[kind][name]

    def find(self, kind: str, labels: str, fields: str) -> list[Object]:
        """Objects that have all labels; fields knows the phase of a pod alone."""
        with self._lock:
            self._look()
            wanted = dict(each.split("=", 1) for each in labels.split(",") if each)
            found = [
                each
                for each in self.objects.get(kind, {}).values()
                if wanted.items() <= each["metadata"].get("labels", {}).items()
            ]
            phase = fields.partition("status.phase=")[2]
            return [each for each in found if not phase or each["status"]["phase"] == phase]

    def patch(self, kind: str, name: str, body: Object) -> Object:
        """Merge metadata and data into an object."""
        known = self.get(kind, name)
        for key, value in body.get("metadata", {}).items():
            known["metadata"][key] = (
                {**known["metadata"].get(key, {}), **value} if isinstance(value, dict) else value
            )
        return known

    def delete(self, kind: str, name: str) -> Object:
        """Take an object away; the process of a job's pod ends."""
        known = self.get(kind, name)
        with self._lock:
            del self.objects[kind][name]
        for pod in self.find("pods", f"job-name={name}", "") if kind == "jobs" else []:
            process = self._processes.get(pod["metadata"]["name"])
            if process is not None and process.poll() is None:
                process.terminate()
        return known

    def log_of(self, name: str) -> str:
        """What a pod has printed."""
        return (self.folder / f"{name}.log").read_text(encoding="utf-8", errors="replace")

    def span_of(self, step: str) -> tuple[float, float]:
        """When the pod of a step began and when it ended, in seconds."""
        (pod,) = self.find("pods", f"step_name={step}", "")
        began, ended = self._spans[pod["metadata"]["name"]]
        return began, ended

    def close(self) -> None:
        """End all pods."""
        for process in self._processes.values():
            if process.poll() is None:
                process.terminate()
                process.wait(30)

    def _start(self, job: Object) -> None:
        template = json.loads(json.dumps(job["spec"]["template"]))
        job_name = job["metadata"]["name"]
        name = f"{job_name}-{uuid.uuid4().hex[:5]}"
        metadata = {
            **(template.get("metadata") or {}),
            "name": name,
            "creationTimestamp": job["metadata"]["creationTimestamp"],
        }
        metadata["labels"] = {**(metadata.get("labels") or {}), "job-name": job_name}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}
        (container,) = pod["spec"]["containers"]
        limits = (container.get("resources") or {}).get("limits") or {}
        pod["status"] = {"phase": "Running"}
        if int(limits.get(GPU, 0)) > self.gpus:
            message = f"0/1 nodes are available: 1 Insufficient {GPU}."
            condition = {
                "type": "PodScheduled",
                "status": "False",
                "reason": "Unschedulable",
                "message": message,
            }
            pod["status"] = {"phase": "Pending", "conditions": [condition]}
        else:
            self._spans[name] = [time.monotonic()]
            self._processes[name] = self._run(name, container)
        self.objects.setdefault("pods", {})[name] = pod

    def _run(self, name: str, container: Object) -> subprocess.Popen[bytes]:
        place = self.folder / name
        for part in ("upper", "work", "root"):
            (place / part).mkdir(parents=True)
        path = f"{self._python}:/usr/bin:/bin"
        variables = {**self.variables, "PATH": path, **self._variables_of(container)}
        script = START.format(
            above=_words([*Path(sys.base_prefix).parents, *self._python.parents]),
            pod=place,
            hidden=_words(self._hidden),
            code=self._code,
            name=name,
            user=self._user,
        )
        settings = [f"{key}={value}" for key, value in variables.items()]
        command = [*settings, *(container.get("command") or ()), *(container.get("args") or ())]
        own_names = ["unshare", "--mount", "--uts", "--propagation", "private"]
        with (self.folder / f"{name}.log").open("wb") as log:
            return subprocess.Popen(
                [*own_names, "sh", "-e", "-c", script, "pod", *command], stdout=log, stderr=subprocess.STDOUT
            )

    def _variables_of(self, container: Object) -> dict[str, str]:
        found: dict[str, str] = {}
        for each in container.get("envFrom") or ():
            found |= self._secret(each["secretRef"]["name"])
        for each in container.get("env") or ():
            reference = (each.get("valueFrom") or {}).get("secretKeyRef")
            found[each["name"]] = (
                self._secret(reference["name"])[reference["key"]] if reference else each.get("value") or ""
            )
        return found

    def _secret(self, name: str) -> dict[str, str]:
        data = self.objects["secrets"][name]["data"]
        return {key: base64.b64decode(value).decode() for key, value in data.items()}

    def _look(self) -> None:
        """Bring pods and jobs up to date; the disk of a pod that has ended goes."""
        for name, process in list(self._processes.items()):
            code = process.poll()
            pod = self.objects["pods"][name]
            if code is None or pod["status"]["phase"] != "Running":
                continue
            self._spans[name].append(time.monotonic())
            shutil.rmtree(self.folder / name, ignore_errors=True)
            pod["status"] = {"phase": "Succeeded" if code == 0 else "Failed"}
            job = self.objects["jobs"].get(pod["metadata"]["labels"]["job-name"])
            if job is not None:
                kind = "Complete" if code == 0 else "Failed"
                condition = {"type": kind, "status": "True", "message": f"exit code {code}"}
                job["status"] = {"conditions": [condition]}


def _words(paths: Iterable[Path]) -> str:
    return " ".join(map(str, paths))


def read_image(dockerfile: Path) -> tuple[dict[str, str], str]:
    """The variables and the user of the target `steps`, with those of `base`."""
    text = dockerfile.read_text(encoding="utf-8").replace("\\\n", " ")
    stages = dict(re.findall(r"^FROM \S+ AS (\w+)\n(.*?)(?=^FROM |\Z)", text, re.MULTILINE | re.DOTALL))
    lines = itertools.chain(
        *(re.findall(r"^ENV (.*)$", stages[name], re.MULTILINE) for name in ("base", "steps"))
    )
    variables = dict(pair.split("=", 1) for line in lines for pair in line.split())
    (user,) = re.findall(r"^USER (\d+)$", stages["steps"], re.MULTILINE)
    return variables, user


def _fill_defaults(job: Object) -> None:
    """What a real API fills in, and its client expects: ZenML leaves it out."""
    for rule in (job["spec"].get("podFailurePolicy") or {}).get("rules", ()):
        for condition in rule.get("onPodConditions") or ():
            condition.setdefault("status", "True")


def _leave_out(folder: str, names: list[str]) -> set[str]:
    top = LEFT_OUT if folder == str(ROOT) else ()
    return {name for name in names if name == "__pycache__" or name.startswith(".") or name in top}


PATH = re.compile(
    r"^/apis?(?:/batch|/rbac.authorization.k8s.io)?/v1(?:/namespaces/[^/]+)?/(?P<kind>[a-z]+)(?:/(?P<name>[^/]+))?(?P<log>/log)?$"
)


def serve(cluster: Cluster) -> ThreadingHTTPServer:
    """The API of a cluster on a free port of this machine, answered by a thread until it is shut down."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, cluster))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


class Handler(BaseHTTPRequestHandler):
    """Answers one request from the objects of a cluster."""

    def __init__(self, cluster: Cluster, *request: Any) -> None:
        self._cluster = cluster
        super().__init__(*request)

    def answer(self) -> None:
        """Answer with an object, a list, a log or the reason why not."""
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")
        try:
            self._tell(200, self._act(body))
        except RefusedError as error:
            self._tell(error.status, {"kind": "Status", "message": str(error), "code": error.status})

    do_GET = do_POST = do_PATCH = do_DELETE = answer  # noqa: N815

    def _act(self, body: Object) -> Any:
        parts = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        found = PATH.match(parts.path)
        if found is None:
            raise RefusedError(404, parts.path)
        kind, name = found["kind"], found["name"]
        if found["log"]:
            return self._cluster.log_of(name)
        if self.command == "POST":
            return body if query.get("dryRun") else self._cluster.create(kind, body)
        if self.command == "PATCH":
            return self._cluster.patch(kind, name, body)
        if self.command == "DELETE":
            return self._cluster.delete(kind, name)
        if name:
            return self._cluster.get(kind, name)
        labels, fields = query.get("labelSelector", ""), query.get("fieldSelector", "")
        return {"items": self._cluster.find(kind, labels, fields)}

    def _tell(self, status: int, content: Any) -> None:
        text = content if isinstance(content, str) else json.dumps(content)
        self.send_response(status)
        self.send_header("Content-Type", "text/plain" if isinstance(content, str) else "application/json")
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Nothing: every second a dozen requests ask how jobs go."""
