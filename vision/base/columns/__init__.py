"""Sequences of a million values in flat memory: Arrow columns, read as plain Python values."""
