"""The page of figures says what the summaries say, of the score that decides."""

from __future__ import annotations

from typing import Any

from benchmarks.fast_run import Measured, render


def make_summary(near: float, softmax: float) -> dict[str, Any]:
    share = {"value": 0.9}
    rates = {"accepted": share, "reviewed": share, "called_unknown": share, "wrong_among_accepted": 0.01}
    scores = {"knn": {"value": near}, "msp": {"value": softmax}, "ewk": {"value": 0.123}}
    rows = [
        {"kind": "near", "class_name": "kite", "score": name, "auroc": value, "found": 0.4}
        for name, value in scores.items()
    ]
    return {
        "winner": "cnn",
        "peak_memory_mb": 1000.0,
        "seconds": {"orchestration": 9.0, "report": 2.0},
        "test": {
            "accuracy": share,
            "macro_f1": share,
            "nll": share,
            "ece": 0.01,
            "unknown_auroc": {"near": scores, "far": scores},
            "unknown_classes": rows,
            "decisions": {"known": rates, "near": rates, "far": rates},
        },
    }


def test_the_deciding_score_is_compared_with_maximum_softmax_seed_by_seed() -> None:
    runs = [
        Measured(seed, make_summary(near, softmax), 100.0, 10.0, 26, 29)
        for seed, near, softmax in ((1, 0.9, 0.8), (2, 0.7, 0.75), (3, 0.8, 0.75))
    ]
    page = render(runs, "fast.yaml", "knn")
    assert "AUROC of knn minus that of maximum softmax on the same images: +0.100, -0.050, +0.050" in page
    assert "mean +0.033, above zero in 2 of 3 seeds" in page
    assert "| near unknown AUROC, deciding score | 0.900 | 0.700 | 0.800 | 0.800 |" in page
    assert "| near | kite | 0.800 (0.90, 0.70, 0.80) | 0.767 | 0.40 |" in page
    assert "0.123" not in page
