"""The steps of a training that come before any network: `python -m benchmarks.scaling.reading CONFIG TIMES`.

They run in the project that TAXON_STATE names, as `run.py` runs them. TIMES becomes a JSON of part -> when it
began and ended, in seconds since 1970; `benchmarks.scaling` reads it.
"""

from __future__ import annotations

import json
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from orchestration.flows.running.runner import Plan, Run, guard_run, run_known
from orchestration.session.paths import ProjectPaths
from vision.config.reading.loading import load_config
from vision.config.run import RunConfig

NAME = "reading"
ROOT = Path(__file__).resolve().parents[2]


def reading(config: RunConfig, source_digest: str, data_folder: str, store_folder: str) -> None:
    """Ingest, split, validate, explore: a pipeline's body."""
    from pipelines.caching import keyed
    from pipelines.training import split_images
    from steps.data.explore import explore

    manifest, dataset, splits = split_images(config, source_digest, data_folder, store_folder, None)
    keyed(explore)(manifest, dataset, splits, config.gate, config.review, config.bootstrap, config.seed)


def main() -> None:
    """Run them, and write their times."""
    config, paths = load_config(Path(sys.argv[1]), []), ProjectPaths.of(ROOT)
    with guard_run(NAME, paths):
        from zenml import pipeline
        from zenml.client import Client

        from vision.data.sources import digest_source

        began = time.time()
        digest = digest_source(config.dataset, paths.data)
        times = {"list": (began, time.time())}
        folders = paths.relative(paths.data), paths.relative(paths.images)
        plan = Plan(pipeline(name=NAME)(reading), (config, digest, *folders), config, digest)
        failure = run_known(Run(NAME, config, paths), plan)
        if failure is not None:
            raise failure
        for name, step in Client().get_pipeline_run(NAME).steps.items():
            times[name] = _seconds(step.start_time), _seconds(step.end_time)
    Path(sys.argv[2]).write_text(json.dumps(times))


def _seconds(moment: datetime | None) -> float:
    """Since 1970, of a time of ZenML's store, which is UTC without saying so."""
    if moment is None:
        raise SystemExit("A step has no time: it did not end.")
    return moment.replace(tzinfo=UTC).timestamp()


if __name__ == "__main__":
    main()
