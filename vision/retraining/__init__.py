"""Whether to train again."""
