"""Unknown scores: textbook values, edges, and p-values that agree with the threshold."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.linalg import null_space
from scipy.special import logsumexp
from scipy.stats import entropy
from sklearn.neighbors import NearestNeighbors

from vision.base.errors import TaxonError
from vision.config.decision import UnknownSettings
from vision.decision.formulas import (
    combine,
    measure_energy,
    measure_entropy,
    measure_fdbd,
    measure_knn,
    measure_mahalanobis,
    measure_msp,
    measure_vim,
    measure_whitened_prototype,
    normalise,
)
from vision.decision.records import OodDetector, UnknownThreshold
from vision.decision.scores import OodScore, p_values, score_unknown
from vision.decision.unknown_threshold import fit_threshold

RNG_SEED = 5


def make_detector(score: OodScore = OodScore.FWK, d: int = 4, k: int = 3) -> OodDetector:
    rng = np.random.default_rng(RNG_SEED)
    eye = np.eye(d, dtype=np.float32)
    return OodDetector(
        score_name=score.value,
        arrays={
            "embedding_mean": rng.normal(size=d).astype(np.float32),
            "fdbd_inverse_distances": 1.0 - np.eye(k),
            "fdbd_inverse_spread": np.ones(d, dtype=np.float32),
            "fdbd_norm_floor": np.array(1e-9),
            "mahalanobis_whitener": eye,
            "mahalanobis_means": rng.normal(size=(k, d)).astype(np.float32),
            "vim_origin": np.zeros(d, dtype=np.float32),
            "vim_basis": eye[:, :2],
            "vim_scale": np.array(2.0),
            "prototype_centre": np.zeros(d, dtype=np.float32),
            "prototype_whitener": eye,
            "prototypes": normalise(rng.normal(size=(k, d))).astype(np.float32),
            "bank": normalise(rng.normal(size=(9, d))).astype(np.float32),
            "ewk_location": np.array([0.4, 0.3, 0.2]),
            "ewk_scale": np.array([0.5, 0.25, 2.0]),
            "fwk_location": np.array([-0.5, 0.2, 0.1]),
            "fwk_scale": np.array([2.0, 0.5, 1.0]),
        },
    )


def make_inputs(n: int, d: int = 4, k: int = 3) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(RNG_SEED + 1)
    return rng.normal(size=(n, k)).astype(np.float32), rng.normal(size=(n, d)).astype(np.float32)


def make_threshold(calibration: list[float], value: float) -> UnknownThreshold:
    return UnknownThreshold(
        score_name="msp",
        value=value,
        attainable=True,
        alpha=0.05,
        delta=0.05,
        num_images=len(calibration),
        num_groups=len(calibration),
        design_effect=1.0,
        effective_size=len(calibration),
        num_allowed=sum(score > value for score in calibration),
        attainable_alpha=0.01,
        calibration_scores=tuple(sorted(calibration)),
    )


def test_msp_is_one_minus_the_largest_probability() -> None:
    logits = np.log(np.array([[3.0, 1.0], [1.0, 1.0], [7.0, 1.0]]))
    assert_allclose(measure_msp(logits), [0.25, 0.5, 0.125])


def test_msp_keeps_the_order_of_very_confident_images() -> None:
    first, second = measure_msp(np.array([[50.0, 0.0, 0.0], [60.0, 0.0, 0.0]]))
    assert first > second > 0


def test_entropy_is_that_of_scipy_and_log_k_where_all_is_equal() -> None:
    logits = np.array([[1.0, 2.0, -3.0], [0.0, 0.0, 0.0], [900.0, 0.0, -900.0]])
    probs = np.exp(logits - logsumexp(logits, axis=1, keepdims=True))
    assert_allclose(measure_entropy(logits), entropy(probs, axis=1), atol=1e-12)
    assert measure_entropy(logits)[1] == pytest.approx(np.log(3))


def test_energy_is_minus_logsumexp_without_overflow() -> None:
    logits = np.array([[1.0, 2.0, -3.0], [1000.0, 1000.0, 0.0]])
    assert_allclose(measure_energy(logits), [-logsumexp(logits[0]), -(1000 + np.log(2))])


def test_mahalanobis_is_the_squared_distance_to_the_nearest_mean() -> None:
    covariance = np.array([[4.0, 0.0], [0.0, 1.0]])
    whitener = np.diag([0.5, 1.0])
    means = np.array([[0.0, 0.0], [10.0, 0.0]])
    embeddings = np.array([[2.0, 0.0], [10.0, 3.0]])
    assert_allclose(measure_mahalanobis(embeddings, whitener, means @ whitener), [1.0, 9.0])
    inverse = np.linalg.inv(covariance)
    assert embeddings[0] @ inverse @ embeddings[0] == pytest.approx(1.0)


def test_knn_is_the_mean_cosine_distance_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    bank, embeddings = rng.normal(size=(40, 6)), rng.normal(size=(7, 6))
    distances, _ = NearestNeighbors(n_neighbors=5, metric="cosine").fit(bank).kneighbors(embeddings)
    assert_allclose(measure_knn(embeddings, normalise(bank)), distances.mean(axis=1), atol=1e-12)


def test_knn_of_a_small_bank_takes_all_of_it() -> None:
    bank = np.array([[1.0, 0.0], [0.0, 1.0]])
    assert_allclose(measure_knn(np.array([[2.0, 0.0]]), bank), [0.5])


def test_an_embedding_of_zeros_is_at_cosine_distance_one_from_everything() -> None:
    assert_allclose(measure_knn(np.zeros((1, 3)), np.eye(3)), [1.0])


def test_fdbd_of_two_classes_is_the_distance_from_the_boundary_over_the_distance_from_the_mean() -> None:
    kernel = np.array([[1.0, -1.0], [0.0, 0.0]])
    embeddings = np.array([[3.0, 4.0], [-1.0, 0.0]])
    inverse = np.array([[0.0, 0.5], [0.5, 0.0]])
    scores = measure_fdbd(embeddings @ kernel, embeddings, inverse, np.zeros(2), np.ones(2))
    assert_allclose(scores, [-3.0 / 5.0, -1.0])


def test_fdbd_averages_over_the_other_classes_only() -> None:
    logits = np.array([[5.0, 1.0, 2.0]])
    inverse = np.array([[0.0, 1 / 2, 1 / 4], [1 / 2, 0.0, 1.0], [1 / 4, 1.0, 0.0]])
    score = measure_fdbd(logits, np.array([[0.0, 10.0]]), inverse, np.zeros(2), np.ones(2))
    assert_allclose(score, [-(4 / 2 + 3 / 4) / 2 / 10])


def test_fdbd_at_the_training_mean_is_finite() -> None:
    scores = measure_fdbd(
        np.array([[1.0, 0.0]]), np.zeros((1, 2)), 1 - np.eye(2), np.zeros(2), np.ones(2), 0.1
    )
    assert_allclose(scores, [-10.0])


def test_vim_measures_what_the_principal_subspace_leaves_over() -> None:
    rng = np.random.default_rng(1)
    basis = np.linalg.qr(rng.normal(size=(5, 2)))[0]
    origin, embeddings, logits = rng.normal(size=5), rng.normal(size=(4, 5)), rng.normal(size=(4, 3))
    residual = np.linalg.norm((embeddings - origin) @ null_space(basis.T), axis=1)
    expected = 1.5 * residual - logsumexp(logits, axis=1)
    assert_allclose(measure_vim(logits, embeddings, origin, basis, 1.5), expected)


def test_whitened_prototype_is_the_cosine_distance_after_whitening() -> None:
    embeddings = np.array([[2.0, 0.0], [0.0, 5.0]])
    centre, whitener = np.array([0.0, 0.5]), np.diag([1.0, 2.0])
    prototypes = np.array([[1.0, 0.0], [0.6, 0.8]])
    white = (np.array([[1.0, 0.0], [0.0, 1.0]]) - centre) @ whitener
    cosines = white @ prototypes.T / np.linalg.norm(white, axis=1, keepdims=True)
    scores = measure_whitened_prototype(embeddings, centre, whitener, prototypes)
    assert_allclose(scores, 1 - cosines.max(axis=1))


def test_a_combination_is_the_mean_of_its_z_scores() -> None:
    parts = np.array([[3.0, 1.0, 0.5]])
    assert_allclose(combine(parts, np.array([1.0, 1.0, 0.0]), np.array([2.0, 1.0, 0.25])), [(1 + 0 + 2) / 3])


@pytest.mark.parametrize(("name", "first"), [(OodScore.FWK, OodScore.FDBD), (OodScore.EWK, OodScore.ENTROPY)])
def test_parts_are_scaled_in_the_order_first_prototype_knn(name: OodScore, first: OodScore) -> None:
    detector, inputs = make_detector(name), make_inputs(6)
    location, scale = (detector.arrays[f"{name}_{each}"] for each in ("location", "scale"))
    order = (first, OodScore.WHITENED_PROTOTYPE, OodScore.KNN)
    parts = [score_unknown(detector, *inputs, part) for part in order]
    expected = sum((part - location[i]) / scale[i] for i, part in enumerate(parts)) / 3
    assert_allclose(score_unknown(detector, *inputs), expected)


def test_a_name_asks_for_another_score_than_the_deciding_one() -> None:
    inputs = make_inputs(5)
    scores = score_unknown(make_detector(OodScore.KNN), *inputs, OodScore.ENERGY)
    assert_allclose(scores, measure_energy(inputs[0]))


@pytest.mark.parametrize("position", [0, 1])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_inputs_that_are_not_finite_are_refused(position: int, value: float) -> None:
    inputs = make_inputs(4)
    inputs[position][2, 1] = value
    with pytest.raises(TaxonError, match=r"1 of 4 images are not finite \(first: image 2\)"):
        score_unknown(make_detector(), *inputs)


def test_a_score_that_overflows_is_refused() -> None:
    logits, embeddings = make_inputs(2)
    embeddings[1] = 3e38
    detector = make_detector(OodScore.MAHALANOBIS)
    detector.arrays["mahalanobis_whitener"] = np.full((4, 4), 2.0, dtype=np.float32)
    with pytest.raises(TaxonError, match="mahalanobis scores"):
        score_unknown(detector, logits, embeddings)


@pytest.mark.parametrize("position", [0, 1])
def test_outputs_of_another_network_are_refused(position: int) -> None:
    logits, embeddings = make_inputs(4)
    if position == 0:
        logits = logits[:, :1]
    else:
        embeddings = embeddings[:, :1]
    with pytest.raises(ValueError, match="not of one bundle"):
        score_unknown(make_detector(), logits, embeddings)


def test_p_value_counts_calibration_scores_at_least_as_high() -> None:
    threshold = make_threshold([1.0, 2.0, 2.0, 3.0], value=3.0)
    scores = np.array([0.0, 1.0, 2.0, 2.5, 3.0, 4.0])
    assert_allclose(p_values(threshold, scores), np.array([5, 5, 4, 2, 2, 1]) / 5)


@given(
    calibration=st.lists(st.integers(0, 12), min_size=1, max_size=120),
    scores=st.lists(st.integers(-2, 14), min_size=1, max_size=20),
    alpha=st.floats(0.02, 0.6),
    delta=st.floats(0.01, 0.95),
    num_groups=st.integers(1, 60),
)
def test_p_value_never_contradicts_the_threshold(
    calibration: list[int], scores: list[int], alpha: float, delta: float, num_groups: int
) -> None:
    groups = np.array([f"g{i % num_groups}" for i in range(len(calibration))])
    threshold = fit_threshold(
        np.array(calibration, float), groups, UnknownSettings(score="msp", alpha=alpha, delta=delta)
    )
    values = np.array(scores, float)
    p = p_values(threshold, values)
    called = values > threshold.value
    level = (threshold.num_allowed + 1) / (threshold.num_images + 1)
    assert_array_equal(called, p <= level)
    if threshold.attainable:
        assert (p[called] <= alpha + 1e-9).all()
