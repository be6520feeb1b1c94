"""Every artifact has one name, and this is where it stands."""

from enum import StrEnum


class ArtifactName(StrEnum):
    """Names of step outputs in the artifact store."""

    MANIFEST = "manifest"
    DATASET = "dataset"
    DATA_REPORT = "data_report"
    PROPOSED_SPLITS = "proposed_splits"
    SPLITS = "splits"
    BASELINES = "baselines"
    MODEL = "model"
    HISTORY = "history"
    OUTPUTS = "outputs"
    FAR_OUTPUTS = "far_outputs"
    TEMPERATURE = "temperature"
    DETECTOR = "detector"
    DECISION_RULE = "decision_rule"
    EVALUATION = "evaluation"
    COMPARISON = "comparison"
    WINNER = "winner"
    GRAPHS = "graphs"
    PRECISION_REPORT = "precision_report"
    BUNDLE = "bundle"
    PROMOTION = "promotion"
    REGISTRATION = "registration"
    DEPLOYMENT = "deployment"
