"""From outputs to an answer: calibration, unknown scores, thresholds, the decision rule."""
