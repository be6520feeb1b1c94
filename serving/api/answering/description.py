"""What GET /model tells: what is served, and what its decisions promise."""

from __future__ import annotations

from serving.api.schemas import (
    ModelDescription,
    NamedClass,
    ReviewPromise,
    Rung,
    ServedModel,
    SetPromise,
    UnknownPromise,
)
from serving.api.settings import ServiceSettings
from vision.bundle.assembly import LoadedBundle
from vision.decision.records import UnknownThreshold


def describe_model(
    bundle: LoadedBundle,
    model: ServedModel,
    settings: ServiceSettings,
    enrolled: tuple[NamedClass, ...] = (),
) -> ModelDescription:
    """The description of a bundle as it is served, and of the classes enrolled beside its own."""
    contract = bundle.contract
    rule = contract.rule
    unknown, stranger, review, sets = rule.unknown, rule.stranger, rule.review, rule.prediction_set
    return ModelDescription(
        name=model.name,
        version=model.version,
        digest=model.digest,
        class_names=contract.class_names,
        precision=contract.precision,
        image_size=contract.image_size,
        resize=contract.resize,
        crop_margin=contract.crop_margin,
        score_name=contract.score_name,
        unknown=_promise(unknown),
        stranger=None if stranger is None else _promise(stranger),
        review=ReviewPromise(
            target_risk=review.target_risk,
            delta=review.delta,
            attainable=review.attainable,
            threshold=review.value,
            ladder=tuple(
                Rung(target_risk=each.target_risk, threshold=each.value)
                for each in review.ladder
                if each.attainable
            ),
        ),
        prediction_set=None
        if sets is None
        else SetPromise(alpha=sets.alpha, delta=sets.delta, attainable=sets.attainable),
        backbone=contract.backbone,
        data_digest=contract.data_digest,
        unknown_class_names=contract.unknown_class_names,
        passport=contract.passport,
        weak_classes=contract.weak_classes,
        num_known_images=bundle.neighbours.num_images if bundle.neighbours else 0,
        max_body_bytes=settings.max_body_bytes,
        max_megapixels=settings.max_megapixels,
        max_batch_files=settings.max_batch_files,
        keeps_images=settings.keep_images,
        enrolled=enrolled,
    )


def _promise(threshold: UnknownThreshold) -> UnknownPromise:
    return UnknownPromise(
        alpha=threshold.alpha,
        delta=threshold.delta,
        attainable=threshold.attainable,
        threshold=threshold.value,
    )
