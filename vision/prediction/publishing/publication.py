"""Answers as a publication: what the survey lacks is refused, then the files of a format are written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from vision.base.errors import ConfigError, SourceError, TaxonError
from vision.base.wording import count_of
from vision.bundle.assembly import read_contract
from vision.prediction.batch import Batch
from vision.prediction.publishing.camtrap_dp import write_camtrap_dp
from vision.prediction.publishing.darwin_core import write_darwin_core
from vision.prediction.publishing.deployments import place_items, read_deployments
from vision.prediction.publishing.observations import Observation, Observations, Publication
from vision.prediction.publishing.survey import SURVEY_NAME, read_survey
from vision.prediction.records import BatchSummary, Row

CAMTRAP_DP, DARWIN_CORE = "camtrap-dp", "darwin-core"
FORMATS: dict[str, Callable[[Publication, Iterable[Observation], Path], Path]] = {
    CAMTRAP_DP: write_camtrap_dp,
    DARWIN_CORE: write_darwin_core,
}


@dataclass(frozen=True)
class Publisher:
    """A format and all that it needs beside the answers."""

    format: str
    publication: Publication

    def publish(self, folder: Path, summary: BatchSummary, rows: Iterable[Row]) -> list[str]:
        """Write the files into the folder; what to tell of them.

        Raises:
            StorageError: they cannot be written.
        """
        found = Observations(self.publication, summary, rows)
        path = FORMATS[self.format](self.publication, found, folder)
        counts, num_found, bare = Counter[str](), 0, set[str]()
        for each in found:
            num_found += 1
            if each.taxon or self.format != DARWIN_CORE:
                counts[each.kind] += 1
            if each.kind == "animal" and each.class_name not in self.publication.survey.names:
                bare.add(each.class_name)
        told = ", ".join(f"{count:,} {kind}" for kind, count in counts.most_common()) or "nothing"
        if counts.total() < num_found:
            told += f"; {num_found - counts.total():,} others, which are no accepted animals, left out"
        lines = [f"Package   {path}: {told}"]
        if bare:
            lines.append(
                f"Names     {', '.join(sorted(bare))} as the classes are called; names in {SURVEY_NAME}"
            )
        if not self.publication.survey.media_url:
            lines.append(f"Media     not public: mediaUrl in {SURVEY_NAME} says where they can be seen")
        return lines


def prepare_publication(format_name: str, table: Path, batch: Batch) -> Publisher:
    """Read the deployments, the survey beside them, and where and when each picture was taken.

    Raises:
        ConfigError: the survey lacks something.
        SourceError: the table lacks something, or a picture has no deployment or time; with what the survey
            lacks, where both do.
    """
    faults: list[TaxonError] = []
    try:
        deployments = read_deployments(table)
        shots = place_items(batch.listing.items, deployments, batch.wanted.max_megapixels)
    except SourceError as error:
        faults.append(error)
    try:
        survey = read_survey(table.parent / SURVEY_NAME, for_camtrap=format_name == CAMTRAP_DP)
        survey.check_classes(read_contract(batch.model.root).class_names)
    except ConfigError as error:
        faults.append(error)
    if faults:
        raise type(faults[0])("\n\n".join(map(str, faults))) from faults[-1]
    return Publisher(format_name, Publication(survey, deployments, shots))


def describe_places(publisher: Publisher) -> str:
    """The survey in one line."""
    shots = publisher.publication.shots
    used = len({each.deployment for each in shots.values()})
    return (
        f"{publisher.publication.survey.title}: {count_of(len(shots), 'picture')} of "
        f"{count_of(used, 'deployment')}"
    )
