"""Steps after a training: deployment, monitoring, retraining."""
