"""Unknown detection: scores (numpy, what the service needs) and fitting (scikit-learn)."""
