"""A window of answers drifted if chance does not explain how it differs from the calibration images.

Four questions, each by permutation of whole groups (`vision.drift.permutation`) and at level alpha: have the
quality columns moved (Q), the embeddings (E), the share called unknown (N), the mix of classes (L)? The cause
is the first that explains what fired: Q capture; N while the embeddings of known-looking images stay put,
novelty; E covariate; L label mix. Where E and L fired alone, other shares of the classes may be all that
moved the embedding: then it is asked once more at the window's shares (`vision.drift.reweighting`), and if
that is quiet, the label mix explains it. A window like the reference fires with probability 4 alpha at most,
on average over references; one reference can be unlucky.

That the mix changed is tested on mean probabilities; which shares the classes have is estimated beside it, by
`vision.drift.priors`, because mean probabilities lean to the shares of the calibration.

Whatever is scaled or fitted is fitted on reference and window together, so that without drift the two can be
exchanged. `draws` (p + 1, g) are assignments of groups, as in `vision.drift.permutation`.
"""

from __future__ import annotations

import numpy as np

from vision.base.record import FloatArray, IntArray
from vision.base.resampling import resample_groups
from vision.config.monitoring import DriftSettings
from vision.drift.permutation import average_groups, draw_assignments, once_a_group, whiten
from vision.drift.priors import adjust_confidence, estimate_shares
from vision.drift.questions import (
    ask_embedding,
    ask_embedding_at_shares,
    ask_label_mix,
    ask_quality,
    ask_unknown_rate,
)
from vision.drift.records import ClassShare, DriftCause, DriftReport, DriftStatus, DriftTest, Question
from vision.drift.reference import DriftReference
from vision.drift.window import Pool, Window, check_window, find_groups, pool_sides
from vision.drift.words import tell_insufficient, tell_single_frames, tell_verdict

_NUM_POINTS = 150


def judge_drift(reference: DriftReference, window: Window, settings: DriftSettings, seed: int) -> DriftReport:
    """The verdict on a window of answers.

    The same content gives the same report, in whatever order the answers come.

    Raises:
        WindowError: the window is of another model, its arrays do not fit together, or a value is not finite.
    """
    check_window(reference, window)
    groups = find_groups(window, settings.burst_gap_seconds)
    blank = _start_report(reference, window, groups, settings)
    if (
        blank.num_images < settings.min_images
        or min(blank.num_groups, blank.num_reference_groups) < settings.min_groups
    ):
        return tell_insufficient(blank, settings)
    rng = np.random.default_rng(seed)
    pool = pool_sides(reference, window, groups, settings.max_images, rng)
    draws = draw_assignments(
        pool.num_reference_groups, pool.num_groups - pool.num_reference_groups, settings.permutations, rng
    )
    return _judge(blank, pool, draws, reference, settings, rng)


# --- the verdict ----------------------------------------------------------------------------------------


def find_cause(
    quality: bool, novel: bool, known_moved: bool, embedding: bool, mix: bool, explained: bool = False
) -> DriftCause | None:
    """The first cause that explains which of Q, N, E and L fired; None where none did.

    `known_moved`: E fired on the images not called unknown, asked only where N fired. `explained`: the
    window's shares explain why E fired, asked only where E and L fired alone.
    """
    if quality:
        return DriftCause.CAPTURE
    if novel and not known_moved:
        return DriftCause.NOVELTY
    if novel or (embedding and not explained):
        return DriftCause.COVARIATE
    return DriftCause.LABEL_MIX if mix else None


def _start_report(
    reference: DriftReference, window: Window, groups: IntArray, settings: DriftSettings
) -> DriftReport:
    """What is known of a window before anything is measured."""
    num_ungrouped = int(window.ungrouped.sum())
    single = tell_single_frames(reference, groups)
    return DriftReport(
        status=DriftStatus.INSUFFICIENT,
        verified=num_ungrouped == 0 and not single,
        reasons=single,
        num_images=len(groups),
        num_groups=len(np.unique(groups)),
        num_ungrouped=num_ungrouped,
        num_reference_groups=reference.num_groups,
        alpha=settings.alpha,
        permutations=settings.permutations,
    )


def _judge(
    blank: DriftReport,
    pool: Pool,
    draws: FloatArray,
    reference: DriftReference,
    settings: DriftSettings,
    rng: np.random.Generator,
) -> DriftReport:
    alpha, names = settings.alpha, reference.class_names
    quality, columns = ask_quality(pool, draws, reference.quality_columns, alpha)
    embedding = ask_embedding(pool, draws, alpha, rng)
    unknown = ask_unknown_rate(pool, draws, alpha, rng)
    mix = ask_label_mix(pool, draws, names, alpha)
    known = _ask_known(pool, settings, rng) if unknown.fired else None
    moved = known is not None and known.fired
    both_alone = embedding.fired and mix.fired and not (quality.fired or unknown.fired)
    at_shares = ask_embedding_at_shares(pool, rng) if both_alone else None
    explained = at_shares is not None and not at_shares.fired
    cause = find_cause(quality.fired, unknown.fired, moved, embedding.fired, mix.fired, explained)
    tests = tuple(each for each in (quality, embedding, unknown, mix, known, at_shares) if each is not None)
    report = blank.model_copy(
        update={
            "status": DriftStatus.DRIFT if cause else DriftStatus.QUIET,
            "cause": cause,
            "num_images_compared": int(pool.in_window.sum()),
            "num_reference_images": int((~pool.in_window).sum()),
            "tests": tests,
            "columns": columns,
            **_draw_points(pool, rng),
        }
    )
    if cause in (None, DriftCause.LABEL_MIX):
        report = _add_estimates(report, pool, names, settings, rng)
    return report.model_copy(update={"reasons": tell_verdict(report)})


def _ask_known(pool: Pool, settings: DriftSettings, rng: np.random.Generator) -> DriftTest | None:
    """E on the images not called unknown; None where a side has fewer than two groups of them."""
    known = pool.known()
    num_window = known.num_groups - known.num_reference_groups
    if min(num_window, known.num_reference_groups) < 2:
        return None
    draws = draw_assignments(known.num_reference_groups, num_window, settings.permutations, rng)
    return ask_embedding(known, draws, settings.alpha, rng, Question.KNOWN_EMBEDDING)


def _draw_points(pool: Pool, rng: np.random.Generator) -> dict[str, tuple[tuple[float, float], ...]]:
    """Some images of each side on the two main directions."""
    values = whiten(pool.embeddings, 2)
    places = np.column_stack([values[:, 0], values[:, -1] if values.shape[1] > 1 else np.zeros(len(values))])
    points = {}
    for name, side in (("reference_points", ~pool.in_window), ("window_points", pool.in_window)):
        rows = rng.permutation(np.flatnonzero(side))[:_NUM_POINTS]
        points[name] = tuple((round(float(x), 3), round(float(y), 3)) for x, y in places[rows])
    return points


def _add_estimates(
    report: DriftReport, pool: Pool, names: tuple[str, ...], settings: DriftSettings, rng: np.random.Generator
) -> DriftReport:
    """What is expected of the images that look known, without labels; unchanged where there are none.

    The shares of the classes count each group once, as the test of the label mix does: one fish with forty
    frames is one fish. The accuracy counts images, because an image is what a client gets an answer to. Where
    the label mix drifted, confidence is first adjusted to the shares of the images; else it stands as it is.
    """
    known = pool.known()
    later = known.in_window
    if not later.any() or later.all():
        return report
    before = average_groups(known.probs, known.groups)[: known.num_reference_groups].mean(axis=0)
    probs, drawn = known.probs[later], resample_groups(known.groups[later], settings.bootstrap, rng)
    counts = drawn.image_counts()
    shares = _estimate_shares(probs, once_a_group(drawn.members), counts, before)
    mix = tuple(
        ClassShare(
            class_name=name,
            reference=float(before[i]),
            window=drawn.interval(float(shares[0, i]), shares[1:, i]),
        )
        for i, name in enumerate(names)
    )
    accuracy = drawn.mean(probs.max(axis=1))
    if report.cause is DriftCause.LABEL_MIX:
        confidence = adjust_confidence(
            probs, _estimate_shares(probs, np.ones(len(probs)), counts, before), before
        )
        samples = (confidence[1:] * counts).sum(axis=1) / counts.sum(axis=1)
        accuracy = drawn.interval(float(confidence[0].mean()), samples)
    return report.model_copy(update={"estimated_accuracy": accuracy, "class_mix": mix})


def _estimate_shares(
    probs: FloatArray, weights: FloatArray, counts: IntArray, before: FloatArray
) -> FloatArray:
    """Shares of the classes in images of weights (n,), then in each resample (r, n) of them: (1 + r, k)."""
    shares = estimate_shares(probs, weights[None, :], before)
    return np.concatenate([shares, estimate_shares(probs, weights * counts, before, start=shares[0])])
