"""What is written down of the service, and where: what runs, what was deployed last, keys and output.

Everything lies in `state/service` of the project's home. The records hold the URL of the prediction log,
which may hold a password, so they are readable by their owner alone.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import psutil
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator

from serving.runtime.bento import BuiltBento
from serving.runtime.identity import mark_by_clock
from vision.base.errors import ServiceError
from vision.base.files import write_atomically
from vision.config.serve import ServeSettings

OWNER_ALONE = 0o600

Written = TypeVar("Written", bound=BaseModel)


class RunningService(BaseModel):
    """A service process that was started, as it is written down.

    Attributes:
        pid: of the supervisor.
        mark: of its start; tells it from a later process of that id.
        instance: random word that /readyz repeats.
        serve: address and log that it was given.
        bento: what it serves.
        output: file of what it says.
        key_file: holds the local client's key; None where TAXON_API_KEYS was set.
        since: UTC in ISO 8601, to the second.
        check_key: API key of the process that started it; not written down.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    pid: int
    mark: str
    instance: str
    serve: ServeSettings
    bento: BuiltBento
    output: Path
    key_file: Path | None
    since: str
    check_key: SecretStr = Field(default=SecretStr(""), exclude=True)

    @model_validator(mode="before")
    @classmethod
    def _read_older(cls, data: Any) -> Any:
        """Records of before there were marks hold the time of the start, `created`."""
        if not isinstance(data, dict) or not isinstance(data.get("created"), float):
            return data
        rest = {name: value for name, value in data.items() if name != "created"}
        return {"mark": mark_by_clock(data["created"]), **rest}

    @property
    def url(self) -> str:
        """Where to ask it from this machine."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.serve.host, self.serve.host)
        return f"http://{f'[{host}]' if ':' in host else host}:{self.serve.port}"


class DeployedService(BaseModel):
    """What passed its check last, to be started again.

    Attributes:
        bento: what it serves.
        serve: address and log.
        example: an image to try it with.
        keys_from_environment: whether its clients' keys were in TAXON_API_KEYS; None in records of before
            this was written down.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    bento: BuiltBento
    serve: ServeSettings
    example: Path | None = None
    keys_from_environment: bool | None = None


@dataclass(frozen=True)
class ServiceFolder:
    """Where the service's state lies.

    Attributes:
        home: the project's home, the folder that holds `state`.
        root: all of the service's state.
        bentoml: BentoML's home, with models and Bentos.
        record: the running service.
        trial: a service that is being tried beside it.
        deployed: what passed its check last.
        lock: held while one is started or stopped.
        key: the local client's API key, mode 600.
        logs: output of the services, a file each.
        homes: BentoML's home of each running service, because a second one wipes the first one's counters.
    """

    home: Path

    root = property(lambda self: self.home / "state" / "service")
    bentoml = property(lambda self: self.root / "bentoml")
    record = property(lambda self: self.root / "service.json")
    trial = property(lambda self: self.root / "trial.json")
    deployed = property(lambda self: self.root / "deployed.json")
    lock = property(lambda self: self.root / "lock")
    key = property(lambda self: self.root / "api_key")
    logs = property(lambda self: self.root / "logs")
    homes = property(lambda self: self.root / "homes")


def write_record(path: Path, record: BaseModel) -> None:
    """Write a record, readable by its owner alone.

    Raises:
        StorageError: it cannot be written.
    """
    write_atomically(path, record.model_dump_json(indent=1) + "\n", OWNER_ALONE)


def read_record(kind: type[Written], path: Path) -> Written | None:
    """The record in a file; None where there is none, or one of another version of this program."""
    try:
        return kind.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None


def read_running(path: Path) -> RunningService | None:
    """The service in a record; None if there is no record, or what it names is gone or is another project's.

    Another project's service stands in the record of a copied project: its output lies elsewhere.

    Raises:
        ServiceError: the record cannot be read, and the process that it names may still serve.
    """
    service = read_record(RunningService, path)
    if service is not None:
        here = (path.parent / service.output).resolve().is_relative_to(path.parent.resolve())
        return service if here else None
    if not path.exists():
        return None
    pid = _read_pid(path)
    if pid is not None and not psutil.pid_exists(pid):
        return None
    known = (
        "Look for it with: ps x" if pid is None else f"It names process {pid}. Look at it with: ps -l {pid}"
    )
    raise ServiceError(
        f"{path} was written by another version of this program, or is damaged, so its service cannot be "
        f"told from another program. {known}. Stop it with the version that started it, or with kill; then "
        "delete the file."
    )


def _read_pid(path: Path) -> int | None:
    """The process id in a record of whatever version; None if it has none."""
    try:
        record = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    pid = record.get("pid") if isinstance(record, dict) else None
    return pid if isinstance(pid, int) and pid > 0 else None


def read_deployed(folder: ServiceFolder) -> DeployedService | None:
    """What passed its check last, if anything did and its Bento is still in this project's store.

    The Bento is found by its tag: the path in the record may be that of a project that was moved or copied.
    """
    deployed = read_record(DeployedService, folder.deployed)
    if deployed is None:
        return None
    path = folder.bentoml / "bentos" / deployed.bento.tag.replace(":", "/")
    if not path.is_dir():
        return None
    return deployed.model_copy(update={"bento": deployed.bento.model_copy(update={"path": path})})
