"""Tests of what the stated figures come from."""
