"""Starts a promoted bundle as the service if it answers as the pipeline does; else the old one goes on."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from serving.api.settings import read_settings
from serving.runtime.agreement import Agreement, choose_test_images, compare_service
from serving.runtime.bento import build_in_store, prune_bentos
from serving.runtime.class_pictures import draw_class_pictures
from serving.runtime.launch import Launched
from serving.runtime.process import deploy_service
from serving.runtime.running import DeployedService, ServiceFolder, read_record
from vision.base.errors import TaxonError
from vision.bundle.assembly import load_bundle
from vision.bundle.records import Bundle, Deployment
from vision.config.serve import ServeSettings
from vision.data.records import Manifest, Splits

logger = logging.getLogger(__name__)


def deploy_bundle(
    bundle: Bundle,
    digest: str,
    version: str,
    manifest: Manifest,
    splits: Splits,
    serve: ServeSettings,
    home: Path,
) -> Deployment:
    """Build the Bento of a bundle, try it on test images, and put it in the place of the running service.

    Old Bentos are deleted then, and pictures of the classes drawn for the page. Digest and version are the
    registry's, manifest and splits the champion's.

    Raises:
        ConfigError: the port is taken, or a variable TAXON_* is wrong.
        DataError: no test image of the champion is on this disk.
        BundleError: a byte of the bundle is not the pinned one.
        ServiceError: the service did not become ready, or answers otherwise; a service that ran before is
            kept.
    """
    folder = ServiceFolder(home)
    loaded = load_bundle(bundle.root, digest)
    images = choose_test_images(manifest, splits, serve.check_images, read_settings(os.environ))
    bento = build_in_store(folder, bundle.root, digest, version)
    agreements: list[Agreement] = []

    def check(launched: Launched) -> Path:
        agreements.append(compare_service(launched.url, launched.key, loaded, images, serve.check_tolerance))
        return agreements[0].example

    before = read_record(DeployedService, folder.deployed)
    service = deploy_service(folder, bento, serve, check)
    (agreement,) = agreements
    try:  # whatever happens here, the deployment stands
        prune_bentos(folder)
        draw_class_pictures(folder, digest, manifest, splits)
    except TaxonError as error:
        logger.warning("Served, but old Bentos or pictures of the classes were left: %s", error)
    return Deployment(
        model_name=bento.model.name,
        version=version,
        digest=digest,
        bento=bento.tag,
        url=service.url,
        num_images=len(images),
        num_unknown_images=sum(image.is_unknown for image in images),
        num_equal_decisions=agreement.num_equal,
        max_probability_difference=agreement.max_probability_difference,
        tolerance=serve.check_tolerance,
        pictures="" if before is None else tell_pictures(before, serve),
    )


def tell_pictures(before: DeployedService, now: ServeSettings) -> str:
    """A sentence where what clients send is kept no longer, or is kept from now on; else empty."""
    if before.serve.log.keep_images == now.log.keep_images:
        return ""
    if now.log.keep_images:
        return "From now on the pictures that are sent are kept in the log: docs/privacy.md."
    return (
        f"From now on the pictures that are sent are not kept, as they were under {before.bento}: this "
        "configuration does not say serve: {log: {keep_images: true}}."
    )
