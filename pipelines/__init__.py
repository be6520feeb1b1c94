"""Pipelines: each one readable body."""
