"""Pages beside the report: drift, predictions, strategies, tuning."""
