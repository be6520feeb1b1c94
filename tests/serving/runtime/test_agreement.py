"""A service that answers as the pipeline does passes; one that does not is named with both answers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest

from serving.api.settings import ServiceSettings
from serving.client import ask_service
from serving.runtime.agreement import (
    TestImage,
    choose_test_images,
    compare_service,
)
from serving.runtime.running import RunningService
from tests.serving.live import SETTINGS, serving_toy
from tests.serving.toy import BLACK, GREEN, GREY, KEY, RED, make_bundle, paint, paint_manifest, split_manifest
from tests.vision.training.nets.toy import KERAS_WARNINGS
from vision.base.errors import DataError, ServiceError
from vision.bundle.assembly import LoadedBundle, load_bundle
from vision.data.records import Manifest, Split, Splits
from vision.decision.records import Decision

COLOURS = {"black": BLACK, "green": GREEN, "grey": GREY, "red": RED}

# --- which images ---------------------------------------------------------------------------------------


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    """Twelve images of each colour, the black ones of a held-out class."""
    return paint_manifest(tmp_path, COLOURS, 12)


def split_evenly(manifest: Manifest) -> Splits:
    """Every second image is for testing."""
    return split_manifest(manifest, Split.TRAIN, Split.TEST)


def test_test_images_of_every_class_are_chosen_half_of_them_unknown(manifest: Manifest) -> None:
    splits = split_evenly(manifest)
    chosen = choose_test_images(manifest, splits, 8, SETTINGS)
    assert [each.is_unknown for each in chosen] == [False] * 4 + [True] * 4
    assert {each.path.parent.name for each in chosen} == set(COLOURS)
    tested = {manifest.locate(manifest.entries[row]) for row in range(1, 48, 2)}
    assert {each.path for each in chosen} <= tested
    assert choose_test_images(manifest, splits, 8, SETTINGS) == chosen
    assert len(choose_test_images(manifest, splits, 1_000, SETTINGS)) == 24


def test_files_that_are_gone_changed_or_refused_by_the_service_are_left_out(manifest: Manifest) -> None:
    splits = split_evenly(manifest)
    gone, changed = manifest.locate(manifest.entries[1]), manifest.locate(manifest.entries[3])
    gone.unlink()
    changed.write_bytes(paint(RED))
    small = ServiceSettings(max_megapixels=45 * 40 / 1e6)
    chosen = choose_test_images(manifest, splits, 1_000, small)
    assert not {gone, changed} & {each.path for each in chosen}
    assert {each.path.stem for each in chosen} == {"01", "03", "05"}


def test_without_one_usable_image_there_is_no_evidence_and_no_deployment(manifest: Manifest) -> None:
    splits = split_evenly(manifest)
    for entry in manifest.entries:
        manifest.locate(entry).unlink()
    with pytest.raises(DataError, match=r"Not one test image .* of 18 none is as it was"):
        choose_test_images(manifest, splits, 8, SETTINGS)
    with pytest.raises(DataError, match="lists 48 images, the splits 47"):
        choose_test_images(manifest, splits.model_copy(update={"splits": splits.splits[1:]}), 8, SETTINGS)


# --- how they are answered ------------------------------------------------------------------------------


def load_toy_bundle() -> LoadedBundle:
    return load_bundle(make_bundle().root, make_bundle().digest)


@pytest.fixture(scope="module")
def service() -> Iterator[RunningService]:
    with serving_toy() as service:
        yield service


class TestOverHttp:
    pytestmark: ClassVar = [pytest.mark.slow, KERAS_WARNINGS]

    @pytest.fixture
    def images(self, tmp_path: Path) -> list[TestImage]:
        images = []
        for number, colour in enumerate([RED, GREEN, GREY, BLACK, (200, 90, 30), (90, 80, 70)]):
            path = tmp_path / f"{number}.jpg"
            path.write_bytes(paint(colour, "JPEG"))
            images.append(TestImage(path, is_unknown=colour == BLACK, class_name=""))
        return images

    def test_the_same_bundle_gives_the_same_answers_to_the_last_digit(
        self, service: RunningService, images: list[TestImage]
    ) -> None:
        agreement = compare_service(service.url, KEY, load_toy_bundle(), images, tolerance=0.0)
        assert (agreement.num_equal, agreement.max_probability_difference) == (6, 0.0)

    def test_the_example_to_try_it_with_is_accepted_under_its_own_class(
        self, service: RunningService, images: list[TestImage]
    ) -> None:
        answers = [ask_service(service.url, KEY, each.path.read_bytes()) for each in images]
        accepted = [each.decision is Decision.ACCEPT for each in answers]
        first = images.pop(accepted.index(True))
        named = [replace(each, class_name="another") for each in images]
        named.append(replace(first, class_name=answers[accepted.index(True)].class_name))
        for asked, expected in ((named, first), (named[:-1], images[0])):
            agreement = compare_service(service.url, KEY, load_toy_bundle(), asked, tolerance=0.0)
            assert agreement.example == expected.path

    def test_another_threshold_is_told_with_file_and_both_answers(
        self, service: RunningService, images: list[TestImage]
    ) -> None:
        bundle = load_toy_bundle()
        rule = bundle.contract.rule
        never = rule.unknown.model_copy(update={"value": 100.0})
        contract = bundle.contract.model_copy(update={"rule": rule.model_copy(update={"unknown": never})})
        with pytest.raises(ServiceError, match=r"1 of 6 answers .* differ") as caught:
            compare_service(service.url, KEY, replace(bundle, contract=contract), images, tolerance=1e-4)
        assert f"{images[3].path}: served {Decision.UNKNOWN}" in str(caught.value)
        assert f"expected {Decision.REVIEW}" in str(caught.value)

    def test_a_probability_beyond_the_tolerance_is_a_difference(
        self, service: RunningService, images: list[TestImage]
    ) -> None:
        bundle = load_toy_bundle()
        rule = bundle.contract.rule
        warmer = rule.temperature.model_copy(update={"value": rule.temperature.value * 1.01})
        changed = {"rule": rule.model_copy(update={"temperature": warmer})}
        bundle = replace(bundle, contract=bundle.contract.model_copy(update=changed))
        with pytest.raises(ServiceError, match=r"answers .* differ"):
            compare_service(service.url, KEY, bundle, images, tolerance=1e-6)
        assert compare_service(service.url, KEY, bundle, images, tolerance=0.1).num_equal == 6

    def test_a_service_of_another_digest_is_not_the_one(
        self, service: RunningService, images: list[TestImage]
    ) -> None:
        with pytest.raises(ServiceError, match="another service answers on its port"):
            compare_service(service.url, KEY, replace(load_toy_bundle(), digest="0" * 64), images, 0.0)

    def test_refusals_are_told_with_the_services_own_words(self, service: RunningService) -> None:
        with pytest.raises(ServiceError, match=r"refused x_y\.png with 401: .*X-API-Key"):
            ask_service(service.url, "wrong-wrong-wrong-wrong", paint(RED), 'x"y.png')
        with pytest.raises(ServiceError, match="refused image with 415"):
            ask_service(service.url, KEY, b"%PDF-1.7")

    def test_a_service_that_is_not_there_is_told_of(self) -> None:
        with pytest.raises(ServiceError, match="did not answer"):
            ask_service("http://127.0.0.1:9", KEY, paint(RED))
