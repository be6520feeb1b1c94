"""A Darwin Core archive: an occurrence an accepted picture, what the columns mean, and who publishes."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree as Xml

from vision.base.files import open_atomically
from vision.prediction.publishing.deployments import tell_time
from vision.prediction.publishing.observations import Observation, Publication, write_csv

_DWC, _TEXT = "http://rs.tdwg.org/dwc/terms/", "http://rs.tdwg.org/dwc/text/"
_EML = "https://eml.ecoinformatics.org/eml-2.2.0"
_COLUMNS = (
    "occurrenceID basisOfRecord eventDate scientificName taxonID kingdom taxonRank decimalLatitude "
    "decimalLongitude geodeticDatum coordinateUncertaintyInMeters occurrenceStatus parentEventID "
    "samplingProtocol identifiedBy dateIdentified identificationVerificationStatus identificationReferences "
    "identificationRemarks associatedMedia"
)
_TERMS = _COLUMNS.split()


def write_darwin_core(publication: Publication, found: Iterable[Observation], folder: Path) -> Path:
    """Write `darwin-core.zip` into the folder, and return its path; animals that were accepted alone.

    Raises:
        StorageError: it cannot be written.
    """
    path = folder / "darwin-core.zip"
    with open_atomically(path) as packed, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open("occurrence.csv", "w", force_zip64=True) as file:
            write_csv(file, _TERMS, (_describe(publication, each) for each in found if each.taxon))
        archive.writestr("meta.xml", _write_meta())
        archive.writestr("eml.xml", _write_eml(publication))
    return path


def _describe(publication: Publication, each: Observation) -> dict[str, object]:
    survey, place = publication.survey, publication.deployments[each.shot.deployment].cells
    taxon = each.taxon or survey.find_taxon(each.class_name)
    return {
        "occurrenceID": f"{each.id}-1",
        "basisOfRecord": "MachineObservation",
        "eventDate": tell_time(each.shot.taken),
        "scientificName": taxon.scientific_name,
        "taxonID": taxon.taxon_id or "",
        "kingdom": survey.kingdom,
        "taxonRank": taxon.taxon_rank or "",
        "decimalLatitude": place["latitude"],
        "decimalLongitude": place["longitude"],
        "geodeticDatum": "EPSG:4326",
        "coordinateUncertaintyInMeters": place.get("coordinateuncertainty", ""),
        "occurrenceStatus": "present",
        "parentEventID": each.shot.deployment,
        "samplingProtocol": survey.sampling_protocol,
        "identifiedBy": each.by,
        "dateIdentified": each.at,
        "identificationVerificationStatus": "PredictedByMachine",
        "identificationReferences": each.by,
        "identificationRemarks": f"classified by a machine with {each.probability or 0:.0%} certainty",
        "associatedMedia": each.path if survey.media_url else "",
    }


def _write_meta() -> bytes:
    root = Xml.Element("archive", {"xmlns": _TEXT, "metadata": "eml.xml"})
    core = Xml.SubElement(
        root,
        "core",
        encoding="UTF-8",
        fieldsTerminatedBy=",",
        linesTerminatedBy="\\n",
        fieldsEnclosedBy='"',
        ignoreHeaderLines="1",
        rowType=f"{_DWC}Occurrence",
    )
    Xml.SubElement(Xml.SubElement(core, "files"), "location").text = "occurrence.csv"
    Xml.SubElement(core, "id", index="0")
    for index, term in enumerate(_TERMS):
        Xml.SubElement(core, "field", index=str(index), term=f"{_DWC}{term}")
    return bytes(Xml.tostring(root, "utf-8", xml_declaration=True))


def _write_eml(publication: Publication) -> bytes:
    survey = publication.survey
    root = Xml.Element("eml:eml", {"xmlns:eml": _EML, "packageId": survey.title, "system": "Taxon"})
    dataset = Xml.SubElement(root, "dataset")
    Xml.SubElement(dataset, "title").text = survey.title
    for name in ("creator", "metadataProvider"):
        Xml.SubElement(Xml.SubElement(dataset, name), "organizationName").text = survey.publisher
    Xml.SubElement(dataset, "pubDate").text = datetime.now(UTC).date().isoformat()
    abstract = Xml.SubElement(Xml.SubElement(dataset, "abstract"), "para")
    abstract.text = "Identifications by a machine, each with its calibrated probability."
    if survey.licenses:
        rights = Xml.SubElement(Xml.SubElement(dataset, "intellectualRights"), "para")
        rights.text = survey.licenses.data
    Xml.SubElement(Xml.SubElement(dataset, "contact"), "organizationName").text = survey.publisher
    return bytes(Xml.tostring(root, "utf-8", xml_declaration=True))
