"""Put what is served into one folder with its contract."""

from pathlib import Path
from tempfile import mkdtemp
from typing import Annotated

from zenml import step

from materializers.names import ArtifactName
from vision.base.outputs import ModelFile, ModelOutputs
from vision.bundle.assembly import describe_contract, write_bundle
from vision.bundle.neighbours import gather_neighbours
from vision.bundle.records import Bundle, ExportedGraphs, PrecisionReport
from vision.config.export import Precision
from vision.data.records import DatasetRef, Manifest, Splits
from vision.data.store import open_images
from vision.decision.held_out import HeldOut
from vision.decision.records import DecisionRule, OodDetector
from vision.drift.reference import make_reference
from vision.evaluation.passport import make_passport
from vision.evaluation.records import Evaluation


@step
def assemble(
    name: str,
    manifest: Manifest,
    dataset: DatasetRef,
    model: ModelFile,
    graphs: ExportedGraphs,
    precision: str,
    rule: DecisionRule,
    detector: OodDetector,
    exported: ModelOutputs,
    held_out: HeldOut,
    splits: Splits,
    similar: int,
    test: Evaluation,
    precisions: PrecisionReport,
) -> Annotated[Bundle, ArtifactName.BUNDLE]:
    """The bundle: graph, detector, drift reference, known images, contract, digests."""
    decides = (rule, detector)
    contract = describe_contract(name, (manifest, dataset), model, graphs, Precision(precision), decides)
    told = {"passport": make_passport(test, precisions.served_agreement), "weak_classes": test.weak_classes()}
    contract = contract.model_copy(update=told)
    reference = make_reference(exported, held_out, rule)
    neighbours = None
    if similar:
        neighbours = gather_neighbours(exported, manifest, splits, open_images(dataset), similar)
    return write_bundle(Path(mkdtemp(prefix="bundle-")), graphs, detector, reference, contract, neighbours)
