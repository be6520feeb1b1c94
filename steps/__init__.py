"""ZenML steps: typed, thin, one a file."""
