"""Embeddings in two dimensions: images that a network sees alike lie side by side."""

from __future__ import annotations

import numpy as np
from threadpoolctl import threadpool_limits

from vision.base.record import FloatArray, IntArray

MOST = 2_000
"""Images on a map; of more, a sample."""

_COMPONENTS, _PERPLEXITY, _FEWEST = 50, 30.0, 5


def sample_positions(count: int, seed: int) -> IntArray:
    """Positions of all images, or of a random `MOST` of them, ascending."""
    if count <= MOST:
        return np.arange(count)
    return np.sort(np.random.default_rng(seed).choice(count, MOST, replace=False))


def project(embeddings: FloatArray, seed: int) -> FloatArray:
    """Places (n, 2) in 0..1: principal components, then t-SNE; the same for the same embeddings and seed.

    Distances between far groups and the axes mean nothing. Fewer than five images lie on a line.
    """
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    count = len(embeddings)
    if count < _FEWEST:
        return np.column_stack([np.linspace(0, 1, count), np.full(count, 0.5)])
    with threadpool_limits(1):  # more threads change the last digits
        narrow = PCA(min(_COMPONENTS, count, embeddings.shape[1]), random_state=seed).fit_transform(
            np.asarray(embeddings, dtype=np.float64)
        )
        perplexity = min(_PERPLEXITY, (count - 1) / 3)
        places = TSNE(2, perplexity=perplexity, init="pca", random_state=seed).fit_transform(narrow)
    low, high = places.min(axis=0), places.max(axis=0)
    scaled: FloatArray = (places - low) / np.maximum(high - low, 1e-9)
    return scaled
