"""Disk is freed by whole runs: what a kept run, a champion or the cache of a kept run needs, stays.

Kept are the newest runs, the runs that made what is in production or put it there, those of the last verdicts
on its answers, and the runs whose finished steps these took from the cache. All else that Taxon made goes:
run folders, ZenML's runs and the artifacts that only they used, decoded images and painted data that no
remaining artifact refers to, drawn pictures of reports (drawn again when asked for), and what killed runs
left behind.
What Taxon did not make, such as photographs that the user keeps in `data/`, is never touched.
"""

from __future__ import annotations

import logging
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

from zenml.client import Client
from zenml.enums import ExecutionStatus, ModelStages
from zenml.utils.pagination_utils import depaginate

from materializers.names import ArtifactName
from materializers.registry import DIGEST_KEY, RUN_KEY
from orchestration.session.paths import ProjectPaths
from orchestration.store.windows import list_window_artifacts
from pipelines.names import PipelineName
from vision.base.errors import ConfigError
from vision.base.files import storage_errors
from vision.base.home import checkpoints_folder, project_home
from vision.base.lock import RunLock
from vision.base.wording import count_of
from vision.data.sources.coco.cutting import DONE
from vision.data.sources.reef.dataset import STAMP_NAME
from vision.data.sources.tfds.source import CARD
from vision.work.journal import JOURNAL_NAME

if TYPE_CHECKING:
    from zenml.models import ArtifactVersionResponse, PipelineRunResponse

    from vision.data.records import Manifest

logger = logging.getLogger(__name__)

LATEST_NAME = "latest"
SUMMARY_NAME = "summary.json"
STORE_FOLDER = re.compile(r"[0-9a-f]{32}")
MADE_FOLDERS = {
    re.compile(r"reef-[0-9a-f]{16}"): STAMP_NAME,
    re.compile(r"boxes-[0-9a-f]{16}"): DONE,
    re.compile(r"tfds-.+-[0-9a-f]{12}"): CARD,
}
"""Name of a folder of images that Taxon paints, cuts out or writes -> the file that it puts there."""
_NUM_VERDICTS = 2
UNFINISHED_FOLDER = re.compile(r"\.reef-[0-9a-f]{16}\.unfinished-[0-9]+|\.(boxes|tfds)-.+\.partial")


class Reason(StrEnum):
    """Why a run is kept: the first that holds, in words."""

    NEWEST = "the newest"
    CHAMPION = "of models in production"
    VERDICT = "with the last verdicts on their answers"
    REUSED = "with steps that kept runs took from the cache"


@dataclass(frozen=True)
class Freed:
    """What a cleaning removed, and how many runs it kept for each reason.

    Attributes:
        num_bytes: of files that were removed.
        num_runs: removed.
        kept: reason -> number of runs.
    """

    num_bytes: int
    num_runs: int
    kept: Mapping[Reason, int]

    def tell(self) -> str:
        """The cleaning in words."""
        beyond = [reason for reason in Reason if reason is not Reason.NEWEST and self.kept.get(reason)]
        told = ", ".join(f"{self.kept[reason]} {reason}" for reason in beyond)
        return (
            f"Freed {self.num_bytes / 1e6:.1f} MB: {count_of(self.num_runs, 'run')} and what only they used. "
            f"Kept {count_of(sum(self.kept.values()), 'run')}: {Reason.NEWEST} "
            f"{self.kept.get(Reason.NEWEST, 0)}{', and beyond those ' if told else ''}{told}."
        )


def clean(paths: ProjectPaths, keep: int) -> Freed:
    """Keep the newest `keep` runs and all that a champion needs; remove the rest.

    Raises:
        ConfigError: `keep` is negative, or the runs are on a shared ZenML server: others need them.
        RunLockedError: a run is going; its files must not be touched.
        StorageError: something cannot be deleted.
    """
    if keep < 0:
        raise ConfigError(f"--keep is {keep}; expected 0 or more runs to keep.")
    with RunLock(paths.lock, "clean"):
        client = Client()
        _require_local_store(client)
        runs = depaginate(client.list_pipeline_runs, sort_by="desc:created")
        reasons = _runs_to_keep(client, runs[:keep])
        doomed = [run for run in runs if run.id not in reasons]
        for run in doomed:
            client.delete_pipeline_run(run.id)
        num_bytes = _remove_artifacts(client)
        left = [*_stale_run_folders(client, paths), *_orphaned_artifacts(client, paths)]
        left += [*_unused_stores(client, paths), *paths.scratch.glob("*"), *checkpoints_folder().glob("*")]
        num_bytes += _remove_all(left, paths.home)
        _point_latest(paths)
    kept = Counter(reasons[run.id] for run in runs if run.id in reasons)
    return Freed(num_bytes, len(doomed), kept)


def _require_local_store(client: Client) -> None:
    if not client.zen_store.is_local_store():
        raise ConfigError(
            f"The runs are on the ZenML server {client.zen_store.url}, where others may need them. Expected "
            "the project's own store. Unset ZENML_STORE_URL, or delete runs on that server by its own means."
        )


def _runs_to_keep(client: Client, newest: Sequence[PipelineRunResponse]) -> Mapping[UUID, Reason]:
    """Each run that stays, with the reason; ids of runs that are gone already may be among them."""
    kept = dict.fromkeys((run.id for run in newest), Reason.NEWEST)
    for reason, found in (
        (Reason.CHAMPION, _runs_of_champions(client)),
        (Reason.VERDICT, _runs_of_verdicts(client)),
    ):
        kept |= dict.fromkeys(found - kept.keys(), reason)
    reused = {
        step_run.original_step_run_id
        for run_id in kept
        for step_run in depaginate(client.list_run_steps, pipeline_run_id=run_id, hydrate=True)
        if step_run.original_step_run_id
    }
    cached = {client.get_run_step(step_run_id).pipeline_run_id for step_run_id in reused}
    return kept | dict.fromkeys(cached - kept.keys(), Reason.REUSED)


def _runs_of_champions(client: Client) -> set[UUID]:
    """The runs that put versions into production, and those that made the artifacts linked to them."""
    versions = depaginate(client.list_model_versions, stage=ModelStages.PRODUCTION, hydrate=True)
    staged_by = {UUID(str(each.run_metadata[RUN_KEY])) for each in versions if RUN_KEY in each.run_metadata}
    return staged_by | {
        artifact.producer_pipeline_run_id
        for version in versions
        for artifact in depaginate(client.list_artifact_versions, model_version_id=version.id, hydrate=True)
        if artifact.producer_pipeline_run_id
    }


def _runs_of_verdicts(client: Client) -> set[UUID]:
    """The runs that judged the last two windows of each champion: from there on the next window is read."""
    return {
        artifact.producer_pipeline_run_id
        for version in depaginate(client.list_model_versions, stage=ModelStages.PRODUCTION, hydrate=True)
        for artifact in list_window_artifacts(
            version.model.name, _NUM_VERDICTS, str(version.run_metadata.get(DIGEST_KEY))
        )
        if artifact.producer_pipeline_run_id
    }


def _stale_run_folders(client: Client, paths: ProjectPaths) -> list[Path]:
    """Folders of runs that ZenML does not know any more."""
    known = {run.name for run in depaginate(client.list_pipeline_runs)}
    return [
        folder
        for folder in paths.runs.glob("*")
        if not folder.is_symlink() and folder.name not in known and (folder / SUMMARY_NAME).is_file()
    ]


def _remove_artifacts(client: Client) -> int:
    """Remove artifacts that no run uses and no model version links."""
    linked = {
        artifact.id
        for version in depaginate(client.list_model_versions)
        for artifact in depaginate(client.list_artifact_versions, model_version_id=version.id)
    }
    num_bytes = 0
    for artifact in depaginate(client.list_artifact_versions, only_unused=True):
        if artifact.id not in linked:
            num_bytes += _measure(Path(artifact.uri))
            client.delete_artifact_version(artifact.id, delete_from_artifact_store=_is_stored(artifact))
    return num_bytes


def _is_stored(artifact: ArtifactVersionResponse) -> bool:
    """False for an artifact on the local disk whose folder is gone already."""
    return "://" in artifact.uri or Path(artifact.uri).is_dir()


def _orphaned_artifacts(client: Client, paths: ProjectPaths) -> list[Path]:
    """Folders of the project's artifact store that a killed step left and ZenML does not know."""
    store = client.active_stack.artifact_store
    root = Path(store.path)
    if not store.config.is_local or not root.resolve().is_relative_to(paths.zenml.resolve()):
        return []
    known = {Path(artifact.uri) for artifact in depaginate(client.list_artifact_versions)}
    needed = known | {parent for folder in known for parent in folder.parents}
    step_folders = [folder for folder in root.glob("*") if folder.name != "logs"]
    return _folders_without(step_folders, needed, known)


def _folders_without(folders: Iterable[Path], needed: set[Path], known: set[Path]) -> list[Path]:
    """Topmost folders on the way to nothing that is needed."""
    orphans: list[Path] = []
    for folder in folders:
        if folder not in needed:
            orphans.append(folder)
        elif folder not in known:
            orphans += _folders_without(list(folder.iterdir()), needed, known)
    return orphans


def _unused_stores(client: Client, paths: ProjectPaths) -> list[Path]:
    """Decoded images and data made by Taxon that no remaining artifact refers to, and every drawn picture."""
    images = _referred_folders(client, ArtifactName.DATASET, _store_of)
    roots = _referred_folders(client, ArtifactName.MANIFEST, _sources_of)
    unused = [each for each in paths.images.glob("*") if _is_store(each) and not _holds(each, images)]
    unused += [each for each in paths.data.glob("*") if _is_made(each) and not _holds(each, roots)]
    return [*unused, *paths.images.glob(f"{JOURNAL_NAME}*"), *paths.pictures.glob("*")]


def _is_store(folder: Path) -> bool:
    """Whether a folder is named as decoded images are; a link is somebody else's."""
    return STORE_FOLDER.fullmatch(folder.name) is not None and folder.is_dir() and not folder.is_symlink()


def _is_made(folder: Path) -> bool:
    """Whether Taxon made a folder of images: by its name and its stamp, or it was stopped while it did."""
    if folder.is_symlink() or not folder.is_dir():
        return False
    stamped = any(
        name.fullmatch(folder.name) and (folder / stamp).is_file() for name, stamp in MADE_FOLDERS.items()
    )
    return stamped or UNFINISHED_FOLDER.fullmatch(folder.name) is not None


def _referred_folders(
    client: Client, name: ArtifactName, folders_of: Callable[[ArtifactVersionResponse], set[Path]]
) -> set[Path]:
    versions = [
        version
        for artifact in client.list_artifacts(name=name.value).items
        for version in depaginate(client.list_artifact_versions, artifact=artifact.id, hydrate=True)
    ]
    return {folder for version in versions for folder in folders_of(version)}


def _store_of(dataset: ArtifactVersionResponse) -> set[Path]:
    return {project_home() / str(dataset.run_metadata["path"])}


def _sources_of(manifest: ArtifactVersionResponse) -> set[Path]:
    """Where the images of a manifest lie: its root, and the folders that were added to it."""
    known = manifest.run_metadata
    if known["num_additions"] == 0:
        return {project_home() / str(known["root"])}
    loaded: Manifest = manifest.load()
    return {Path(loaded.root), *(Path(added.root) for added in loaded.additions)}


def _holds(folder: Path, referred: set[Path]) -> bool:
    return any(folder == each or folder in each.parents for each in referred)


def _remove_all(doomed: Iterable[Path], home: Path) -> int:
    """Delete files and folders; the bytes that they held. What a link puts outside the project is left."""
    num_bytes = 0
    for path in doomed:
        if not path.parent.resolve().is_relative_to(home):
            logger.warning("%s is left: it lies outside %s, where another project may need it.", path, home)
            continue
        num_bytes += _measure(path)
        with storage_errors(path, "delete"):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
    return num_bytes


def _measure(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() and not path.is_symlink() else (path,)
    return sum(file.lstat().st_size for file in files if file.is_symlink() or file.is_file())


def _point_latest(paths: ProjectPaths) -> None:
    """Point `runs/latest` at the last training with a model that is left, if its own run is gone."""
    latest = paths.runs / LATEST_NAME
    if not latest.is_symlink() or latest.exists():
        return
    with storage_errors(latest, "repoint"):
        latest.unlink()
        ended = depaginate(
            Client().list_pipeline_runs,
            pipeline_name=PipelineName.TRAINING.value,
            status=ExecutionStatus.COMPLETED.value,
            sort_by="desc:created",
        )
        left = [run.name for run in ended if (paths.runs / run.name / SUMMARY_NAME).is_file()]
        if left:
            latest.symlink_to(left[0])
