"""Tests of steps: each is its core function, called by its own name."""
