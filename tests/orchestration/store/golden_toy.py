"""Prints what today's code reads in the store at TAXON_STATE, as JSON."""

import json
from pathlib import Path

from orchestration.session.environment import prepare_environment
from orchestration.session.paths import ProjectPaths

PATHS = ProjectPaths.of(Path(__file__).resolve().parents[3])
prepare_environment(PATHS)

from zenml.client import Client  # noqa: E402  the environment comes first

from materializers.registry import find_champion  # noqa: E402
from orchestration.flows.running.runner import project_again  # noqa: E402
from orchestration.store.history import list_champions, list_runs  # noqa: E402
from vision.bundle.assembly import load_bundle  # noqa: E402

champion = find_champion("toy")
assert champion is not None
bundle = champion.bundle().load()
artifacts = Client().list_artifact_versions(size=500, hydrate=True).items
seen = {
    "runs": [[row.name, row.status, row.winner, row.verdict] for row in list_runs()],
    "champions": [[row.model, row.version, row.digest] for row in list_champions()],
    "root": str(bundle.root),
    "classes": load_bundle(bundle.root, champion.digest).contract.class_names,
    "artifacts": sorted(f"{each.name} {type(each.load()).__name__}" for each in artifacts),
    "folder": sorted(path.name for path in project_again("latest", PATHS).iterdir()),
}
print(json.dumps(seen))  # noqa: T201
