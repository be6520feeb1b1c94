"""What a pretrained network says of images before anything is trained: embeddings, and heads by folds."""

from __future__ import annotations

import numpy as np

from vision.base.outputs import FoldHeads, ModelOutputs
from vision.base.record import ImageArray, IntArray
from vision.config.training import CandidateSettings
from vision.data.records import Splits
from vision.training.nets.fitting.batches import balance_weights
from vision.training.nets.heads import assign_folds, choose_head, fit_heads, head_logits
from vision.training.nets.inference import measure_rows, run_tensors
from vision.training.nets.models import EMBEDDING, build_model, early_statistics, find_weights
from vision.training.nets.seeding import seeded


def look(
    settings: CandidateSettings,
    images: ImageArray,
    splits: Splits,
    seed: int,
    rows: IntArray,
    judged: IntArray,
) -> tuple[ModelOutputs, FoldHeads]:
    """Outputs of some rows by a frozen network, and the heads that were fitted without one fold each.

    The network runs once; a training of strategy `frozen` gives the same on the same rows. Row i of the
    images (n, s, s, 3) uint8 is image i of `splits`. `rows` (m,), ascending, are embedded; heads are fitted
    on `judged`, some of them, among which each known class is.

    Raises:
        ConfigError: the weights are not at hand.
        TrainingError: a class has no image.
    """
    with seeded(seed):
        model = build_model(settings, len(splits.class_names), images.shape[1], find_weights(settings))
        tensors = [model.get_layer(EMBEDDING).output, early_statistics(model)]
        embeddings, early = run_tensors(model, tensors, images, rows)
        del model, tensors
    chosen = np.isin(rows, judged)
    labels = splits.labels()[judged]
    folds = assign_folds(labels, splits.group_array()[judged], seed)
    trials = fit_heads(
        embeddings[chosen],
        labels,
        folds,
        balance_weights(labels, len(splits.class_names), settings.balance),
        len(splits.class_names),
        settings.head_regularisation,
    )
    best = trials[choose_head(trials)]
    outputs = ModelOutputs(
        rows=np.asarray(rows, np.int64),
        logits=head_logits(embeddings, best),
        embeddings=embeddings,
        quality=measure_rows(images, rows),
        kernel=best.kernel,
        bias=best.bias,
        early=early,
    )
    return outputs, FoldHeads(np.asarray(judged, np.int64), folds, best.fold_kernels, best.fold_biases)
