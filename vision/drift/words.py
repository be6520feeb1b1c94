"""What a verdict on drift says in words: the cause, the evidence, what was not tested and what is missing."""

from __future__ import annotations

import numpy as np

from vision.base.record import IntArray
from vision.base.wording import count_of
from vision.config.monitoring import DriftSettings
from vision.drift.records import DriftCause, DriftReport, LoggedSpan, Question
from vision.drift.reference import DriftReference

_SINGLE = 0.95
"""Share of a window's groups of one image from which on its groups look like single frames."""

_VERDICTS = {
    None: "quiet: nothing tells this window from the reference",
    DriftCause.CAPTURE: "drift of capture: the pictures look otherwise (light, contrast, sharpness) than "
    "those of the calibration",
    DriftCause.NOVELTY: "drift by novelty: more images are unlike every known class, while those that look "
    "known are as before",
    DriftCause.COVARIATE: "covariate drift: the images look otherwise to the network, though not to the "
    "measures of quality",
    DriftCause.LABEL_MIX: "drift of the label mix: classes come in other shares than before",
}


def tell_single_frames(reference: DriftReference, groups: IntArray) -> tuple[str, ...]:
    """That groups seem to be single frames, where nearly each of the window's (n,) has one image; else ().

    Frames of one individual that a client numbers one by one are no several proofs: real windows without
    drift, of one or two frames an individual, drifted in 19% of cases so. Where individuals really come once,
    a person has to say so; that cannot be told from here.
    """
    sizes = np.bincount(groups)[np.unique(groups)]
    usual = len(reference.groups) / max(1, reference.num_groups)
    if not len(sizes) or usual < 2 or np.mean(sizes == 1) < _SINGLE:
        return ()
    return (
        f"unverified: {int((sizes == 1).sum())} of {count_of(len(sizes), 'group')} have one image each, "
        f"while those of the reference have {usual:.1f} on average: groups seem to be single frames. Send as "
        "`group` what several images share (individual, visit, camera); if every individual really comes "
        "once, read the verdict as it stands: it starts no retraining by itself",
    )


def tell_insufficient(report: DriftReport, settings: DriftSettings) -> DriftReport:
    """The report with what is missing, in numbers and words."""
    images = max(0, settings.min_images - report.num_images)
    groups = max(0, settings.min_groups - report.num_groups)
    reasons = [
        f"insufficient: {count_of(report.num_images, 'image')} in {count_of(report.num_groups, 'group')}; "
        f"expected at least {count_of(settings.min_images, 'image')} and "
        f"{count_of(settings.min_groups, 'group')}"
    ]
    missing = [count_of(num, what) for num, what in ((images, "more image"), (groups, "more group")) if num]
    if missing:
        reasons.append(f"needed at least: {' and '.join(missing)}")
    if groups and report.num_ungrouped:
        reasons.append(
            f"{count_of(report.num_ungrouped, 'image')} came without a group, and bursts in time count "
            "instead; send `group` (individual, visit, camera) with each image"
        )
    if report.num_reference_groups < settings.min_groups:
        reasons.append(
            f"the reference has {count_of(report.num_reference_groups, 'group')}, expected at least "
            f"{settings.min_groups}; waiting does not help: train with more groups"
        )
    return report.model_copy(
        update={
            "missing_images": images,
            "missing_groups": groups,
            "reasons": (*reasons, *report.reasons),
        }
    )


def may_be_mix_alone(report: DriftReport) -> bool:
    """Whether covariate drift may be nothing but other shares of the classes, which could not be asked.

    An embedding holds the class: where a class is missing, the mean of all images moves, though each class
    looks as before.
    """
    fired = {test.name: test.fired for test in report.tests}
    asked = Question.EMBEDDING_AT_SHARES in fired
    return report.cause is DriftCause.COVARIATE and fired.get(Question.LABEL_MIX, False) and not asked


def mix_explains_embedding(report: DriftReport) -> bool:
    """Whether the label mix is the verdict though the embedding moved: at the window's shares it had not."""
    return report.cause is DriftCause.LABEL_MIX and any(
        test.name == Question.EMBEDDING_AT_SHARES for test in report.tests
    )


def _tell_shares(report: DriftReport) -> list[str]:
    """What the shares of the classes have to do with a moved embedding, where both changed."""
    if may_be_mix_alone(report):
        return [
            "the classes also come in other shares than before, and that alone can move the embedding; which "
            "of the two it is could not be tested here: look first whether the mix explains it"
        ]
    if any(test.name == Question.EMBEDDING_AT_SHARES and test.fired for test in report.tests):
        return [
            "the classes come in other shares too, but that alone does not explain it: with each class "
            "weighed as it is frequent in the window, its images are still unlike the reference's"
        ]
    if not mix_explains_embedding(report):
        return []
    return [
        "the embedding moved as well, as other shares of the classes make it: with each class weighed as it "
        "is frequent in the window, its images are like the reference's. That is no proof: a small change of "
        "the images may hide behind that of the shares, so look at some images of each frequent class; what "
        "is estimated here takes it that there is none"
    ]


def tell_verdict(report: DriftReport) -> tuple[str, ...]:
    """The verdict, what fired, what did not, and what to know about it."""
    fired = sorted(report.tests, key=lambda test: not test.fired)
    reasons = [_VERDICTS[report.cause], *_tell_shares(report)]
    reasons += [f"{test.evidence} (p {test.p_value:.3f})" for test in fired]
    if report.num_images_compared < report.num_images:
        reasons.append(
            f"{report.num_images_compared} of the window's {report.num_images} images were compared: frames "
            "of groups, then groups, were drawn"
        )
    if report.estimated_accuracy is not None:
        adjusted = ", adjusted to the estimated shares" if report.cause else ""
        reasons.append(
            f"estimated accuracy {report.estimated_accuracy}: an estimate without labels, the mean "
            f"calibrated confidence of the images not called unknown{adjusted}"
        )
    elif report.cause not in (None, DriftCause.LABEL_MIX):
        reasons.append("no accuracy is estimated: under such drift calibrated confidence is far too high")
    reasons += report.reasons
    if report.num_ungrouped:
        reasons.append(
            f"unverified: {report.num_ungrouped} of {count_of(report.num_images, 'image')} came without a "
            "group; bursts in time stood in"
        )
    return tuple(reasons)


def tell_since(span: LoggedSpan) -> str:
    """Answers are counted from the last window with a verdict on: a check of too few gives none."""
    return " since the last verdict" if span.judged_before else ""
