"""What a bundle answers to folders of pictures of other things.

    python -m benchmarks.strangers BUNDLE FOLDER [FOLDER ...]

BUNDLE is the folder of a registered bundle, where `contract.json` lies. Prints a row of a table for each
folder: pictures, share accepted, share called strangers, share called unknown otherwise.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from vision.base.files import digest_file
from vision.bundle.assembly import load_bundle, read_contract
from vision.bundle.records import Bundle
from vision.config.data import ImageSettings
from vision.data.sources.strangers import read_strangers

MOST = 1000
BATCH = 64


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("bundle", type=Path)
    parser.add_argument("folders", type=Path, nargs="+")
    options = parser.parse_args()
    root = options.bundle
    stated = read_contract(root)
    files = {Bundle.CONTRACT_NAME: digest_file(root / Bundle.CONTRACT_NAME), **stated.files}
    digest = Bundle(root=root, files=files, name=stated.name).digest
    bundle = load_bundle(root, digest, num_threads=2)
    contract, predictor = bundle.contract, bundle.predictor()
    settings = ImageSettings(size=contract.image_size, resize=contract.resize)
    print(
        "| pictures | number | accepted | called strangers | unknown otherwise |",
        "|---|---|---|---|---|",
        sep="\n",
    )
    for folder in options.folders:
        images = read_strangers(folder, MOST, settings)
        decisions = [predictor.run(images[i : i + BATCH]).decisions for i in range(0, len(images), BATCH)]
        accepted = np.concatenate([each.accepted for each in decisions])
        unknown = np.concatenate([each.called_unknown for each in decisions])
        strangers = np.concatenate([each.strangers for each in decisions])
        shares = (accepted.mean(), strangers.mean(), (unknown & ~strangers).mean())
        told = " | ".join(f"{share:.1%}" for share in shares)
        print(f"| {folder.name} | {len(images)} | {told} |", flush=True)


if __name__ == "__main__":
    main()
