"""A folder in Camtrap DP 1.0.2 (https://camtrap-dp.tdwg.org): a row a picture at the level of media."""

from __future__ import annotations

import json
import mimetypes
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from vision.base.files import open_atomically, write_atomically
from vision.prediction.publishing.deployments import tell_time
from vision.prediction.publishing.observations import Observation, Publication, write_csv

_ROOT = "https://raw.githubusercontent.com/tdwg/camtrap-dp/1.0.2/"
_COLUMNS = {
    "deployments": (
        "deploymentID locationID locationName latitude longitude coordinateUncertainty deploymentStart "
        "deploymentEnd setupBy cameraID cameraModel cameraDelay cameraHeight cameraDepth cameraTilt "
        "cameraHeading detectionDistance timestampIssues baitUse featureType habitat deploymentGroups "
        "deploymentTags deploymentComments"
    ),
    "media": (
        "mediaID deploymentID captureMethod timestamp filePath filePublic fileName fileMediatype exifData "
        "favorite mediaComments"
    ),
    "observations": (
        "observationID deploymentID mediaID eventID eventStart eventEnd observationLevel observationType "
        "cameraSetupType scientificName count lifeStage sex behavior individualID individualPositionRadius "
        "individualPositionAngle individualSpeed bboxX bboxY bboxWidth bboxHeight classificationMethod "
        "classifiedBy classificationTimestamp classificationProbability observationTags observationComments"
    ),
}
_TABLES = {name: text.split() for name, text in _COLUMNS.items()}
"""Columns of each table, all of the standard in its order."""


def write_camtrap_dp(publication: Publication, found: Iterable[Observation], folder: Path) -> Path:
    """Write the package into `camtrap-dp` of the folder, which it returns.

    Raises:
        StorageError: a file cannot be written.
    """
    root = folder / "camtrap-dp"
    root.mkdir(parents=True, exist_ok=True)
    is_public = bool(publication.survey.media_url)
    rows: dict[str, Iterable[Mapping[str, object]]] = {
        "deployments": (
            {name: each.cells.get(name.lower(), "") for name in _TABLES["deployments"]}
            for each in publication.deployments.values()
        ),
        "media": (_describe_media(each, is_public) for each in found),
        "observations": (_describe_observation(each) for each in found),
    }
    for name, columns in _TABLES.items():
        with open_atomically(root / f"{name}.csv") as file:
            write_csv(file, columns, rows[name])
    package = json.dumps(_describe_package(publication, found), indent=2, ensure_ascii=False)
    write_atomically(root / "datapackage.json", package + "\n")
    return root


def _describe_media(each: Observation, is_public: bool) -> dict[str, object]:
    return {
        "mediaID": each.id,
        "deploymentID": each.shot.deployment,
        "timestamp": tell_time(each.shot.taken),
        "filePath": each.path,
        "filePublic": str(is_public).lower(),
        "fileName": each.path.rpartition("/")[2],
        "fileMediatype": mimetypes.guess_type(each.path)[0] or "image/*",
    }


def _describe_observation(each: Observation) -> dict[str, object]:
    told: dict[str, object] = {
        "observationID": f"{each.id}-1",
        "deploymentID": each.shot.deployment,
        "mediaID": each.id,
        "eventStart": tell_time(each.shot.taken),
        "eventEnd": tell_time(each.shot.taken),
        "observationLevel": "media",
        "observationType": each.kind,
        "observationTags": each.tags,
    }
    if each.kind == "unclassified":  # a person decides; the model's guess is a tag
        return told
    return told | {
        "scientificName": each.taxon.scientific_name if each.taxon else "",
        "classificationMethod": "machine",
        "classifiedBy": each.by,
        "classificationTimestamp": each.at,
        "classificationProbability": "" if each.probability is None else f"{each.probability:.4f}",
    }


def _describe_package(publication: Publication, found: Iterable[Observation]) -> dict[str, Any]:
    survey, places = publication.survey, publication.deployments.values()
    points = sorted({(float(each.cells["longitude"]), float(each.cells["latitude"])) for each in places})
    taxa = {each.taxon.scientific_name: each.taxon for each in found if each.taxon}
    package = {
        "resources": [
            {
                "name": name,
                "path": f"{name}.csv",
                "profile": "tabular-data-resource",
                "schema": f"{_ROOT}{name}-table-schema.json",
            }
            for name in _TABLES
        ],
        "profile": f"{_ROOT}camtrap-dp-profile.json",
        "title": survey.title,
        "created": tell_time(datetime.now(UTC)),
        "contributors": [{"title": survey.publisher, "role": "publisher"}],
        "project": {
            "title": survey.title,
            "samplingDesign": survey.sampling_design,
            "captureMethod": survey.capture_method,
            "individualAnimals": survey.individual_animals,
            "observationLevel": ["media"],
        },
        "spatial": {"type": "MultiPoint", "coordinates": points},
        "temporal": {
            "start": min(each.start for each in places).date().isoformat(),
            "end": max(each.end for each in places).date().isoformat(),
        },
        "taxonomic": [
            taxa[name].model_dump(by_alias=True, exclude_none=True, mode="json") for name in sorted(taxa)
        ],
        "gbifIngestion": {"observationLevel": "media"},
    }
    if survey.licenses:
        named = survey.licenses.model_dump()
        package["licenses"] = [{"name": name, "scope": scope} for scope, name in named.items()]
    return package
