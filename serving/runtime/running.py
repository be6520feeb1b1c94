"""What is written down of the service, and where: what runs, what was deployed last, keys and output.

Everything lies in `state/service` of the project's home, and no record holds that place, so that a project
may be moved. The records hold the URL of the prediction log, which may hold a password, so they are readable
by their owner alone.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import psutil
from pydantic import BaseModel, ConfigDict, ValidationError

from serving.api.answering.pinned import PinnedModel
from vision.base.errors import ServiceError
from vision.base.files import write_atomically
from vision.config.serve import ServeSettings

OWNER_ALONE = 0o600

Written = TypeVar("Written", bound=BaseModel)


class BuiltBento(BaseModel):
    """A Bento in the project's BentoML store: its tag, and the model that it serves."""

    model_config = ConfigDict(frozen=True, extra="ignore")  # older records have a path, which may be stale

    tag: str
    model: PinnedModel

    def __str__(self) -> str:
        """The model, as messages name it."""
        return f"{self.model.name} version {self.model.version}"


class RunningService(BaseModel):
    """A service that was started, as it is written down."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    pid: int  # of the supervisor
    instance: str  # random word in the supervisor's command line, which /readyz repeats
    serve: ServeSettings
    bento: BuiltBento
    output: str  # name of the file of what it says
    keys_from_environment: bool  # whether TAXON_API_KEYS gave its clients' keys; else the key file does
    since: str  # UTC in ISO 8601, to the second

    @property
    def url(self) -> str:
        """Where to ask it from this machine."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.serve.host, self.serve.host)
        return f"http://{f'[{host}]' if ':' in host else host}:{self.serve.port}"


class DeployedService(BaseModel):
    """What passed its check last, to be started again."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    bento: BuiltBento
    serve: ServeSettings
    example: Path | None = None  # an image to try it with; relative to the project's home if it lies there
    keys_from_environment: bool | None = None


@dataclass(frozen=True)
class ServiceFolder:
    """Where the service's state lies in a project, whose folder is `home`."""

    home: Path

    root = property(lambda self: self.home / "state" / "service")  # the supervisor's working directory
    bentoml = property(lambda self: self.root / "bentoml")  # BentoML's home, with models and Bentos
    record = property(lambda self: self.root / "service.json")  # the running service
    deployed = property(lambda self: self.root / "deployed.json")  # what passed its check last
    lock = property(lambda self: self.root / "lock")  # held while one is started or stopped
    key = property(lambda self: self.root / "api_key")  # the local client's API key, mode 600
    logs = property(lambda self: self.root / "logs")  # output of the services, a file each

    def bento_path(self, bento: BuiltBento) -> Path:
        """Folder of a Bento in the store."""
        return self.home / "state/service/bentoml/bentos" / bento.tag.replace(":", "/")


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


def list_services(folder: ServiceFolder) -> dict[str, int]:
    """Process ids of this project's living supervisors, on record or not, by their random words.

    The word stands in the command line, which setting the clock does not change. The working directory is the
    project's folder, which follows a move; that of a copied project is another one.
    """
    found = {}
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            line = process.cmdline()
            if "--instance" in line[:-1]:
                # the link tells a container's folder of the same path from ours
                link = Path(f"/proc/{process.pid}/cwd")
                if folder.root.samefile(link if link.exists() else process.cwd()):
                    found[line[line.index("--instance") + 1]] = process.pid
    return found


def find_service(folder: ServiceFolder) -> RunningService | None:
    """The service that this project started, if its process lives.

    Raises:
        ServiceError: its record cannot be read, and it may still serve.
    """
    service, living = read_record(RunningService, folder.record), list_services(folder)
    if service is None and living and folder.record.exists():
        raise ServiceError(
            f"{folder.record} was written by another version of this program, or is damaged, so what runs is "
            "not known. Stop it, then start or deploy again: python run.py service stop"
        )
    return service if service is not None and service.instance in living else None


def read_deployed(folder: ServiceFolder) -> DeployedService | None:
    """What passed its check last, if anything did and its Bento is still in this project's store."""
    deployed = read_record(DeployedService, folder.deployed)
    if deployed is None or not folder.bento_path(deployed.bento).is_dir():
        return None
    example = deployed.example and folder.home / deployed.example
    return deployed.model_copy(update={"example": example})
