"""Sections of the training page, one file a section."""
