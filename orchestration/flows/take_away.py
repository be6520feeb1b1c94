"""What a person takes away of a training: `model/`, `charts/`, `results.csv` and `mistakes.csv`."""

from __future__ import annotations

import logging
from pathlib import Path

from materializers.names import ArtifactName
from orchestration.flows.running.artifacts import RunArtifacts
from report.pictures import PictureCache
from report.story import RunStory
from report.take_away.card import write_card
from report.take_away.charts import write_charts
from report.take_away.model import write_model
from report.take_away.tables import write_mistakes, write_results
from vision.base.errors import BundleError
from vision.base.files import write_atomically
from vision.bundle.assembly import load_detector
from vision.bundle.records import Bundle, ExportedGraphs
from vision.config.export import Precision

logger = logging.getLogger(__name__)


def write_take_away(run: RunArtifacts, story: RunStory, folder: Path, pictures: PictureCache) -> None:
    """Write beside the report what the run came far enough for; of a refused winner too, whose card says so.

    Raises:
        StorageError: a file cannot be written.
    """
    write_charts(story, folder / "charts", pictures)
    if story.test is not None:
        write_atomically(folder / "results.csv", write_results(story.test))
    try:
        bundle = run.load("assemble", ArtifactName.BUNDLE)
        if bundle is None:
            return
        contract = write_model(bundle, folder / "model", _find_onnx(run, story))
    except BundleError as error:
        logger.warning("There is no model to take away: %s", error)
        return
    write_atomically(folder / "model" / "README.md", write_card(story, contract))
    outputs = run.load("infer_test", ArtifactName.OUTPUTS)
    if outputs is not None and story.manifest is not None and story.splits is not None:
        detector = load_detector(bundle.root / Bundle.DETECTOR_NAME)
        mistakes = write_mistakes(story.manifest, story.splits, outputs, contract.rule, detector)
        write_atomically(folder / "mistakes.csv", mistakes)


def _find_onnx(run: RunArtifacts, story: RunStory) -> Path | None:
    """The network as ONNX where it was exported and keeps to the tolerance."""
    report = story.precision_report
    row = next((each for each in report.rows if each.precision is Precision.ONNX), None) if report else None
    graphs = run.load("export", ArtifactName.GRAPHS) if row else None
    if row is None or graphs is None:
        return None
    if not row.within_tolerance:
        logger.warning("There is no model.onnx to take away: %s", "; ".join(row.reasons))
        return None
    return Path(graphs.path(ExportedGraphs.file_name(Precision.ONNX)))
